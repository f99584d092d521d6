// A stack that keeps its data is killed in the middle of an update and started again.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import pg from 'pg';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import {
  createClient,
  type RegisterDevicesBodyDevicesItem as NewDevice,
  registerAll,
  startUpdate,
  uploadFirmware,
} from '../../clients/api/src/index.ts';
import { keyIdOf, type SigningKey } from '../../clients/cli/src/signing/signing-key.ts';
import { createDisplay } from '../../dev/display.ts';
import { runMainJob } from '../../dev/main-job.ts';
import type { Root } from '../../dev/simulator/author-verifier.ts';
import { startIotFleet } from '../../dev/simulator/iot-fleet.ts';
import { type Stack, type StackDescription, type StackOptions, startStack } from '../../dev/stack/stack.ts';
import { createManifestKeys, createManifestSigner } from '../../lib/firmware/manifest.ts';
import { publicKeysOf, type SigningKeys } from '../../ops/signing-keys.ts';
import { createAuthorKey, fileOf, release, rootOf, signedRoot } from '../support/authors.ts';
import { startImpostor } from '../support/impostor.ts';

const SCOOTERS = 150;
const fleet: NewDevice[] = Array.from({ length: SCOOTERS }, (_, index) => ({
  ...{ kind: 'scooter', external_id: `S-${String(index + 1).padStart(5, '0')}`, version: 1 },
}));

const [ada, eve] = [createAuthorKey(), createAuthorKey()];

let directory: string;
let stackFile: string;
let options: StackOptions;
let child: ChildProcess | undefined;
let stack: Stack | undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'restart-'));
  stackFile = join(directory, 'stack.json');
  const author_roots = { cabinet: rootOf({ ada }, createAuthorKey(), { signatures_required: { cabinet: 1 } }) as Root };
  options = {
    ...{ directory, stackFile, isBuilt: true },
    simulator: { scooters: SCOOTERS, cabinets: 0, install_seconds: 1.5, seed: 3 },
    iotFleet: { cabinets: 4, scooters: 0, install_seconds: 0.1, author_roots },
  };
});
afterAll(async () => {
  child?.kill('SIGKILL');
  await stack?.stop();
  await rm(directory, { recursive: true, force: true });
});

const describeRunning = (): StackDescription => JSON.parse(readFileSync(stackFile, 'utf8'));

it('goes on where it was killed: the update ends, every device counted once', async () => {
  const module = JSON.stringify(new URL('../../dev/stack/stack.ts', import.meta.url).href);
  const script = `const { startStack } = await import(${module}); await startStack(${JSON.stringify(options)});`;
  child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: 'inherit' });
  await vi.waitFor(() => expect(existsSync(stackFile)).toBe(true), { timeout: 60_000, interval: 50 });
  expect(statSync(stackFile).mode & 0o777).toBe(0o600);
  const first = describeRunning();
  expect(first.pid).toBe(child.pid);

  const api = createClient({ url: first.api_url, token: first.token });
  await registerAll(api, fleet);
  const file = new Blob([new Uint8Array(randomBytes(1_000))]);
  const { id: firmware_id } = await uploadFirmware(api, { hardware_type: 'vega_mcu', version: '2.0.0', comment: '' }, file);
  const { id } = await startUpdate(
    api,
    { firmware_id, targets: { filter: { kind: 'scooter' } }, comment: '' },
    { idempotencyKey: 'the-key' },
  );
  await vi.waitFor(async () => expect((await api.getUpdate(id)).counts.SUCCEEDED).toBeGreaterThan(0), { timeout: 20_000, interval: 20 });
  const before = await api.getUpdate(id);
  expect(before.status).toBe('IN_PROGRESS');
  child.kill('SIGKILL');

  stack = await startStack(options);
  expect(stack.api_url).toBe(first.api_url); // the same addresses: links on their way to devices stay valid
  const again = createClient({ url: stack.api_url, token: first.token });
  await vi.waitFor(async () => expect((await again.getUpdate(id)).status).toBe('COMPLETED'), { timeout: 60_000, interval: 100 });
  const after = await again.getUpdate(id);
  expect(after.counts).toMatchObject({ QUEUED: 0, IN_PROGRESS: 0, SUCCEEDED: SCOOTERS });
  const request = { firmware_id, targets: { filter: { kind: 'scooter' as const } }, comment: '' };
  expect(await startUpdate(again, request, { idempotencyKey: 'the-key' })).toMatchObject({ id });
});

