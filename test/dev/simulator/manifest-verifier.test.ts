// What somebody in between may try, against what a device does about it: the reference verifier with manifests and bytes of the real code.
import { createHash } from 'node:crypto';
import { SignJWT, UnsecuredJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { type Accepted, accept, Refused, type Verification, verifyFile, verifyManifest } from '../../../dev/simulator/manifest-verifier.ts';
import { addSeconds } from '../../../lib/clock.ts';
import { getManifest } from '../../../lib/firmware/get-manifest.ts';
import { createManifestSigner, type ManifestFacts, parseManifestKeys, toPublicKeys } from '../../../lib/firmware/manifest.ts';
import { createManifestKeys } from '../../../ops/signing-keys.ts';
import { createAssemblyService } from '../../support/assembly-service.ts';
import { createTestDatabase } from '../../support/database.ts';
import { givenDevices, startOfTime } from '../../support/fixtures.ts';
import { manifestClaimsOf, manifestKeySet, manifestSigner } from '../../support/manifest-signer.ts';
import { startReportingFleet } from '../../support/reporting-fleet.ts';
import { createUpdateService } from '../../support/update-service.ts';

const { db } = await createTestDatabase();
const assemblies = createAssemblyService(db);
const updates = createUpdateService(db);
const signManifest = manifestSigner(() => startOfTime);

/** Two packages, the second one newer, each with a manifest as `GET /v1/firmwares/{id}/manifest` gives it. */
const givenRelease = async () => {
  const { firmware, bytes, object } = await assemblies.givenPackage();
  const { manifest } = await getManifest({ db, signManifest }, firmware.id);
  return { firmware, bytes, object, manifest };
};
const [older, newer] = [await givenRelease(), await givenRelease()];

async function* stream(bytes: Uint8Array) {
  for (let at = 0; at < bytes.length; at += 1_000) yield bytes.subarray(at, at + 1_000);
}

/** As a device does it: the manifest, then the bytes as they come; what is refused by either is not installed. */
const install = async (
  manifest: string,
  bytes: Uint8Array,
  {
    hardware_type = 'cabinet',
    accepted = new Map<string, Accepted>(),
    now = startOfTime,
    keys = manifestKeySet,
  }: Partial<Verification> = {},
) => {
  const verified = await verifyManifest(manifest, { keys, hardware_type, accepted, now });
  await verifyFile(verified, stream(bytes));
  return verified;
};

const flipped = (bytes: Buffer, position: number) => {
  const copy = Buffer.from(bytes);
  copy.writeUInt8((copy[position] ?? 0) ^ 1, position);
  return copy;
};
const afterNewer = async () => new Map([['cabinet', accept(await install(newer.manifest, newer.bytes))]]);
const foreign = parseManifestKeys(createManifestKeys().MANIFEST_SIGNING_KEYS);
const claimsWith = (fields: Record<string, unknown>) => ({ ...manifestClaimsOf(newer.manifest), ...fields });
const factsWith = (fields: Partial<ManifestFacts>): ManifestFacts => ({
  ...(manifestClaimsOf(newer.manifest) as unknown as ManifestFacts),
  ...fields,
});
const withPayload = (jws: string, claims: unknown) => {
  const [header, , signature] = jws.split('.');
  return [header, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.');
};

describe('what is genuine', () => {
  it('is installed: for the first time, and over an older one', async () => {
    const first = accept(await install(older.manifest, older.bytes));
    await expect(install(newer.manifest, newer.bytes, { accepted: new Map([['cabinet', first]]) })).resolves.toMatchObject({
      version: newer.firmware.version,
      counter: expect.any(Number),
    });
  });

  it('is installed again after a try that failed, by the same manifest', async () => {
    await expect(install(newer.manifest, newer.bytes, { accepted: await afterNewer() })).resolves.toBeDefined();
  });

  it('is installed by a clock that is a little behind, and while a former key is still trusted', async () => {
    await expect(install(newer.manifest, newer.bytes, { now: addSeconds(startOfTime, -200) })).resolves.toBeDefined();
    const keys = { keys: [...toPublicKeys(foreign, '').keys, ...manifestKeySet.keys] };
    await expect(install(newer.manifest, newer.bytes, { keys })).resolves.toBeDefined();
  });

  it('is an older one that an update with allow_downgrade asks for, and then the newer one again', async () => {
    const accepted = await afterNewer();
    const [external_id = ''] = await givenDevices(db, 1, { kind: 'cabinet', channel: 'telematics' });
    const commandFor = async (firmware_id: number, more: object) => {
      const targets = { kind: 'cabinet', external_ids: [external_id] };
      const update = await updates.request({ firmware_id, targets, ...more });
      for (const message of updates.deps.advances.take()) await updates.advance(message);
      for (const message of updates.deps.dispatches.take()) await updates.dispatch(message, { signManifest });
      await db
        .updateTable('update_executions')
        .set({ status: 'CANCELED', finished_dt: startOfTime })
        .where('update_id', '=', update.id)
        .execute();
      return updates.deps.backend.calls.at(-1)?.commands[0]?.manifest ?? '';
    };
    const down = await commandFor(older.firmware.id, { allow_downgrade: true, comment: 'the new one is bad' });
    const downgraded = accept(await install(down, older.bytes, { accepted }));
    const again = new Map([['cabinet', downgraded]]);
    // What was in order before the downgrade is not any more: its counter is lower.
    await expect(install(newer.manifest, newer.bytes, { accepted: again })).rejects.toThrow(/older than one that was taken before/);
    const up = await commandFor(newer.firmware.id, {});
    await expect(install(up, newer.bytes, { accepted: again })).resolves.toMatchObject({ version: newer.firmware.version });
  });
});

describe('attacks are refused', () => {
  const attacks: [string, () => Promise<unknown>, RegExp][] = [
    ['other bytes of the same length', () => install(newer.manifest, Buffer.alloc(newer.bytes.length)), /sha256 mismatch/],
    ['one flipped bit, at the beginning', () => install(newer.manifest, flipped(newer.bytes, 0)), /sha256 mismatch/],
    ['one flipped bit, at the end', () => install(newer.manifest, flipped(newer.bytes, newer.bytes.length - 1)), /sha256 mismatch/],
    [
      'one flipped bit where SWUpdate does not look: a time in a header',
      () => install(newer.manifest, flipped(newer.bytes, 50)),
      /sha256 mismatch/,
    ],
    ['a file that was cut', () => install(newer.manifest, newer.bytes.subarray(0, -1)), /size mismatch/],
    ['no bytes at all', () => install(newer.manifest, Buffer.alloc(0)), /size mismatch/],
    ['a file with something behind it', () => install(newer.manifest, Buffer.concat([newer.bytes, Buffer.from('x')])), /size mismatch/],
    ['the older file under the manifest of the newer one', () => install(newer.manifest, older.bytes), /mismatch/],
    [
      'parts mixed from two packages',
      () => {
        const mixed = Buffer.from(newer.bytes);
        const part = Buffer.from('the vega_gsm');
        mixed.fill('x', mixed.lastIndexOf(part), mixed.lastIndexOf(part) + part.length);
        return install(newer.manifest, mixed);
      },
      /sha256 mismatch/,
    ],
    [
      'another hardware type',
      () => install(newer.manifest, newer.bytes, { hardware_type: 'vega_mcu' }),
      /is for cabinet, not for vega_mcu/,
    ],
    [
      'an older version, replayed',
      async () => install(older.manifest, older.bytes, { accepted: await afterNewer() }),
      /older than one that was taken before/,
    ],
    [
      'an older version, with a manifest that was issued freshly and permits no downgrade',
      async () => {
        const manifest = await signManifest(factsWith({ version_num: 1, counter: 9_999_999 }));
        return install(manifest.manifest, older.bytes, { accepted: new Map([['cabinet', { version_num: 2, counter: 5, sha256: 'x' }]]) });
      },
      /version_num 1 is lower than 2, which runs/,
    ],
    ['an expired manifest', () => install(newer.manifest, newer.bytes, { now: addSeconds(startOfTime, 7 * 86_400 + 301) }), /expired/],
    ['a manifest of the future', () => install(newer.manifest, newer.bytes, { now: addSeconds(startOfTime, -301) }), /future/],
    [
      'a key of somebody else',
      async () =>
        install(
          (
            await createManifestSigner(
              async () => foreign,
              () => startOfTime,
            )(factsWith({}))
          ).manifest,
          newer.bytes,
        ),
      /not one of the updater/,
    ],
    [
      'a key of somebody else under the id of ours',
      async () => {
        const stolen = { keys: [{ ...foreign.keys[0], kid: manifestKeySet.keys[0]?.kid ?? '' }] as [(typeof foreign.keys)[0]] };
        return install(
          (
            await createManifestSigner(
              async () => stolen,
              () => startOfTime,
            )(factsWith({}))
          ).manifest,
          newer.bytes,
        );
      },
      /not one of the updater/,
    ],
    [
      'a changed hash under the old signature',
      () => {
        const bytes = Buffer.from('malware');
        const sha256 = createHash('sha256').update(bytes).digest('hex');
        return install(withPayload(newer.manifest, claimsWith({ sha256, size_bytes: bytes.length })), bytes);
      },
      /not one of the updater/,
    ],
    [
      'a longer life under the old signature',
      () => install(withPayload(newer.manifest, claimsWith({ exp: 4_000_000_000 })), newer.bytes),
      /not one of the updater/,
    ],
    ['no signature', async () => install(new UnsecuredJWT(claimsWith({})).encode(), newer.bytes), /not one of the updater/],
    [
      'the public key as a shared secret',
      async () => {
        const secret = Buffer.from(manifestKeySet.keys[0]?.x ?? '', 'base64url');
        const header = { alg: 'HS256', typ: 'firmware-manifest+jwt', kid: manifestKeySet.keys[0]?.kid ?? '' };
        return install(await new SignJWT(claimsWith({})).setProtectedHeader(header).sign(secret), newer.bytes);
      },
      /not one of the updater/,
    ],
    ['nothing that could be a manifest', () => install('x.y.z', newer.bytes), /not one of the updater/],
    ['a manifest of which a piece is missing', () => install(newer.manifest.slice(0, -10), newer.bytes), /not one of the updater/],
    [
      'two manifests with one counter',
      async () => {
        const accepted = await afterNewer();
        const counter = accepted.get('cabinet')?.counter ?? 0;
        const { manifest } = await signManifest(
          factsWith({ ...(manifestClaimsOf(older.manifest) as unknown as ManifestFacts), version_num: 99, counter }),
        );
        return install(manifest, older.bytes, { accepted });
      },
      /one counter/,
    ],
  ];
  it.each(attacks)('%s', async (_, attack, why) => {
    const outcome = attack();
    await expect(outcome).rejects.toThrow(Refused);
    await expect(outcome).rejects.toThrow(why);
  });

  it('an object in S3 that was swapped after its registration: the link yields the old bytes, and the new ones are refused', async () => {
    const { storage } = assemblies.deps;
    const malware = Buffer.from(newer.bytes).fill('x', 200, 300);
    const swapped = storage.put(newer.object.key, malware);
    const { url } = await storage.signDownload(storage.fromLink(newer.firmware.file_link ?? ''));
    await expect(install(newer.manifest, storage.download(url).bytes ?? Buffer.alloc(0))).resolves.toBeDefined();
    await expect(install(newer.manifest, await storage.read(swapped))).rejects.toThrow(/sha256 mismatch/);
  });

  it('a stepping stone or a requirement that is known to be missing', async () => {
    const facts = factsWith({});
    const needs = await signManifest({ ...facts, minimum_from_version_num: 5, requires: [] });
    const known = (version_num: number) => ({ version_num, counter: 1, sha256: 'x' });
    await expect(install(needs.manifest, newer.bytes, { accepted: new Map([['cabinet', known(1)]]) })).rejects.toThrow(
      /5 or higher has to run before/,
    );
    const requires = await signManifest({ ...facts, requires: [{ hardware_type: 'vega_gsm', minimum_version_num: 3 }] });
    await expect(install(requires.manifest, newer.bytes, { accepted: new Map([['vega_gsm', known(2)]]) })).rejects.toThrow(
      /vega_gsm has to run/,
    );
    await expect(install(requires.manifest, newer.bytes, { accepted: new Map([['vega_gsm', known(3)]]) })).resolves.toBeDefined();
  });
});

describe('devices of the simulated fleet', () => {
  it('check the manifest of a command before they download anything, and say why they refuse', async () => {
    const fleet = await startReportingFleet(newer.bytes);
    try {
      const { version, sha256, size_bytes } = newer.firmware;
      const command = (n: number, fields: object) => ({
        ...{
          execution_id: n,
          attempt: 1,
          kind: 'cabinet',
          external_id: `C-000${n}`,
          hardware_type: 'cabinet',
          version,
          sha256,
          size_bytes,
        },
        ...{ url: `${fleet.fileUrl}/${n}`, expires_dt: '2099-01-01T00:00:00.000Z', manifest: newer.manifest },
        ...fields,
      });
      const commands = [command(1, {}), command(2, { manifest: 'unsigned' }), command(3, { manifest: older.manifest })];
      await fleet.command(commands);
      await expect.poll(() => fleet.reports.length, { timeout: 10_000 }).toBe(3);
      const said = fleet.reports.map(({ external_id, status, detail }) => [external_id, status, detail]);
      expect(said.toSorted()).toEqual([
        ['C-0001', 'SUCCEEDED', undefined],
        ['C-0002', 'REJECTED', 'not trusted: the manifest is not one of the updater'],
        ['C-0003', 'REJECTED', `not trusted: the manifest is for ${older.firmware.version}, the command for ${version}`],
      ]);
      expect(fleet.downloads).toEqual(['/1']);
    } finally {
      await fleet.close();
    }
  });
});
