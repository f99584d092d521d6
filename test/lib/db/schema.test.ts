import { readdirSync, readFileSync } from 'node:fs';
import { sql } from 'kysely';
import { afterEach, describe, expect, it } from 'vitest';
import { violatedConstraint } from '../../../lib/db/database-error.ts';
import { createTestDatabase } from '../../support/database.ts';

const { db } = await createTestDatabase();
const folder = new URL('../../../migrations/', import.meta.url);
const migrationTexts = readdirSync(folder)
  .map((name) => readFileSync(new URL(name, folder), 'utf8'))
  .join('\n');

const namesOf = async (query: ReturnType<typeof sql<{ name: string }>>) => (await query.execute(db)).rows.map(({ name }) => name);

describe('names', () => {
  it('every constraint bears a name that a migration gave it', async () => {
    // 'n': NOT NULL, which has no name that anybody needs.
    const names = await namesOf(sql<{ name: string }>`
      SELECT conname AS name FROM pg_constraint
      WHERE connamespace = 'public'::regnamespace AND contype <> 'n' AND conrelid::regclass::text NOT LIKE 'kysely%'`);
    expect(names.length).toBeGreaterThan(40);
    expect(names.filter((name) => !migrationTexts.includes(name))).toEqual([]);
  });

  it('every index bears a name that a migration gave it', async () => {
    const names = await namesOf(sql<{ name: string }>`
      SELECT indexname AS name FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE 'kysely%'`);
    expect(names.filter((name) => !migrationTexts.includes(name))).toEqual([]);
  });

  it('every reference to a row that can be deleted or looked up from the other side has an index or is to a small table', async () => {
    const { rows } = await sql<{ name: string }>`
      SELECT c.conname AS name FROM pg_constraint c
      WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace
        AND c.confrelid NOT IN ('hardware_types'::regclass, 'firmwares'::regclass)
        AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1])`.execute(db);
    expect(rows.map(({ name }) => name)).toEqual([]);
  });

  it('the constraints that the code names exist', async () => {
    const lib = new URL('../../../lib/', import.meta.url);
    const texts = readdirSync(lib, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(new URL(name, lib), 'utf8'))
      .join('\n');
    const named = new Set(
      [...texts.matchAll(/ON CONSTRAINT (\w+)|\.constraint\('(\w+)'\)|=== '(\w+_(?:key|check|fkey|pkey))'/g)].map(
        ([, a, b, c]) => a ?? b ?? c,
      ),
    );
    const names = await namesOf(sql<{ name: string }>`SELECT conname AS name FROM pg_constraint`);
    expect(named.size).toBeGreaterThan(2);
    expect([...named].filter((name) => !names.includes(String(name)))).toEqual([]);
  });
});

