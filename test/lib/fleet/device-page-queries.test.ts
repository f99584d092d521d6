import { type RawBuilder, sql } from 'kysely';
import { beforeAll, describe, expect, it } from 'vitest';
import type { DeviceFilter } from '../../../lib/fleet/device-filter.ts';
import { deviceIdPage, deviceIdPageByExternalId, deviceIdPageByLastSeen } from '../../../lib/fleet/device-page-queries.ts';
import { createTestDatabase } from '../../support/database.ts';

const { db } = await createTestDatabase();

const devices = 30_000;
/** Of vega_gsm; version n is run by every device whose number has the remainder n, and the last hundred devices run none of them. */
const versions = 12;
const now = '2026-11-24T08:00:00Z';
const size = 51;

let firmwareIds: number[] = [];
beforeAll(async () => {
  const digests = sql`'s3://b/k?versionId=1', 1, 'a', 'b', 'c'`;
  await sql`
    INSERT INTO firmwares
      (hardware_type, version, version_num, status, object_key, created_by, created_dt, file_link, size_bytes, sha256, sha1, md5)
    SELECT 'vega_gsm', n::text, n, 'available', 'k', 'test', ${now}, ${digests} FROM generate_series(1, ${versions}) n`.execute(db);
  // One in a hundred is a cabinet; the last thousand were not seen for a month, one of them, in the middle of the ids, for a year.
  await sql`
    INSERT INTO devices (kind, external_id, version, channel, created_dt, last_seen_dt)
    SELECT CASE WHEN n % 100 = 0 THEN 'cabinet' ELSE 'scooter' END, 'D-' || n, CASE WHEN n % 100 <> 0 THEN 1 + n * 2 / ${devices + 1}::integer END,
           'telematics', ${now},
           ${now}::timestamptz - make_interval(days => CASE WHEN n = ${devices / 2}::integer THEN 365 WHEN n > ${devices - 1_000}::integer THEN 30 ELSE n % 5 END)
    FROM generate_series(1, ${devices}) n`.execute(db);
  await sql`
    INSERT INTO device_firmwares (device_id, hardware_type, firmware_id, reported_version, firmware_update_dt, observed_dt, source)
    SELECT d.id, h.name, f.id, coalesce(f.version, 'home ' || d.id), ${now}, ${now}, 'confirmation'
    FROM devices d
    CROSS JOIN (SELECT name FROM hardware_types WHERE name IN ('vega_gsm', 'vega_mcu', 'audio_lock')) h
    LEFT JOIN firmwares f ON f.hardware_type = h.name AND f.version_num = 1 + d.id % ${versions}::integer AND d.id <= ${devices - 100}::integer`.execute(
    db,
  );
  await sql`VACUUM (ANALYZE)`.execute(db);
  firmwareIds = (await db.selectFrom('firmwares').select('id').orderBy('version_num').execute()).map(({ id }) => id);
});

interface PlanNode {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  Plans?: PlanNode[];
}

const planOf = (conditions: DeviceFilter, after: number) =>
  planOfPage(deviceIdPage(conditions, { after: [after], direction: 'ascending', size, now: new Date(now) }));