it('does its main job again after that', async () => {
  const output = { write: () => true } as unknown as NodeJS.WritableStream;
  const { api_url, token } = describeRunning();
  const [result] = await runMainJob({
    ...{ api_url, token, fleet, display: createDisplay({ isPlain: true, output }), stallSeconds: 30 },
    files: [{ hardware_type: 'vega_mcu', kind: 'scooter', bytes: new Uint8Array(randomBytes(1_000)), comment: '' }],
  });
  expect(result).toMatchObject({ status: 'COMPLETED', contradictions: [], counts: { SUCCEEDED: SCOOTERS } });
});

it('no cabinet that was born with author keys takes a byte that no author signed: by database, bucket and signing key', async () => {
  const running = describeRunning();
  const api = createClient({ url: running.api_url, token: running.token });
  await api.addAuthorKey({ owner: 'ada', public_key: ada.publicKey as never, hardware_types: ['cabinet'] });
  await api.changeHardwareType('cabinet', { author_signatures_required: 1 });
  const upload = async (version: string, ...signers: SigningKey[]) => {
    const bytes = new Uint8Array(Buffer.from(`cabinet ${version}`));
    const sign = (file: { size_bytes: number; sha256: string }) =>
      Promise.all(signers.map((key) => release({ hardware_type: 'cabinet', version, ...file }, key, Number(version.replaceAll('.', '')))));
    return (await uploadFirmware(api, { hardware_type: 'cabinet', version, comment: '' }, new Blob([bytes]), { sign })).id;
  };
  const cabinets = ['C-0001', 'C-0002', 'C-0003', 'C-0004'];
  const update = async (firmware_id: number, external_ids: string[]) => {
    const { id } = await startUpdate(api, { firmware_id, targets: { kind: 'cabinet', external_ids }, comment: '' });
    await vi.waitFor(async () => expect((await api.getUpdate(id)).finished_dt).not.toBeNull(), { timeout: 60_000, interval: 100 });
    return (await api.listExecutions(id)).items.map(({ external_id, status, detail }) => [external_id, status, detail]);
  };
  expect((await update(await upload('1.1.0', ada), cabinets)).map(([, status]) => status)).toEqual(cabinets.map(() => 'SUCCEEDED'));

  // The attacker's hands: the database, the bucket, and the key that manifests are signed with.
  const database = new pg.Client({ connectionString: running.database_url });
  const credentials = { accessKeyId: running.access_key_id, secretAccessKey: running.secret_access_key };
  const s3 = new S3Client({ endpoint: running.s3.endpoint, region: running.region, credentials, forcePathStyle: true });
  await database.connect();
  try {
    const malware = Buffer.from('MALWARE 1.2.0');
    const { bucket: Bucket } = running.s3;
    const { VersionId } = await s3.send(new PutObjectCommand({ Bucket, Key: 'firmwares/cabinet/evil/firmware.bin', Body: malware }));
    const evil_link = `s3://${Bucket}/firmwares/cabinet/evil/firmware.bin?versionId=${VersionId}`;
    const digest = (name: string) => createHash(name).update(malware).digest('hex');

    const rowChanged = await upload('1.2.0', ada);
    await database.query('UPDATE firmwares SET file_link = $2, size_bytes = $3, sha256 = $4, sha1 = $5, md5 = $6 WHERE id = $1', [
      ...[rowChanged, evil_link, malware.length, digest('sha256'), digest('sha1'), digest('md5')],
    ]);
    const fileChanged = await upload('1.3.0', ada);
    await database.query('UPDATE firmwares SET file_link = $2 WHERE id = $1', [fileChanged, evil_link]);
    await database.query('UPDATE author_keys SET public_key = $1, kid = $2', [JSON.stringify(eve.publicKey), keyIdOf(eve.publicKey)]);
    const ownRoot = await signedRoot(rootOf({ eve }, eve, { version: 2, signatures_required: { cabinet: 0 } }), eve);
    await database.query(`INSERT INTO author_roots VALUES (2, $1, 'ada', now())`, [JSON.stringify(ownRoot)]);
    const ownKeys = await upload('1.4.0', eve);
    await database.query(`UPDATE hardware_types SET author_signatures_required = 0 WHERE name = 'cabinet'`);
    const unsigned = await upload('1.5.0');

    const attacks = [rowChanged, fileChanged, ownKeys, unsigned];
    const outcomes = await Promise.all(attacks.map((firmware_id, i) => update(firmware_id, [cabinets[i] ?? ''])));
    expect(outcomes.flat()).toEqual([
      ['C-0001', 'REJECTED', 'not trusted: 1 author has to sign cabinet 1.2.0; 0 did'],
      ['C-0002', 'FAILED', expect.stringMatching(/^not trusted: (size|sha256) mismatch/)],
      ['C-0003', 'REJECTED', 'not trusted: 1 author has to sign cabinet 1.4.0; 0 did'],
      ['C-0004', 'REJECTED', 'not trusted: 1 author has to sign cabinet 1.5.0; 0 did'],
    ]);

    // And what the service's own key signs, told to a cabinet by somebody in the place of the service.
    const keys = JSON.parse(readFileSync(join(directory, 'signing-keys.json'), 'utf8')) as SigningKeys;
    const signManifest = createManifestSigner(createManifestKeys(keys.MANIFEST_SIGNING_KEYS), () => new Date());
    const file = fileOf('cabinet', '6.6.6', malware);
    const allowed = { requires: [], minimum_from_version_num: null, allow_downgrade: true, parts: [], version_num: 9_999, counter: 9_999 };
    const author_signatures = [await release(file, eve, 666)];
    const impostor = await startImpostor({
      offers: [{ bytes: malware, manifest: (await signManifest({ ...file, ...allowed, author_signatures })).manifest }],
      roots: [ownRoot],
    });
    const memory = join(directory, 'taken-over.json');
    copyFileSync(join(directory, 'simulator/iot-fleet.json'), memory);
    const takenOver = await startIotFleet({
      ...{ cabinets: 1, scooters: 0, file: memory, url: impostor.url, tenant: 'default', manifestKeys: publicKeysOf(keys) },
      issueToken: async () => '',
    });
    await vi.waitFor(() => expect(impostor.heard).toHaveLength(1), { timeout: 20_000, interval: 50 });
    takenOver.close();
    impostor.close();
    expect([impostor.heard[0]?.execution, impostor.heard[0]?.details, impostor.downloads]).toEqual([
      'rejected',
      ['not trusted: 1 author has to sign cabinet 6.6.6; 0 did'],
      0,
    ]);
  } finally {
    s3.destroy();
    await database.end();
  }

  for (const external_id of cabinets) {
    const { firmwares } = await api.getCabinet(external_id);
    expect(firmwares.find(({ hardware_type }) => hardware_type === 'cabinet')?.version).toBe('1.1.0');
  }
  const devices = JSON.parse(readFileSync(join(directory, 'simulator/iot-fleet.json'), 'utf8')) as { version: string }[];
  expect(devices.map(({ version }) => version)).toEqual(cabinets.map(() => '1.1.0'));
});

it('leaves no stack.json, lock or process file after a clean stop', async () => {
  await stack?.stop();
  for (const file of ['stack.json', 'postgres/lock', 'postgres/data/postmaster.pid']) expect(existsSync(join(directory, file))).toBe(false);
});
