import { beforeEach, describe, expect, it } from 'vitest';
import { signDowngrade } from '../../../clients/cli/src/signing/statement.ts';
import { addAuthorKey, revokeAuthorKey } from '../../../lib/authors/edit-author-keys.ts';
import type { SignedPart } from '../../../lib/authors/signature.ts';
import { DomainError } from '../../../lib/errors.ts';
import { addHardwareType, changeHardwareType } from '../../../lib/firmware/edit-hardware-type.ts';
import { getManifest } from '../../../lib/firmware/get-manifest.ts';
import { NewHardwareType } from '../../../lib/firmware/hardware-type.ts';
import { announceFirmware } from '../../../lib/registration/announce-firmware.ts';
import { registerFirmware } from '../../../lib/registration/register-firmware.ts';
import { signFirmware } from '../../../lib/registration/sign-firmware.ts';
import { createAssemblyService } from '../../support/assembly-service.ts';
import { createAuthorKey, fileOf, release } from '../../support/authors.ts';
import { catalogueDeps, firmwareBytes, linkOf, promisedKey, storedFirmwares } from '../../support/catalogue.ts';
import { createTestDatabase } from '../../support/database.ts';
import { actor, givenDevices } from '../../support/fixtures.ts';
import { manifestClaimsOf, manifestSigner } from '../../support/manifest-signer.ts';
import { createUpdateService } from '../../support/update-service.ts';

const { db } = await createTestDatabase({ maxConnections: 10 });
const deps = catalogueDeps(db);
const updates = createUpdateService(db);
const type = 'signed_mcu';
await addHardwareType(
  deps,
  NewHardwareType.parse({
    ...{ name: type, device_kind: 'scooter', channel: 'telematics', scooter_versions: [1, 2], max_size_bytes: 1_000_000 },
    author_signatures_required: 2,
  }),
  actor,
);

const keeper = { subject: 'keeper', request_id: 'request-1' };
const [ada, bob, eve] = [createAuthorKey(), createAuthorKey('p256'), createAuthorKey()];
const keyOf = async (owner: string, key: typeof ada, hardware_types = [type]) =>
  (await addAuthorKey(deps, { owner, public_key: key.publicKey as never, hardware_types, valid_until_dt: null }, keeper)).answer;
const file = (version: string) => fileOf(type, version, firmwareBytes);

const announce = (version: string, signatures: string[] = []) =>
  announceFirmware(deps, {
    ...file(version),
    ...{ filename: 'firmware.bin', comment: '', created_by: 'engineer', request_id: 'request-1', signatures },
  });
const sign = (id: number, statements: readonly string[]) => signFirmware(deps, id, statements, keeper);
const upload = async (version: string) => registerFirmware(deps, deps.storage.put(await promisedKey(db, version), firmwareBytes));
const statusOf = async (id: number) => (await storedFirmwares(db)).find((row) => row.id === id)?.status;
const refusal = async (work: Promise<unknown>): Promise<DomainError> => {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof DomainError) return error;
  throw new Error('It was not refused', { cause: error });
};

beforeEach(async () => {
  await db.deleteFrom('author_keys').execute();
  await db
    .deleteFrom('firmwares')
    .where('hardware_type', '=', type)
    .where('id', 'not in', (eb) => eb.selectFrom('updates').select('firmware_id'))
    .execute();
  await keyOf('ada', ada);
  await keyOf('bob', bob);
});

