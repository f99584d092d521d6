import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import { describe, expect, it } from 'vitest';
import type { Db } from '../../../lib/db/database.ts';
import { migrateToLatest } from '../../../lib/db/migrate.ts';
import { getDevice } from '../../../lib/fleet/get-devices.ts';
import { confirmUpdate } from '../../../lib/report/confirm-update.ts';
import { getUpdate } from '../../../lib/update/get-update.ts';
import { requestUpdate } from '../../../lib/update/plan/request-update.ts';
import { migrations } from '../../../migrations/index.ts';
import { createTestDatabase } from '../../support/database.ts';
import { confirmation, givenDevices, givenFirmware, TestClock, updateRequest } from '../../support/fixtures.ts';
import { InMemoryQueue } from '../../support/in-memory-queue.ts';

const folder = new URL('../../../migrations/', import.meta.url);
const { db: migrated, url: migratedUrl } = await createTestDatabase();
const { db: fresh, url: freshUrl } = await createTestDatabase({ isEmpty: true });
const { db: second, url: secondUrl } = await createTestDatabase({ isEmpty: true });

/** All that makes a schema, in an order of its own. */
const describeSchema = async (db: Db) => {
  const { rows } = await sql<{ line: string }>`
    SELECT format('%s.%s %s null:%s default:%s %s', table_name, column_name, data_type, is_nullable, column_default, is_identity) AS line
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT format('%s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT format('%s %s', viewname, definition) FROM pg_views WHERE schemaname = 'public'
    ORDER BY line`.execute(db);
  return rows.map(({ line }) => line);
};
const hardwareTypes = (db: Db) => db.selectFrom('hardware_types').select('name').orderBy('name').execute();
const applied = (db: Db) =>
  sql<{ name: string }>`SELECT name FROM kysely_migration ORDER BY name`.execute(db).then(({ rows }) => rows.map(({ name }) => name));

