// A stack that keeps its data is killed in the middle of an update and started again.
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import {
  createClient,
  type RegisterDevicesBodyDevicesItem as NewDevice,
  registerAll,
  startUpdate,
  uploadFirmware,
} from '../../clients/api/src/index.ts';
import { createDisplay } from '../../dev/display.ts';
import { runMainJob } from '../../dev/main-job.ts';
import { type Stack, type StackDescription, type StackOptions, startStack } from '../../dev/stack/stack.ts';

const SCOOTERS = 150;
const fleet: NewDevice[] = Array.from({ length: SCOOTERS }, (_, index) => ({
  ...{ kind: 'scooter', external_id: `S-${String(index + 1).padStart(5, '0')}`, version: 1 },
}));

let directory: string;
let stackFile: string;
let options: StackOptions;
let child: ChildProcess | undefined;
let stack: Stack | undefined;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'restart-'));
  stackFile = join(directory, 'stack.json');
  options = { directory, stackFile, simulator: { scooters: SCOOTERS, cabinets: 0, install_seconds: 1.5, seed: 3 } };
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

it('leaves no stack.json, lock or process file after a clean stop', async () => {
  await stack?.stop();
  for (const file of ['stack.json', 'postgres/lock', 'postgres/data/postmaster.pid']) expect(existsSync(join(directory, file))).toBe(false);
});
