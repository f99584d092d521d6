import fc from 'fast-check';
import { type RawBuilder, sql } from 'kysely';
import { beforeAll, describe, expect, it } from 'vitest';
import { DeviceFilter } from '../../../lib/fleet/device-filter.ts';
import { filteredDevices } from '../../../lib/fleet/device-filter-queries.ts';
import { filterOfQuery } from '../../../lib/fleet/device-filter-query.ts';
import { deviceIdPage } from '../../../lib/fleet/device-page-queries.ts';
import { createTestDatabase } from '../../support/database.ts';
import { givenFirmware } from '../../support/fixtures.ts';

const { db } = await createTestDatabase();
const now = new Date('2026-11-24T08:00:00Z');
const count = 40_000;

/** Device n of the fleet below, as a person would describe it. */
interface Known {
  kind: string;
  external_id: string;
  version: 1 | 2 | null;
  channel: string;
  zone: string | null;
  tags: string[];
  revision: string | null;
  /** Of vega_gsm; null: not known. */
  runs: string | null;
  daysAgo: number | null;
  retired: boolean;
}
const versions = ['1.0', '1.1', '2.0', 'at home'];
const known = (n: number): Known => ({
  kind: n % 10 === 0 ? 'cabinet' : 'scooter',
  external_id: `${n % 3 === 0 ? 'S' : 's'}-${n}`,
  version: n % 10 === 0 ? null : (([1, 2, null] as const)[n % 3] ?? null),
  channel: n % 4 === 0 ? 'iot' : 'telematics',
  zone: [null, 'north', 'south', ...Array.from({ length: 97 }, (_, i) => `zone-${i}`)][n % 100] ?? null,
  tags: [...(n % 7 === 0 ? ['night'] : []), ...(n % 5 === 0 ? ['old'] : []), ...(n % 200 === 0 ? ['rare'] : [])],
  revision: n % 6 === 0 ? 'B2' : null,
  runs: n % 11 === 0 ? null : n % 500 === 1 ? '2.0' : (['1.0', '1.1', '1.0', '1.1', 'at home'][n % 5] ?? null),
  daysAgo: n % 13 === 0 ? null : n % 9,
  retired: n % 17 === 0,
});

const firmwareIds: Record<string, number> = {};
const fleet = Array.from({ length: count }, (_, i) => known(i + 1));
/** Few enough to ask about again and again. */
const small = 1_200;

beforeAll(async () => {
  for (const version of versions.slice(0, 3)) firmwareIds[version] = (await givenFirmware(db, { hardware_type: 'vega_gsm', version })).id;
  await sql`
    INSERT INTO zones (name, time_zone, created_dt)
    SELECT DISTINCT zone, 'Europe/Moscow', now() FROM jsonb_to_recordset(${JSON.stringify(fleet)}::jsonb) AS f (zone text)
    WHERE zone IS NOT NULL`.execute(db);
  await sql`
    INSERT INTO devices (kind, external_id, version, channel, zone, tags, revision, created_dt, last_seen_dt, retired_dt)
    SELECT kind, external_id, version, channel, zone, ARRAY(SELECT jsonb_array_elements_text(tags)), revision, ${now},
           ${now}::timestamptz - make_interval(days => "daysAgo"), CASE WHEN retired THEN ${now}::timestamptz END
    FROM jsonb_to_recordset(${JSON.stringify(fleet)}::jsonb)
      AS f (kind text, external_id text, version smallint, channel text, zone text, tags jsonb, revision text, "daysAgo" integer, retired boolean)`.execute(
    db,
  );
  await sql`
    INSERT INTO device_firmwares (device_id, hardware_type, firmware_id, reported_version, firmware_update_dt, observed_dt, source)
    SELECT d.id, 'vega_gsm', w.id, f.runs, ${now}, ${now}, 'confirmation'
    FROM jsonb_to_recordset(${JSON.stringify(fleet)}::jsonb) AS f (kind text, external_id text, runs text)
    JOIN devices d USING (kind, external_id)
    LEFT JOIN firmwares w ON w.hardware_type = 'vega_gsm' AND w.version = f.runs
    WHERE f.runs IS NOT NULL`.execute(db);
  await sql`VACUUM (ANALYZE)`.execute(db);
});