describe('a firmware whose hardware type demands two authors', () => {
  it('is available at once when both have signed before its upload', async () => {
    const { answer } = await announce('1.0', [await release(file('1.0'), ada), await release(file('1.0'), bob)]);
    expect(linkOf(answer).url).toMatch(/^http/);
    expect(await upload('1.0')).toBe('available');
  });

  it('is not signed twice by one owner, with one key or with two', async () => {
    const second = createAuthorKey();
    await keyOf('ada', second);
    const { answer } = await announce('1.0', [await release(file('1.0'), ada), await release(file('1.0'), second)]);
    expect(await upload('1.0')).toBe('awaiting_signature');
    await sign(answer.id, [await release(file('1.0'), ada, 7)]);
    expect(await statusOf(answer.id)).toBe('awaiting_signature');
  });

  it('counts no signature of a key that was revoked before the file came', async () => {
    const { answer } = await announce('1.0', [await release(file('1.0'), ada), await release(file('1.0'), bob)]);
    const { id } = await db.selectFrom('author_keys').select('id').where('owner', '=', 'bob').executeTakeFirstOrThrow();
    await revokeAuthorKey(deps, id, 'stolen', keeper);
    expect(await upload('1.0')).toBe('awaiting_signature');
    expect(await statusOf(answer.id)).toBe('awaiting_signature');
  });

  it('of two authors who sign at one moment, both count', async () => {
    const { answer } = await announce('1.0');
    await upload('1.0');
    await Promise.all([ada, bob].map(async (key) => sign(answer.id, [await release(file('1.0'), key)])));
    expect(await statusOf(answer.id)).toBe('available');
  });

  it('is the same after each request has come twice', async () => {
    const signatures = [await release(file('1.0'), ada), await release(file('1.0'), bob)];
    const { answer } = await announce('1.0', signatures);
    await upload('1.0');
    expect(await announce('1.0', signatures)).toMatchObject({ isNew: false, answer: { id: answer.id, status: 'available', upload: null } });
    expect((await sign(answer.id, signatures)).author_signatures).toHaveLength(2);
  });

  it('keeps the number of its author when a pipeline uploads it once more', async () => {
    await announce('1.0', [await release(file('1.0'), ada, 5), await release(file('1.0'), bob, 5)]);
    await upload('1.0');
    const { answer } = await announce('1.0', [await release(file('1.0'), ada, 900)]);
    expect(answer.author_signatures.map(({ owner, author_version }) => [owner, author_version])).toEqual([
      ['ada', 5],
      ['bob', 5],
    ]);
    const signed = await sign(answer.id, [await release(file('1.0'), ada, 901)]);
    expect(signed.author_signatures.map(({ author_version }) => author_version)).toEqual([901, 5]);
  });

  it('that a pipeline has put into the bucket unannounced is signed afterwards', async () => {
    expect(await registerFirmware(deps, deps.storage.put(`firmwares/${type}/2.0/firmware.bin`, firmwareBytes))).toBe('awaiting_signature');
    const [{ id = 0 } = {}] = await storedFirmwares(db).then((rows) => rows.filter((row) => row.version === '2.0'));
    await sign(id, [await release(file('2.0'), ada), await release(file('2.0'), bob)]);
    expect(await statusOf(id)).toBe('available');
  });

  it('carries its signatures to devices in the manifest', async () => {
    const signatures = [await release(file('1.0'), ada), await release(file('1.0'), bob)];
    const { answer } = await announce('1.0', signatures);
    await upload('1.0');
    const { manifest } = await getManifest({ db, signManifest: manifestSigner(deps.now) }, answer.id);
    expect(manifestClaimsOf(manifest)).toMatchObject({ author_signatures: signatures, parts: [] });
  });
});

