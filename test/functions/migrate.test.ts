import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { createHandler } from '../../functions/migrate/handler.ts';
import { createTestDatabase } from '../support/database.ts';
import { givenDevices, givenFirmware, silentLog } from '../support/fixtures.ts';
import { createUpdateService } from '../support/update-service.ts';

const { db, url } = await createTestDatabase({ isEmpty: true });
const service = createUpdateService(db);

const migrate = (firstExecutionId: number, event?: unknown) => createHandler({ databaseUrl: url, firstExecutionId, log: silentLog })(event);

/** The ids that the executions of a new update get. */
const requestUpdate = async (devices = 3): Promise<number[]> => {
  const external_ids = await givenDevices(db, devices);
  const firmware = await givenFirmware(db);
  const { id } = await service.request({ firmware_id: firmware.id, targets: { external_ids } });
  return (await service.executions(id)).map((execution) => execution.id).sort((a, b) => a - b);
};

describe('migrate', () => {
  it('brings an empty database to the schema, and has the ids of executions begin where the environment says', async () => {
    const { applied } = await migrate(500_000_000);
    expect(applied.length).toBeGreaterThan(0);
    expect(await requestUpdate()).toEqual([500_000_000, 500_000_001, 500_000_002]);
  });

  it('repeated applies nothing, and ids go on where they are', async () => {
    expect(await migrate(500_000_000)).toEqual({ applied: [], raised: {} });
    expect(await requestUpdate()).toEqual([500_000_003, 500_000_004, 500_000_005]);
  });

  it('never lowers ids, also when none has been used since they were raised', async () => {
    await migrate(1);
    expect(await requestUpdate(1)).toEqual([500_000_006]);
    await migrate(600_000_000);
    await migrate(550_000_000);
    expect(await requestUpdate(1)).toEqual([600_000_000]);
  });

  it('raises ids to the very next one', async () => {
    await migrate(600_000_001);
    expect(await requestUpdate(1)).toEqual([600_000_001]);
  });

  it('started several times at once, beside updates that are requested, gives no id twice', async () => {
    const answers = await Promise.all([
      ...Array.from({ length: 4 }, () => requestUpdate(20)),
      ...[700_000_000, 650_000_000, 700_000_000].map(async (first) => (await migrate(first)) && []),
      ...Array.from({ length: 4 }, () => requestUpdate(20)),
    ]);
    const ids = answers.flat();
    expect(ids).toHaveLength(160);
    expect(new Set(ids).size).toBe(160);
    expect(Math.min(...(await requestUpdate()))).toBeGreaterThanOrEqual(700_000_000);
  });

  it('fails and leaves the ids as they are where the database is not there', async () => {
    const nowhere = new URL(url);
    nowhere.pathname = '/no_such_database';
    await expect(createHandler({ databaseUrl: nowhere.href, firstExecutionId: 1, log: silentLog })()).rejects.toThrow('no_such_database');
  });

  it('ids stay positive 31-bit integers', async () => {
    const { rows } = await sql<{ data_type: string }>`
      SELECT data_type FROM information_schema.columns WHERE table_name = 'update_executions' AND column_name = 'id'`.execute(db);
    expect(rows).toEqual([{ data_type: 'integer' }]);
  });
});

describe('migrate after a restore', () => {
  const executionIds = 'update_executions_id_seq';

  it('raises all ids far beyond what was given out, and the ordinals of versions', async () => {
    const [before = 0] = await requestUpdate(1);
    const { version_num } = await givenFirmware(db);
    const { raised } = await migrate(1, { restored: true });
    expect(raised[executionIds]).toBe(before + 10_000_000);
    expect(Object.keys(raised)).toEqual(
      expect.arrayContaining(['updates_id_seq', 'update_dispatches_id_seq', 'observations_id_seq', 'firmware_manifest_counter']),
    );
    expect(await requestUpdate(1)).toEqual([before + 10_000_000]);
    const counter = raised['firmware_manifest_counter'] ?? 0;
    const { rows } = await sql<{ highest: number }>`SELECT max(manifest_counter) AS highest FROM updates`.execute(db);
    expect(counter).toBeGreaterThan(10_000_000);
    // Of the draft of its firmware, of the firmware, and of the update.
    expect(rows[0]?.highest).toBe(counter + 2);
    // The next one after the firmware of that update.
    expect((await givenFirmware(db)).version_num).toBe(version_num + 1_002);
  });

  it('also of sequences that nobody has used before the moment that was restored', async () => {
    const { rows } = await sql<{ id: number }>`SELECT nextval('observations_id_seq') AS id`.execute(db);
    expect(rows[0]?.id).toBeGreaterThan(10_000_000);
  });

  it('repeated raises them again, and nothing is lowered', async () => {
    const first = (await migrate(1, { restored: true })).raised[executionIds] ?? 0;
    const second = (await migrate(1, { restored: true })).raised[executionIds] ?? 0;
    expect(second).toBe(first + 10_000_000);
  });

  it('of a backup that was restored before goes further than the first time', async () => {
    const backup =
      (await sql<{ last_value: number }>`SELECT last_value FROM update_executions_id_seq`.execute(db)).rows[0]?.last_value ?? 0;
    const first = (await migrate(1, { restored: true })).raised[executionIds] ?? 0;
    const [given = 0] = await requestUpdate(1);
    expect(given).toBe(first);
    await sql`SELECT setval('update_executions_id_seq', ${backup})`.execute(db);
    const second = (await migrate(1, { restored: true, restores: 2 })).raised[executionIds] ?? 0;
    expect(second).toBe(backup + 20_000_000);
    expect(second).toBeGreaterThan(given);
  });

  it('raises nothing when the ids have no room left, and says which', async () => {
    await migrate(1, { restored: true });
    await sql`SELECT setval('update_dispatches_id_seq', 2140000000)`.execute(db);
    const before = await sql`SELECT last_value FROM updates_id_seq`.execute(db);
    await expect(migrate(1, { restored: true })).rejects.toThrow(
      'update_dispatches_id_seq cannot be raised by 10000000: it ends at 2147483647',
    );
    expect((await sql`SELECT last_value FROM updates_id_seq`.execute(db)).rows).toEqual(before.rows);
  });

  it('refuses an event that it does not know, and changes nothing', async () => {
    await expect(migrate(1, { restore: true })).rejects.toThrow();
  });
});