const ordinals = versions.slice(0, 3);
/** What each condition means of a device, in plain words. */
const means = ({ running, not_running, older_than_firmware_id, ...filter }: DeviceFilter, device: Known): boolean => {
  const wanted = (of: DeviceFilter['running']) =>
    of && ('version' in of ? of.version : Object.keys(firmwareIds).find((version) => firmwareIds[version] === of.firmware_id));
  const age = device.daysAgo ?? Number.POSITIVE_INFINITY;
  const newer = Object.keys(firmwareIds).find((version) => firmwareIds[version] === older_than_firmware_id);
  return [
    filter.kind === undefined || filter.kind === device.kind,
    filter.external_id_prefix === undefined || device.external_id.startsWith(filter.external_id_prefix),
    filter.version === undefined || (device.kind === 'scooter' && filter.version === (device.version ?? 'none')),
    filter.channel === undefined || filter.channel === device.channel,
    filter.zone === undefined || filter.zone === (device.zone ?? 'none'),
    filter.tags?.all === undefined || filter.tags.all.every((tag) => device.tags.includes(tag)),
    filter.tags?.any === undefined || filter.tags.any.some((tag) => device.tags.includes(tag)),
    filter.tags?.none === undefined || !filter.tags.none.some((tag) => device.tags.includes(tag)),
    filter.revision === undefined || filter.revision === device.revision,
    running === undefined || device.runs === wanted(running),
    not_running === undefined || device.runs !== wanted(not_running),
    newer === undefined || (ordinals.includes(device.runs ?? '') && ordinals.indexOf(device.runs ?? '') < ordinals.indexOf(newer)),
    filter.unknown_version === undefined || device.runs === 'at home',
    filter.not_seen_days === undefined || age > filter.not_seen_days,
    filter.not_seen_since === undefined || age > (now.getTime() - Date.parse(filter.not_seen_since)) / 86_400_000,
    filter.retired === undefined || filter.retired === device.retired,
  ].every(Boolean);
};
const expected = (filter: DeviceFilter) => fleet.filter((device) => means(filter, device)).map(({ external_id }) => external_id);

const Tags = fc.subarray(['night', 'old', 'rare', 'nobody'], { minLength: 1 });
const Running = fc.oneof(
  fc.constantFrom(...versions).map((version) => ({ hardware_type: 'vega_gsm', version })),
  fc.constantFrom(0, 1, 2).map((place) => ({ firmware_id: place })),
);
const rare = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 3 });
const Filter = fc
  .record({
    kind: rare(fc.constantFrom('scooter' as const, 'cabinet' as const)),
    external_id_prefix: rare(fc.constantFrom('S-', 's-1', 'S-30')),
    version: rare(fc.constantFrom(1 as const, 2 as const, 'none' as const)),
    channel: rare(fc.constantFrom('iot' as const, 'telematics' as const)),
    zone: rare(fc.constantFrom('north', 'south', 'zone-5', 'none')),
    tags: rare(fc.record({ all: rare(Tags), any: rare(Tags), none: rare(Tags) })),
    revision: rare(fc.constantFrom('B2', 'B3')),
    running: rare(Running),
    not_running: rare(Running),
    older_than_firmware_id: rare(fc.constantFrom(0, 1, 2)),
    unknown_version: rare(fc.constant('vega_gsm')),
    not_seen_days: rare(fc.constantFrom(1, 5)),
    not_seen_since: rare(fc.constantFrom('2026-11-22T00:00:00Z', '2026-11-20T12:00:00Z')),
    retired: rare(fc.boolean()),
  })
  .map((drawn) => {
    // Ids are known only when the fleet is there.
    const id = (place: number | undefined) => (place === undefined ? undefined : firmwareIds[versions[place] ?? '']);
    const running = (of: typeof drawn.running) => (of && 'firmware_id' in of ? { firmware_id: id(of.firmware_id) } : of);
    const filter = {
      ...drawn,
      running: running(drawn.running),
      not_running: running(drawn.not_running),
      older_than_firmware_id: id(drawn.older_than_firmware_id),
    };
    return JSON.parse(JSON.stringify(filter)) as Record<string, unknown>;
  });

const externalIds = async (devices: RawBuilder<unknown>): Promise<string[]> => {
  const { rows } = await sql<{ external_id: string }>`SELECT external_id FROM (${devices}) d ORDER BY id`.execute(db);
  return rows.map(({ external_id }) => external_id);
};
const walk = async (filter: DeviceFilter, size: number): Promise<string[]> => {
  const ids: number[] = [];
  for (;;) {
    const { rows } = await sql<{
      id: number;
    }>`${deviceIdPage(filter, { after: [ids.at(-1) ?? 0], direction: 'ascending', size, now })}`.execute(db);
    ids.push(...rows.map(({ id }) => id));
    if (rows.length < size) break;
  }
  return externalIds(sql`SELECT d.id, d.external_id FROM devices d WHERE d.id = ANY (${ids}::integer[])`);
};