describe('the rows that PostgreSQL refuses', () => {
  const now = '2026-11-24T08:00:00Z';
  const digests = { sha256: 'a', sha1: 'b', md5: 'c' };
  const available = { status: 'available', version_num: 2, file_link: 's3://b/k?versionId=1', size_bytes: 1, ...digests };
  const rows: [string, string, Record<string, unknown>][] = [
    ['devices_kind_check', 'devices', { kind: 'bicycle', external_id: 'x', channel: 'iot', created_dt: now }],
    ['devices_external_id_check', 'devices', { kind: 'scooter', external_id: '', channel: 'iot', created_dt: now }],
    ['devices_external_id_check', 'devices', { kind: 'scooter', external_id: 'x'.repeat(129), channel: 'iot', created_dt: now }],
    ['devices_version_check', 'devices', { kind: 'scooter', external_id: 'x', version: 3, channel: 'iot', created_dt: now }],
    ['devices_version_check', 'devices', { kind: 'cabinet', external_id: 'x', version: 1, channel: 'iot', created_dt: now }],
    ['devices_channel_check', 'devices', { kind: 'scooter', external_id: 'x', channel: 'pigeon', created_dt: now }],
    ['devices_kind_external_id_key', 'devices', { kind: 'scooter', external_id: 'known', channel: 'iot', created_dt: now }],
    ['hardware_types_name_check', 'hardware_types', { name: 'Vega', device_kind: 'scooter', channel: 'iot', max_size_bytes: 1 }],
    ['hardware_types_name_check', 'hardware_types', { name: 'a/b', device_kind: 'scooter', channel: 'iot', max_size_bytes: 1 }],
    ['hardware_types_device_kind_check', 'hardware_types', { name: 'x', device_kind: 'car', channel: 'iot', max_size_bytes: 1 }],
    ['hardware_types_channel_check', 'hardware_types', { name: 'x', device_kind: 'scooter', channel: 'x', max_size_bytes: 1 }],
    ['hardware_types_max_size_bytes_check', 'hardware_types', { name: 'x', device_kind: 'scooter', channel: 'iot', max_size_bytes: 0 }],
    [
      'hardware_types_scooter_versions_check',
      'hardware_types',
      { name: 'x', device_kind: 'scooter', channel: 'iot', max_size_bytes: 1, scooter_versions: [1, 3] },
    ],
    ['firmwares_hardware_type_fkey', 'firmwares', firmware({ hardware_type: 'toaster' })],
    ['firmwares_status_check', 'firmwares', firmware({ status: 'new' })],
    ['firmwares_version_check', 'firmwares', firmware({ version: '' })],
    ['firmwares_version_check', 'firmwares', firmware({ version: 'x'.repeat(65) })],
    ['firmwares_available_check', 'firmwares', firmware({ status: 'available' })],
    ['firmwares_available_check', 'firmwares', firmware({ ...available, sha256: null })],
    ['firmwares_available_check', 'firmwares', firmware({ ...available, file_link: null })],
    ['firmwares_available_check', 'firmwares', firmware({ ...available, version_num: null })],
    ['firmwares_available_check', 'firmwares', firmware({ ...available, size_bytes: 0 })],
    ['firmwares_available_check', 'firmwares', firmware({ ...available, status: 'withdrawn', md5: null })],
    ['firmwares_hardware_type_version_key', 'firmwares', firmware({ version: 'known' })],
    ['firmwares_hardware_type_version_num_key', 'firmwares', firmware({ ...available, version_num: 1 })],
    ['device_firmwares_source_check', 'device_firmwares', installed({ source: 'rumour' })],
    ['device_firmwares_device_id_fkey', 'device_firmwares', installed({ device_id: 999_999 })],
    ['device_firmwares_hardware_type_fkey', 'device_firmwares', installed({ hardware_type: 'toaster' })],
    ['device_firmwares_firmware_id_fkey', 'device_firmwares', installed({ firmware_id: 999_999 })],
  ];

  function firmware(row: Record<string, unknown>) {
    return {
      hardware_type: 'vega_mcu',
      version: 'x',
      status: 'awaiting_upload',
      object_key: 'k',
      created_by: 'x',
      created_dt: now,
      ...row,
    };
  }
  function installed(row: Record<string, unknown>) {
    const dates = { firmware_update_dt: now, observed_dt: now };
    return {
      device_id: sql`(SELECT min(id) FROM devices)`,
      hardware_type: 'vega_mcu',
      reported_version: 'x',
      source: 'confirmation',
      ...dates,
      ...row,
    };
  }

  const insert = (table: string, row: Record<string, unknown>) =>
    sql`INSERT INTO ${sql.table(table)} (${sql.join(Object.keys(row).map((name) => sql.ref(name)))}) VALUES (${sql.join(Object.values(row))})`.execute(
      db,
    );

  afterEach(async () => {
    await sql`TRUNCATE devices, firmwares CASCADE`.execute(db);
  });

  it.each(rows)('%s: a row in %s with %o', async (constraint, table, row) => {
    await insert('devices', { kind: 'scooter', external_id: 'known', channel: 'iot', created_dt: now });
    await insert('firmwares', firmware({ ...available, version: 'known', version_num: 1 }));
    const error = await insert(table, row).catch((reason: unknown) => reason);
    expect(violatedConstraint(error)).toBe(constraint);
  });

  it('an id that the caller chooses', async () => {
    await expect(insert('devices', { id: 5, kind: 'scooter', external_id: 'x', channel: 'iot', created_dt: now })).rejects.toThrow(
      'cannot insert',
    );
  });
});