describe('the list of migrations', () => {
  it('has every file of the folder, in the order of their dates', () => {
    const files = readdirSync(folder).filter((name) => /^\d/.test(name));
    expect(Object.keys(migrations)).toEqual(files.sort().map((name) => name.replace(/\.ts$/, '')));
    for (const name of files) expect(name).toMatch(/^\d{14}_[a-z][a-z0-9_]+\.ts$/);
  });

  it('imports nothing from lib/, and each says whether the previous release keeps working', () => {
    for (const name of readdirSync(folder).filter((file) => /^\d/.test(file))) {
      const text = readFileSync(new URL(name, folder), 'utf8');
      expect(text.startsWith('// '), name).toBe(true);
      expect(text, name).not.toMatch(/from '\.\.?\/(?!.*migrations)/);
    }
  });
});

describe('migrating', () => {
  it('gives an empty database the whole schema, also when five start at once', async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 5 }, () => migrateToLatest(freshUrl)));
    expect(outcomes.map((outcome) => (outcome.status === 'rejected' ? String(outcome.reason) : 'done'))).toEqual(Array(5).fill('done'));
    expect(await describeSchema(fresh)).toEqual(await describeSchema(migrated));
    expect(await applied(fresh)).toEqual(Object.keys(migrations));
    expect(await hardwareTypes(fresh)).toEqual(
      ['audio_battery_low', 'audio_locate', 'audio_lock', 'audio_unlock', 'cabinet', 'vega_gsm', 'vega_mcu', 'yandex_iot'].map((name) => ({
        name,
      })),
    );
  });

  it('step by step leads to the same schema as all at once', async () => {
    const migrator = new Migrator({ db: second, provider: { getMigrations: async () => migrations } });
    for (const name of Object.keys(migrations)) expect((await migrator.migrateTo(name)).error).toBeUndefined();
    expect(await describeSchema(second)).toEqual(await describeSchema(migrated));
    await migrateToLatest(secondUrl);
  });

  it('catches up on those that were merged after later ones, with the same schema', async () => {
    const { db, url } = await createTestDatabase({ isEmpty: true });
    const lateOnes = ['20261126120000_notice_late_walks', '20261126170000_keep_attributes'];
    const others = Object.fromEntries(Object.entries(migrations).filter(([name]) => !lateOnes.includes(name)));
    const migrator = new Migrator({ db, provider: { getMigrations: async () => others } });
    expect((await migrator.migrateToLatest()).error).toBeUndefined();
    expect(await migrateToLatest(url)).toEqual(lateOnes);
    expect(await describeSchema(db)).toEqual(await describeSchema(migrated));
  });

  it('of the views, whose iot was a flag and becomes the id of a firmware, leaves everybody the right to read them', async () => {
    const { db, url } = await createTestDatabase({ isEmpty: true });
    const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } });
    await migrator.migrateTo('20261124160000_recall_dispatches');
    const role = `reader ${randomUUID()}`; // of the whole server
    await sql`CREATE ROLE ${sql.id(role)}`.execute(db);
    try {
      await sql`GRANT SELECT ON scooters TO ${sql.id(role)} WITH GRANT OPTION`.execute(db);
      await sql`GRANT SELECT ON cabinets TO PUBLIC`.execute(db);
      await migrateToLatest(url);
      const { rows } = await sql`
        SELECT has_table_privilege(${role}, 'scooters', 'SELECT WITH GRANT OPTION') AS scooters,
               has_table_privilege(${role}, 'cabinets', 'SELECT') AS cabinets,
               has_table_privilege(${role}, 'scooters', 'UPDATE') AS change`.execute(db);
      expect(rows).toEqual([{ scooters: true, cabinets: true, change: false }]);
    } finally {
      await sql`DROP OWNED BY ${sql.id(role)}`.execute(db);
      await sql`DROP ROLE ${sql.id(role)}`.execute(db);
    }
  });

  it('again changes nothing on a filled database, and what is in it goes on working', async () => {
    const now = new TestClock().now;
    const { id: firmware_id, version } = await givenFirmware(migrated);
    const external_ids = await givenDevices(migrated, 20);
    const update = await requestUpdate(
      { db: migrated, advances: new InMemoryQueue(), now },
      updateRequest({ firmware_id, targets: { external_ids } }),
    );
    await migrated.updateTable('hardware_types').set({ max_size_bytes: 5 }).where('name', '=', 'audio_lock').execute();
    const schema = await describeSchema(migrated);

    await Promise.all([migrateToLatest(migratedUrl), migrateToLatest(migratedUrl)]);

    expect(await describeSchema(migrated)).toEqual(schema);
    expect(await getUpdate(migrated, update.id, now())).toMatchObject({ counts: { QUEUED: 20 } });
    expect(await migrated.selectFrom('hardware_types').select('max_size_bytes').where('name', '=', 'audio_lock').execute()).toEqual([
      { max_size_bytes: 5 },
    ]);
    const [external_id = ''] = external_ids;
    await confirmUpdate({ db: migrated, now }, [confirmation({ external_id, version })]);
    expect(await getDevice(migrated, 'scooter', external_id)).toMatchObject({ firmwares: [{ firmware_id, version }] });
  });

  it('that fails says why and leaves the earlier migrations and nothing of its own', async () => {
    const failing = {
      ...migrations,
      '99990101000000_break': {
        async up(db: Parameters<(typeof migrations)[string]['up']>[0]) {
          await sql`CREATE TABLE half_made (id integer)`.execute(db);
          await sql`SELECT 1 / 0`.execute(db);
        },
      },
    };
    const { error } = await new Migrator({ db: second, provider: { getMigrations: async () => failing } }).migrateToLatest();
    expect(String(error)).toContain('division by zero');
    expect(await describeSchema(second)).toEqual(await describeSchema(migrated));
    await migrateToLatest(secondUrl);
    expect(await applied(second)).toEqual(Object.keys(migrations));
  });

  it('says that the database is not there', async () => {
    const url = new URL(freshUrl);
    url.pathname = '/no_such_database';
    await expect(migrateToLatest(url.href)).rejects.toThrow('no_such_database');
  });
});