/** How PostgreSQL finds a page: the indexes it uses, and how many rows of the two large tables it looks at. */
const planOfPage = async (page: RawBuilder<unknown>) => {
  const { rows } = await sql<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>`
    EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ${page}`.execute(db);
  const plan = rows[0]?.['QUERY PLAN'][0].Plan as PlanNode;
  const nodes = function* (node: PlanNode): Generator<PlanNode> {
    yield node;
    for (const child of node.Plans ?? []) yield* nodes(child);
  };
  const large = [...nodes(plan)].filter((node) => /^(devices|device_firmwares)$/.test(node['Relation Name'] ?? ''));
  return {
    found: plan['Actual Rows'],
    access: new Set(large.map((node) => node['Node Type'])),
    indexes: new Set(large.map((node) => node['Index Name'])),
    visited: large.reduce((sum, node) => sum + (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'], 0),
  };
};

const forwards = { direction: 'ascending', size, now: new Date(now) } as const;
const backwards = { ...forwards, direction: 'descending' } as const;

type Case = [name: string, conditions: () => DeviceFilter, index: string, places: number];
const middle = devices / 2;
const pages = [0, middle, devices - 2_000];

describe('a page of devices', () => {
  const cases: Case[] = [
    ['without a condition', () => ({}), 'devices_pkey', 1],
    ['of a kind', () => ({ kind: 'scooter' }), 'devices_class_idx', 6],
    ['of a rare kind', () => ({ kind: 'cabinet' }), 'devices_class_idx', 2],
    ['of a generation that begins in the middle of the ids', () => ({ version: 2 }), 'devices_class_idx', 2],
    ['of a channel', () => ({ channel: 'telematics' }), 'devices_class_idx', 4],
    ['that run a firmware', () => ({ running: { firmware_id: firmwareIds[5] ?? 0 } }), 'device_firmwares_firmware_idx', 1],
    [
      'that run an older one than the newest',
      () => ({ older_than_firmware_id: firmwareIds.at(-1) ?? 0 }),
      'device_firmwares_firmware_idx',
      11,
    ],
    [
      'that run a version in no catalogue, with which the ids end',
      () => ({ unknown_version: 'vega_gsm' }),
      'device_firmwares_unknown_idx',
      1,
    ],
    ['not seen for two days', () => ({ not_seen_since: '2026-11-22T00:00:00Z' }), 'devices_last_seen_idx', 12],
    ['not seen for half a year: one', () => ({ not_seen_since: '2026-05-24T00:00:00Z' }), 'devices_last_seen_idx', 12],
    ['not seen for two weeks, with which the ids end', () => ({ not_seen_since: '2026-11-10T00:00:00Z' }), 'devices_last_seen_idx', 12],
    ['that there are none of', () => ({ version: 'none' }), 'devices_class_idx', 2],
  ];

  it.each(cases)('%s is found by its index alone, and the last page costs no more than the first', async (_, conditions, index, places) => {
    for (const after of pages) {
      const { access, indexes, visited } = await planOf(conditions(), after);
      expect(indexes, `page after ${after}`).toEqual(new Set([index]));
      expect([...access].filter((node) => !/^Index (Only )?Scan$/.test(node))).toEqual([]);
      // Each place of the index gives one page at most; the rest is for the days of last_seen_on, one row each.
      expect(visited).toBeLessThanOrEqual(places * size + 20);
    }
  });

  it.each<[string, string, [string, number] | undefined, number]>([
    ['one device', 'D-15001', undefined, 1],
    ['some', 'D-299', undefined, size],
    ['all: the first page', 'D-', undefined, size],
    ['all: a page in the middle', 'D-', ['D-22222', 22_222], size],
    ['none, between others', 'D-1x', undefined, 0],
  ])('that begin alike, %s, is found by the index of external ids alone', async (_, external_id_prefix, after, found) => {
    const plan = await planOfPage(
      deviceIdPageByExternalId({ external_id_prefix, kind: 'scooter' }, { after, direction: 'ascending', size, now: new Date(now) }),
    );
    expect(plan.found).toBe(found);
    expect(plan.indexes).toEqual(new Set(['devices_external_id_idx']));
    expect([...plan.access].filter((node) => !/^Index (Only )?Scan$/.test(node))).toEqual([]);
    // One in a hundred is a cabinet.
    expect(plan.visited).toBeLessThanOrEqual(found + 4);
  });

  it.each<[string, RawBuilder<unknown>, string, number]>([
    ['by registration, backwards', deviceIdPage({}, { ...backwards, after: [middle] }), 'devices_pkey', 1],
    ['by registration, backwards, of a kind', deviceIdPage({ kind: 'cabinet' }, { ...backwards, after: [middle] }), 'devices_class_idx', 2],
    ['by external id', deviceIdPageByExternalId({}, { ...forwards, after: undefined }), 'devices_external_id_idx', 1],
    ['by external id, backwards', deviceIdPageByExternalId({}, { ...backwards, after: ['D-22222', 22_222] }), 'devices_external_id_idx', 1],
    ['by the day they were seen', deviceIdPageByLastSeen({}, { ...forwards, after: undefined }), 'devices_last_seen_idx', 2],
    [
      'by the day they were seen, in the middle of a day',
      deviceIdPageByLastSeen({}, { ...forwards, after: ['2026-11-22', middle] }),
      'devices_last_seen_idx',
      2,
    ],
    [
      'by the day they were seen, backwards',
      deviceIdPageByLastSeen({}, { ...backwards, after: ['2026-11-24', 3] }),
      'devices_last_seen_idx',
      2,
    ],
  ])('%s: any page is found by the index of the order alone', async (_, query, index, places) => {
    const { found, indexes, access, visited } = await planOfPage(query);
    expect(found).toBe(size);
    expect(indexes).toEqual(new Set([index]));
    expect([...access].filter((node) => !/^Index (Only )?Scan$/.test(node))).toEqual([]);
    expect(visited).toBeLessThanOrEqual(places * size);
  });

  it.each<[string, () => DeviceFilter, number]>([
    [
      'that run an older firmware, of a kind',
      () => ({ older_than_firmware_id: firmwareIds.at(-1) ?? 0, kind: 'scooter' }),
      11 * size * 2.6,
    ],
    ['that run a firmware, of a generation', () => ({ running: { firmware_id: firmwareIds[3] ?? 0 }, version: 1 }), 2.6 * size],
    ['that run a firmware and were not seen', () => ({ running: { firmware_id: firmwareIds[3] ?? 0 }, not_seen_since: now }), 2.6 * size],
  ])('%s costs a few rows for each that is found', async (_, conditions, most) => {
    const { found, access, visited } = await planOf(conditions(), 0);
    expect(found).toBe(size);
    expect([...access].filter((node) => !/^Index (Only )?Scan$/.test(node))).toEqual([]);
    expect(visited).toBeLessThanOrEqual(most);
  });
});