describe('a statement is refused, and nothing is reserved by it,', () => {
  it.each([
    ['about other bytes', async () => release({ ...file('1.0'), sha256: 'a'.repeat(64) }, ada), /about sha256/],
    ['about another version', async () => release(file('1.1'), ada), /about version 1.1/],
    ['about another hardware type', async () => release({ ...file('1.0'), hardware_type: 'vega_mcu' }, ada), /about hardware_type/],
    ['by nobody who is known', async () => release(file('1.0'), eve), /names no key/],
    ['that is not one', async () => 'a.b.c', /names no key/],
    [
      'whose payload was changed',
      async () => {
        const [header, , signature] = (await release(file('1.1'), ada)).split('.');
        return [header, (await release(file('1.0'), ada)).split('.')[1], signature].join('.');
      },
      /not signed by the key/,
    ],
    [
      'with a signature of nothing but zeros',
      async () => await release(file('1.0'), { ...ada, sign: async () => Buffer.alloc(64) }),
      /not signed by the key/,
    ],
  ])('%s', async (_, make, why) => {
    const error = await refusal(announce('1.0', [await make()]));
    expect(error.code).toBe('request.invalid');
    expect(error.options.errors).toEqual([{ in: 'body', path: 'signatures.0', message: expect.stringMatching(why) }]);
    expect((await storedFirmwares(db)).filter(({ hardware_type }) => hardware_type === type)).toEqual([]);
  });

  it('by a key for other hardware types, that is not valid yet, not any more, or revoked', async () => {
    const other = createAuthorKey();
    await keyOf('carl', other, ['vega_mcu']);
    const why = async () => (await refusal(announce('1.0', [await release(file('1.0'), other)]))).options.errors?.[0]?.message;
    expect(await why()).toBe(`carl may not sign ${type}`);
    const set = (fields: object) => db.updateTable('author_keys').set(fields).where('owner', '=', 'carl').execute();
    await set({ hardware_types: [type], valid_from_dt: new Date('2200-01-01') });
    expect(await why()).toBe('the key of carl is not valid yet');
    await set({ valid_from_dt: new Date('2000-01-01'), valid_until_dt: new Date('2001-01-01') });
    expect(await why()).toBe('the key of carl is not valid any more');
    await set({ valid_until_dt: null, revoked_dt: deps.now(), revoked_by: 'keeper', revocation_reason: 'stolen' });
    expect(await why()).toBe('the key of carl was revoked');
  });

  it('whose number its author has used for another version', async () => {
    await announce('1.0', [await release(file('1.0'), ada, 5)]);
    const error = await refusal(announce('1.1', [await release(file('1.1'), ada, 5)]));
    expect(error.message).toBe('ada has used author_version 5 for version 1.0 already');
  });

  it('about a firmware that is withdrawn or unknown', async () => {
    expect((await refusal(sign(999_999, []))).code).toBe('firmware.not_found');
    const { answer } = await announce('1.0');
    await db.updateTable('firmwares').set({ status: 'rejected', reason: 'x' }).where('id', '=', answer.id).execute();
    expect((await refusal(sign(answer.id, [await release(file('1.0'), ada)]))).code).toBe('firmware.not_signable');
  });
});

it('a downgrade statement is kept beside the release, and counts as no signature', async () => {
  const { answer } = await announce('1.0', [await release(file('1.0'), ada, 3)]);
  const downgrade = await signDowngrade(file('1.0'), bob, new Date('2026-01-01'), { until: new Date('2026-02-01'), author_version: 3 });
  const signed = await sign(answer.id, [downgrade]);
  expect(signed.author_signatures.map(({ owner, kind }) => [owner, kind])).toEqual([
    ['ada', 'release'],
    ['bob', 'downgrade'],
  ]);
  expect(await upload('1.0')).toBe('awaiting_signature');
});

it('a draft with other bytes loses the signatures of the former ones', async () => {
  const { answer } = await announce('1.0', [await release(file('1.0'), ada)]);
  const other = fileOf(type, '1.0', Buffer.from('other bytes'));
  await announceFirmware(deps, {
    ...other,
    filename: 'firmware.bin',
    comment: '',
    created_by: 'engineer',
    request_id: 'request-1',
    signatures: [],
  });
  expect((await storedFirmwares(db)).find(({ id }) => id === answer.id)?.author_signatures).toEqual([]);
});

it('a hardware type that demands nothing takes firmware as before', async () => {
  await changeHardwareType(deps, type, { author_signatures_required: 0 }, actor);
  await announce('3.0');
  expect(await upload('3.0')).toBe('available');
  await changeHardwareType(deps, type, { author_signatures_required: 2 }, actor);
});

it('who signed, added and revoked is in the audit', async () => {
  const { answer } = await announce('1.0', [await release(file('1.0'), ada, 3)]);
  const lines = await db
    .selectFrom('audit_lines')
    .select(['action', 'resource', 'resource_id', 'caller', 'outcome'])
    .where(({ or, eb }) => or([eb('action', '=', 'sign'), eb('resource', '=', 'author_key')]))
    .orderBy('id', 'desc')
    .execute();
  expect(lines[0]).toEqual({
    ...{ action: 'sign', resource: 'firmware', resource_id: String(answer.id), caller: 'engineer' },
    outcome: { signed: [{ owner: 'ada', kind: 'release', author_version: 3 }] },
  });
  expect(lines[1]).toMatchObject({ action: 'add', resource: 'author_key', caller: 'keeper', outcome: { after: { owner: 'bob' } } });
});