describe('a filter of devices', () => {
  it('means the devices that fulfil all of its conditions, in a set as page by page', async () => {
    await fc.assert(
      fc.asyncProperty(Filter, async (drawn) => {
        const filter = DeviceFilter.parse({ ...drawn, external_id_prefix: drawn['external_id_prefix'] ?? 's-1' });
        const meant = expected(filter);
        expect(await externalIds(filteredDevices(filter, { now }))).toEqual(meant);
        const { external_id_prefix: _, ...paged } = filter;
        const narrow = { ...paged, zone: paged.zone ?? 'zone-7' };
        expect(await walk(narrow, small)).toEqual(expected(narrow));
      }),
      { numRuns: 40 },
    );
  });

  const found = async (filter: object) => {
    const { rows } = await sql<{ 'QUERY PLAN': string }>`
      EXPLAIN SELECT id FROM (${filteredDevices(DeviceFilter.parse(filter), { now })}) d`.execute(db);
    return rows.map((row) => row['QUERY PLAN']).join('\n');
  };
  it.each<[string, () => object, RegExp]>([
    ['zone', () => ({ kind: 'scooter', zone: 'north' }), /devices_zone_idx/],
    ['tag', () => ({ kind: 'scooter', tags: { all: ['rare'] } }), /devices_tags_idx/],
    ['any of some tags', () => ({ tags: { any: ['rare', 'nobody'] } }), /devices_tags_idx/],
    ['revision', () => ({ revision: 'unheard of' }), /devices_revision_idx/],
    ['running version', () => ({ running: { hardware_type: 'vega_gsm', version: '2.0' } }), /device_firmwares_firmware_idx/],
    ['running firmware', () => ({ running: { firmware_id: firmwareIds['2.0'] } }), /device_firmwares_firmware_idx/],
    [
      'zone, and what it does not run',
      () => ({ zone: 'north', not_running: { hardware_type: 'vega_gsm', version: '2.0' } }),
      /devices_zone_idx/,
    ],
    ['zone, and a version older than', () => ({ zone: 'north', older_than_firmware_id: firmwareIds['2.0'] }), /devices_zone_idx/],
  ])('by %s is found without a sequential scan', async (_, filter, index) => {
    const plan = await found(filter());
    expect(plan).toMatch(index);
    expect(plan).not.toMatch(/Seq Scan on (devices|device_firmwares)\b/);
  });

  it('by percentage is never empty when it means anybody, and is drawn anew for every firmware', async () => {
    const sample = (filter: object, firmware_id?: number) => externalIds(filteredDevices(DeviceFilter.parse(filter), { now, firmware_id }));
    for (const firmware_id of [1, 2, 3]) {
      expect(await sample({ zone: 'north', tags: { all: ['rare'] }, percentage: 0.001 }, firmware_id)).toEqual([]);
      expect(await sample({ zone: 'north', percentage: 0.001 }, firmware_id)).toHaveLength(1);
    }
    const first = await sample({ zone: 'north', percentage: 20 }, 1);
    expect(await sample({ zone: 'north', percentage: 20 }, 1)).toEqual(first);
    expect(await sample({ zone: 'north', percentage: 20 }, 2)).not.toEqual(first);
    expect(await sample({ zone: 'north', percentage: 40 }, 1)).toEqual(expect.arrayContaining(first));
    // Of the 400 in zone north; the lots are the same on every machine.
    expect(first.length).toBeGreaterThan(50);
    expect(first.length).toBeLessThan(110);
  });
});

describe('a filter as query parameters', () => {
  it('has the same names, with a point where the filter is nested', () => {
    expect(
      filterOfQuery({
        ...{ kind: 'scooter', version: 'none', zone: 'north', 'tags.all': ['a', 'b'], 'tags.none': ['c'], revision: 'B2' },
        ...{
          'running.hardware_type': 'vega_gsm',
          'running.version': '1.0',
          'not_running.firmware_id': 7,
          not_seen_days: 3,
          retired: false,
        },
      }),
    ).toEqual({
      ...{ kind: 'scooter', version: 'none', zone: 'north', tags: { all: ['a', 'b'], none: ['c'] }, revision: 'B2' },
      ...{ running: { hardware_type: 'vega_gsm', version: '1.0' }, not_running: { firmware_id: 7 }, not_seen_days: 3, retired: false },
    });
  });

  it.each([
    [{ 'running.version': '1.0' }, 'running.hardware_type'],
    [{ 'not_running.hardware_type': 'vega_gsm' }, 'not_running.version'],
    [{ 'running.version': '1.0', 'running.firmware_id': 1 }, 'running.version'],
    [{ runs_firmware_id: 1, 'running.firmware_id': 2 }, 'runs_firmware_id'],
    [{ kind: 'cabinet' as const, version: '1' as const }, 'version'],
  ])('%o is refused by the name of what is wrong', (query, path) => {
    expect(() => filterOfQuery(query)).toThrow(
      expect.objectContaining({ options: { errors: [expect.objectContaining({ in: 'query', path })] } }),
    );
  });
});
