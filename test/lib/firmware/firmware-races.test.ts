import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import { insertDraft, makeAvailable, rejectDraft } from '../../../lib/firmware/draft-queries.ts';
import { uploadFirmware } from '../../../lib/firmware/upload-firmware.ts';
import { registerFirmware } from '../../../lib/registration/register-firmware.ts';
import { catalogueDeps, emptyCatalogue, firmwareBytes, firmwareHashes, linkOf, storedFirmwares } from '../../support/catalogue.ts';
import { createTestDatabase } from '../../support/database.ts';
import { startOfTime } from '../../support/fixtures.ts';

const { db } = await createTestDatabase({ maxConnections: 20 });
beforeEach(() => emptyCatalogue(db));

const key = 'firmwares/vega_mcu/1.4.2/firmware.bin';
const promise = {
  hardware_type: 'vega_mcu',
  version: '1.4.2',
  filename: 'firmware.bin',
  comment: '',
  size_bytes: 14,
  sha256: firmwareHashes.sha256,
  created_by: 'engineer',
  request_id: 'request-1',
};
const atOnce = <T>(count: number, work: (n: number) => Promise<T>) => Promise.all(Array.from({ length: count }, (_, n) => work(n)));
const count = <T>(values: readonly T[]) =>
  Object.fromEntries(
    Map.groupBy(values, String)
      .entries()
      .map(([k, v]) => [k, v.length]),
  );
const lastNumber = () =>
  db.selectFrom('hardware_types').select('last_version_num').where('name', '=', 'vega_mcu').executeTakeFirstOrThrow();

describe('at one moment', () => {
  it.each([true, false])('20 events about one object make one firmware; announced: %s', async (announced) => {
    const deps = catalogueDeps(db);
    if (announced) await uploadFirmware(deps, promise);
    const object = deps.storage.put(key, firmwareBytes);
    expect(count(await atOnce(20, () => registerFirmware(deps, object)))).toEqual({ available: 1, registered_before: 19 });
    expect(await storedFirmwares(db)).toMatchObject([{ status: 'available', version_num: 1 }]);
    expect(await lastNumber()).toEqual({ last_version_num: 1 });
  });

  it('20 uploads of different bytes to one version make one firmware, whose link, size and hashes belong together', async () => {
    const deps = catalogueDeps(db);
    const contents = Array.from({ length: 20 }, (_, n) => Buffer.from(`firmware ${'x'.repeat(n)}`));
    const objects = contents.map((bytes) => deps.storage.put(key, bytes));
    const outcomes = await Promise.all(objects.map((object) => registerFirmware(deps, object)));
    expect(count(outcomes)).toEqual({ available: 1, registered_before: 19 });
    const winner = outcomes.indexOf('available');
    expect(await storedFirmwares(db)).toMatchObject([
      {
        version_num: 1,
        file_link: deps.storage.toLink(objects[winner] ?? { key: '', version_id: '' }),
        size_bytes: 9 + winner,
        sha256: createHash('sha256')
          .update(contents[winner] ?? '')
          .digest('hex'),
      },
    ]);
  });

  it('50 registrations get the ordinals 1 to 50, each once, beside rejected ones and those of another type', async () => {
    const deps = catalogueDeps(db);
    await atOnce(70, (n) => {
      if (n >= 60) return registerFirmware(deps, deps.storage.put(`firmwares/vega_mcu/empty ${n}/firmware.bin`, Buffer.alloc(0)));
      const type = n < 50 ? 'vega_mcu' : 'vega_gsm';
      return registerFirmware(deps, deps.storage.put(`firmwares/${type}/1.${n}/firmware.bin`, firmwareBytes));
    });
    const rows = await storedFirmwares(db);
    const ordinals = (type: string) =>
      rows
        .flatMap(({ hardware_type, version_num }) => (hardware_type === type && version_num ? [version_num] : []))
        .toSorted((a, b) => a - b);
    expect(ordinals('vega_mcu')).toEqual(Array.from({ length: 50 }, (_, n) => n + 1));
    expect(ordinals('vega_gsm')).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(rows.filter(({ status }) => status === 'rejected')).toHaveLength(10);
  });

  it('20 equal requests reserve one version, and everybody gets a link that works', async () => {
    const deps = catalogueDeps(db);
    const results = await atOnce(20, () => uploadFirmware(deps, promise));
    expect(count(results.map(({ isNew }) => isNew))).toEqual({ true: 1, false: 19 });
    expect(new Set(results.map(({ answer }) => answer.id)).size).toBe(1);
    expect(await storedFirmwares(db)).toHaveLength(1);
    expect(count(results.map(({ answer }) => deps.storage.upload(linkOf(answer), firmwareBytes).status))).toEqual({ 200: 1, 412: 19 });
  });

  it('20 requests for one version with different files: the last promise holds, and only its link brings a file in', async () => {
    const deps = catalogueDeps(db);
    const files = Array.from({ length: 20 }, (_, n) => Buffer.from(`firmware ${String(n).padStart(2, '0')}`));
    const sha256Of = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
    const requested = await Promise.all(
      files.map(async (bytes) => ({ bytes, ...(await uploadFirmware(deps, { ...promise, size_bytes: 11, sha256: sha256Of(bytes) })) })),
    );
    expect(count(requested.map(({ isNew }) => isNew))).toEqual({ true: 1, false: 19 });
    const [promised] = await storedFirmwares(db);
    for (const { bytes, answer } of requested) {
      const { object } = deps.storage.upload(linkOf(answer), bytes);
      if (!object) throw new Error('S3 refuses the file that it was promised');
      expect(await registerFirmware(deps, object)).toBe(promised?.sha256 === sha256Of(bytes) ? 'available' : 'not_awaited');
    }
    expect(await storedFirmwares(db)).toMatchObject([{ status: 'available', version_num: 1, sha256: promised?.sha256 }]);
  });

  it('a pipeline and an engineer with the same file: one version, available once', async () => {
    const deps = catalogueDeps(db);
    const object = deps.storage.put(key, firmwareBytes);
    await Promise.allSettled([...Array.from({ length: 10 }, () => [registerFirmware(deps, object), uploadFirmware(deps, promise)])].flat());
    expect(await storedFirmwares(db)).toMatchObject([{ status: 'available', version_num: 1 }]);
  });
});