const assemblies = createAssemblyService(db);

it('no package is made of a firmware that one of two authors has yet to sign', async () => {
  const { answer } = await announce('1.0', [await release(file('1.0'), ada)]);
  expect(await upload('1.0')).toBe('awaiting_signature');
  expect(await refusal(assemblies.request({ parts: [{ firmware_id: answer.id }] }))).toMatchObject({
    code: 'firmware.not_available',
    options: { errors: [{ path: 'parts.0.firmware_id', message: 'is awaiting_signature' }] },
  });
});

describe('a package whose parts are signed after it was made', () => {
  const partsOf = async (id: number) => {
    const { manifest } = await getManifest({ db, signManifest: manifestSigner(deps.now) }, id);
    return (manifestClaimsOf(manifest)['parts'] as SignedPart[]).map(({ author_signatures }) => author_signatures);
  };
  const demand = (author_signatures_required: number) => changeHardwareType(deps, 'cabinet', { author_signatures_required }, actor);
  const given = async () => {
    await keyOf('carl', carl, ['vega_mcu', 'vega_gsm']);
    const parts = await Promise.all(['vega_mcu', 'vega_gsm'].map((each) => assemblies.givenPart(each)));
    const statements = await Promise.all(
      parts.map(({ hardware_type, version, bytes, id }) => release(fileOf(hardware_type, version, bytes), carl, id)),
    );
    return { parts, statements };
  };
  const carl = createAuthorKey();

  it('carries to devices what is signed about them, also a later downgrade', async () => {
    const { parts, statements } = await given();
    const { firmware } = await assemblies.givenPackage({ parts });
    expect(await partsOf(firmware.id)).toEqual([]);
    for (const [i, { id }] of parts.entries()) await sign(id, [statements[i] ?? '']);
    expect(await partsOf(firmware.id)).toEqual(statements.map((jws) => [jws]));
    const [{ id = 0, hardware_type = '', version = '', bytes = Buffer.of() } = {}] = parts;
    const until = new Date('2200-01-01');
    const downgrade = await signDowngrade(fileOf(hardware_type, version, bytes), carl, deps.now(), { until, author_version: id });
    await sign(id, [downgrade]);
    expect((await partsOf(firmware.id))[0]).toEqual([statements[0], downgrade]);
  });

  it('awaits them, and becomes available with the last one', async () => {
    await demand(1);
    const { parts, statements } = await given();
    const { assembly, message } = await assemblies.given({ parts });
    await assemblies.assemble(message);
    await assemblies.registerWritten();
    expect(await statusOf(assembly.firmware_id)).toBe('awaiting_signature');
    await sign(parts[0]?.id ?? 0, [statements[0] ?? '']);
    expect(await statusOf(assembly.firmware_id)).toBe('awaiting_signature');
    await sign(parts[1]?.id ?? 0, [statements[1] ?? '']);
    expect(await statusOf(assembly.firmware_id)).toBe('available');
    await demand(0);
  });
});

// Last: its firmware cannot be deleted any more.
it('a firmware that one of two authors has signed awaits the other, and no update can choose it until then', async () => {
  const { answer } = await announce('9.0', [await release(file('9.0'), ada)]);
  expect(await upload('9.0')).toBe('awaiting_signature');
  const [external_id = ''] = await givenDevices(db, 1);
  const request = () => updates.request({ firmware_id: answer.id, targets: { kind: 'scooter', external_ids: [external_id] } });
  expect((await refusal(request())).code).toBe('firmware.not_available');
  expect(await sign(answer.id, [await release(file('9.0'), bob)])).toMatchObject({
    status: 'available',
    version_num: expect.any(Number),
  });
  await expect(request()).resolves.toBeDefined();
});