describe('a draft', () => {
  const draft = async () => {
    const row = await insertDraft(db, { ...promiseRow, created_dt: startOfTime });
    return row?.id ?? 0;
  };
  const promiseRow = {
    hardware_type: 'vega_mcu',
    version: '1.4.2',
    object_key: key,
    size_bytes: null,
    sha256: null,
    comment: '',
    created_by: 'test',
  };
  const facts = { file_link: 's3://memory/x?versionId=1', size_bytes: 14, ...firmwareHashes };

  it('that becomes available and is rejected at one moment ends as one of the two', async () => {
    const id = await draft();
    const outcomes = await Promise.all([
      makeAvailable(db, { id, object_key: key }, facts),
      rejectDraft(db, { id, object_key: key }, 'no'),
      makeAvailable(db, { id, object_key: key }, facts),
      rejectDraft(db, { id, object_key: key }, 'no'),
    ]);
    expect(outcomes.filter(Boolean)).toHaveLength(1);
    const [row] = await storedFirmwares(db);
    expect(row?.version_num).toBe(row?.status === 'available' ? 1 : null);
    expect(await lastNumber()).toEqual({ last_version_num: row?.status === 'available' ? 1 : 0 });
  });

  it('that two make available while both wait for the ordinal becomes available once, with the facts of one', async () => {
    const id = await draft();
    const waiting = () =>
      sql<{ count: number }>`
        SELECT count(*)::int AS count FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'`.execute(db);
    const [one, two] = await db.transaction().execute(async (trx) => {
      await sql`SELECT 1 FROM hardware_types WHERE name = 'vega_mcu' FOR UPDATE`.execute(trx);
      const both = [
        makeAvailable(db, { id, object_key: key }, facts),
        makeAvailable(db, { id, object_key: key }, { ...facts, size_bytes: 15 }),
      ] as const;
      await expect.poll(async () => (await waiting()).rows).toEqual([{ count: 2 }]);
      return both.map((promise) => ({ promise }));
    });
    const outcomes = await Promise.all([one?.promise, two?.promise]);
    expect(outcomes.filter(Boolean)).toEqual([{ id, version_num: 1 }]);
    expect(await storedFirmwares(db)).toMatchObject([{ version_num: 1, size_bytes: outcomes[0] ? 14 : 15 }]);
    expect(await lastNumber()).toEqual({ last_version_num: 1 });
  });

  it('that is no draft any more takes no ordinal', async () => {
    const id = await draft();
    await rejectDraft(db, { id, object_key: key }, 'no');
    expect(await makeAvailable(db, { id, object_key: key }, facts)).toBeUndefined();
    expect(await makeAvailable(db, { id: 2_147_483_647, object_key: key }, facts)).toBeUndefined();
    expect(await lastNumber()).toEqual({ last_version_num: 0 });
  });

  it('cannot become available with an ordinal that is lost when the statement fails', async () => {
    const id = await draft();
    await expect(makeAvailable(db, { id, object_key: key }, { ...facts, size_bytes: 0 })).rejects.toThrow('firmwares_available_check');
    expect(await lastNumber()).toEqual({ last_version_num: 0 });
    expect(await makeAvailable(db, { id, object_key: key }, facts)).toEqual({ id, version_num: 1 });
  });
});
