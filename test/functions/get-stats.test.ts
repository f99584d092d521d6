import { sql } from 'kysely';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../dev/stack/free-port.ts';
import { createHandler } from '../../functions/get-stats/handler.ts';
import { createDatabase } from '../../lib/db/database.ts';
import { confirmUpdate } from '../../lib/report/confirm-update.ts';
import type { Stats } from '../../lib/stats/stats.ts';
import { createTestDatabase } from '../support/database.ts';
import { confirmation, givenDevices, givenFirmware, startOfTime, TestClock } from '../support/fixtures.ts';
import { call, createIdentity, createRecordingLog } from '../support/http.ts';
import { createRecordingMetrics } from '../support/recording-metrics.ts';
import { createUpdateService } from '../support/update-service.ts';

const { db, takeStatements } = await createTestDatabase();
const identity = await createIdentity();
const { authenticate } = identity;
const token = await identity.token({ scopes: ['read'] });
const log = createRecordingLog();
const metrics = createRecordingMetrics();
const clock = new TestClock();
const { now } = clock;

const getStats = (request: { query?: Record<string, string>; token?: string } = { token }, database = db) =>
  call<Stats & { code: string; errors: { path: string }[] }>(createHandler({ db: database, authenticate, log, metrics, now }), {
    method: 'GET',
    path: '/v1/stats',
    ...request,
  });
const statsOf = async (hardwareType: string) => {
  const { body } = await getStats();
  return body.hardware_types.find(({ hardware_type }) => hardware_type === hardwareType);
};
const noExecutions = { QUEUED: 0, IN_PROGRESS: 0, SUCCEEDED: 0, FAILED: 0, TIMED_OUT: 0, REJECTED: 0, CANCELED: 0, REMOVED: 0 };
const daysAgo = (days: number) => new Date(startOfTime.getTime() - days * 86_400_000);
/** Each of the devices runs the version that stands in its place. */
const report = (external_ids: readonly string[], versions: readonly string[], more: Partial<Parameters<typeof confirmation>[0]> = {}) =>
  confirmUpdate(
    { db, now },
    versions.map((version, i) => confirmation({ external_id: external_ids[i] ?? '', version, ...more })),
  );

beforeEach(async () => {
  await sql`
    TRUNCATE firmwares, devices, updates, update_executions, device_firmware_history, device_firmware_counts, device_seen_counts,
             firmware_update_time_counts CASCADE`.execute(db);
  takeStatements();
  metrics.published.length = 0;
  log.lines.length = 0;
});

describe('GET /v1/stats', () => {
  it('200: a service that knows of nothing yet says so of every hardware type, in one statement', async () => {
    const { statusCode, body } = await getStats();
    expect(statusCode).toBe(200);
    expect(takeStatements()).toHaveLength(1);
    const none = { devices: 0, share: 0 };
    expect(body).toMatchObject({
      generated_dt: '2026-11-24T08:00:00.000Z',
      not_seen_days: 30,
      devices: [
        { kind: 'scooter', devices: 0, not_seen: 0, never_seen: 0 },
        { kind: 'cabinet', devices: 0, not_seen: 0, never_seen: 0 },
      ],
      updates: { WAITING_FOR_APPROVAL: 0, SCHEDULED: 0, IN_PROGRESS: 0, PAUSED: 0, COMPLETED: 0, CANCELED: 0, ABORTED: 0 },
      executions: noExecutions,
    });
    expect(body.hardware_types).toHaveLength(8);
    expect(body.hardware_types[0]).toEqual({
      hardware_type: 'audio_battery_low',
      device_kind: 'scooter',
      devices: 0,
      newest: null,
      on_newest: none,
      on_unknown_version: { ...none, versions: 0 },
      versions: [],
      other_versions: { ...none, versions: 0 },
      update_times: null,
      firmware_update_times: [],
    });
  });

  it('200: devices per version with their shares, the most run first, with what the catalogue knows of each', async () => {
    const old = await givenFirmware(db, { version: '1.4' });
    const newest = await givenFirmware(db, { version: '1.5' });
    await givenFirmware(db, { version: 'of another type', hardware_type: 'vega_gsm' });
    const external_ids = await givenDevices(db, 12);
    await report(external_ids, ['1.4', '1.4', '1.4', '1.4', '1.4', '1.5', '1.5', '1.5', 'made at home', 'of another type']);
    expect(await statsOf('vega_mcu')).toMatchObject({
      devices: 10,
      newest: { firmware_id: newest.id, version: '1.5', version_num: newest.version_num },
      on_newest: { devices: 3, share: 0.3 },
      on_unknown_version: { devices: 2, share: 0.2, versions: 2 },
      versions: [
        { version: '1.4', firmware_id: old.id, version_num: old.version_num, status: 'available', devices: 5, share: 0.5 },
        { version: '1.5', firmware_id: newest.id, status: 'available', devices: 3, share: 0.3 },
        { version: 'made at home', firmware_id: null, version_num: null, status: null, devices: 1, share: 0.1 },
        { version: 'of another type', firmware_id: null, devices: 1 },
      ],
      other_versions: { devices: 0, share: 0, versions: 0 },
    });
    expect(await statsOf('vega_gsm')).toMatchObject({ devices: 0, versions: [] });
  });

  it('200: a version that all have left is gone, and one that comes into the catalogue is not unknown any more', async () => {
    const external_ids = await givenDevices(db, 2);
    await report(external_ids, ['1.6', '1.6']);
    expect(await statsOf('vega_mcu')).toMatchObject({ on_unknown_version: { devices: 2, share: 1, versions: 1 } });
    const firmware = await givenFirmware(db, { version: '1.6' });
    expect(await statsOf('vega_mcu')).toMatchObject({
      on_newest: { devices: 2, share: 1 },
      on_unknown_version: { devices: 0, share: 0, versions: 0 },
      versions: [{ version: '1.6', firmware_id: firmware.id }],
    });
    await report(external_ids, ['1.7', '1.7'], { occurred_dt: new Date(startOfTime.getTime() + 1_000) });
    expect((await statsOf('vega_mcu'))?.versions).toMatchObject([{ version: '1.7', devices: 2 }]);
  });

  it('200: the newest firmware is the newest that can be had: withdrawn ones, drafts and rejected ones are not', async () => {
    const available = await givenFirmware(db, { version: '2.0' });
    const withdrawn = await givenFirmware(db, { version: '2.1' });
    await db.updateTable('firmwares').set({ status: 'withdrawn' }).where('id', '=', withdrawn.id).execute();
    const external_ids = await givenDevices(db, 4);
    await report(external_ids, ['2.0', '2.0', '2.0', '2.1']);
    expect(await statsOf('vega_mcu')).toMatchObject({
      newest: { firmware_id: available.id },
      // The one that runs something newer still has nothing newer to get.
      on_newest: { devices: 4 },
      versions: [
        { version: '2.0', status: 'available', devices: 3 },
        { version: '2.1', status: 'withdrawn', devices: 1 },
      ],
    });
  });

  it('200: names 100 versions at most, and counts the rest together', async () => {
    const external_ids = await givenDevices(db, 203);
    const versions = external_ids.map((_, i) => `v${String(Math.floor(i / 2)).padStart(3, '0')}`);
    await report(external_ids, versions);
    const stats = await statsOf('vega_mcu');
    expect(stats?.versions).toHaveLength(100);
    expect(stats?.versions.at(-1)).toMatchObject({ version: 'v099', devices: 2 });
    // v100 is run by two devices, v101 by one.
    expect(stats?.other_versions).toEqual({ devices: 3, share: 3 / 203, versions: 2 });
    expect(stats).toMatchObject({ devices: 203, on_unknown_version: { devices: 203, versions: 102 } });
  });

  it('200: devices not seen for more days than asked for, by whole days, and those never seen among them', async () => {
    const external_ids = await givenDevices(db, 6);
    await givenDevices(db, 2, { kind: 'cabinet' });
    for (const [i, days] of [0, 29.9, 30, 31, 400].entries()) {
      await report(external_ids.slice(i, i + 1), ['1.0'], { occurred_dt: daysAgo(days) });
    }
    const devices = async (query: Record<string, string>) => (await getStats({ token, query })).body.devices;
    expect(await devices({})).toEqual([
      { kind: 'scooter', devices: 6, not_seen: 3, never_seen: 1 },
      { kind: 'cabinet', devices: 2, not_seen: 2, never_seen: 2 },
    ]);
    expect(await devices({ not_seen_days: '1' })).toMatchObject([{ not_seen: 5 }, {}]);
    expect(await devices({ not_seen_days: '31' })).toMatchObject([{ not_seen: 2 }, {}]);
    expect(await devices({ not_seen_days: '3650' })).toMatchObject([{ not_seen: 1 }, {}]);
  });

  it('200: update times per firmware, per scooter version and over all, from command to proof', async () => {
    const service = createUpdateService(db);
    const install = async (version: string, secondsOf: (i: number) => number, groups: [1 | 2, number][]) => {
      const firmware = await givenFirmware(db, { version });
      const external_ids: string[] = [];
      for (const [scooterVersion, n] of groups) external_ids.push(...(await givenDevices(db, n, { version: scooterVersion })));
      await service.request({ firmware_id: firmware.id, targets: { external_ids } });
      await service.advance(service.deps.advances.take().at(-1));
      for (const message of service.deps.dispatches.take()) await service.dispatch(message);
      const sent = service.clock.now();
      service.clock.advance(3_600);
      await service.confirm(
        ...external_ids.map((external_id, i) =>
          confirmation({ external_id, version, occurred_dt: new Date(sent.getTime() + secondsOf(i) * 1_000) }),
        ),
      );
      return firmware;
    };
    // 10, 20 … 1,000 s; the first 60 have version 1.
    const first = await install('3.0', (i) => (i + 1) * 10, [
      [1, 60],
      [2, 40],
    ]);
    const second = await install('3.1', () => 42, [[2, 1]]);
    const stats = await statsOf('vega_mcu');
    expect(stats?.firmware_update_times.map(({ version, firmware_id }) => [version, firmware_id])).toEqual([
      ['3.1', second.id],
      ['3.0', first.id],
    ]);
    const [alone, many] = stats?.firmware_update_times ?? [];
    const single = { installations: 1, mean_seconds: 42, max_seconds: 42 };
    expect(alone).toMatchObject({ ...single, by_scooter_version: [{ scooter_version: 2, ...single }] });
    expect(alone?.p50_seconds).toBeCloseTo(42, -0.4);
    expect(many).toMatchObject({
      installations: 100,
      mean_seconds: 505,
      max_seconds: 1_000,
      by_scooter_version: [
        { scooter_version: 1, installations: 60, mean_seconds: 305, max_seconds: 600 },
        { scooter_version: 2, installations: 40, mean_seconds: 805, max_seconds: 1_000 },
      ],
    });
    for (const [told, real] of [
      [many?.p50_seconds, 500],
      [many?.p90_seconds, 900],
      [many?.p99_seconds, 990],
      [many?.by_scooter_version[1]?.p50_seconds, 800],
    ] as const) {
      expect(Math.abs((told ?? 0) / real - 1)).toBeLessThan(0.025);
    }
    expect(stats?.update_times).toMatchObject({ installations: 101, mean_seconds: 50_542 / 101, max_seconds: 1_000 });
    expect((await getStats()).body.updates).toMatchObject({ IN_PROGRESS: 2, COMPLETED: 0 });
  });

  it('200: counts executions by status, of updates that have not ended', async () => {
    const service = createUpdateService(db);
    const { update } = await service.given({ devices: 3 });
    const { executions } = (await getStats()).body;
    expect(executions).toEqual({ ...noExecutions, QUEUED: 3 });
    await sql`UPDATE update_executions SET status = 'SUCCEEDED', finished_dt = ${startOfTime} WHERE id = (SELECT min(id) FROM update_executions)`.execute(
      db,
    );
    expect((await getStats()).body.executions).toEqual({ ...noExecutions, QUEUED: 2, SUCCEEDED: 1 });
    await sql`UPDATE updates SET status = 'COMPLETED', finished_dt = ${startOfTime} WHERE id = ${update.id}`.execute(db);
    expect((await getStats()).body.executions).toEqual(noExecutions);
  });

  it('200: tells the rows of each table as the planner estimates them, and null while it does not', async () => {
    await givenDevices(db, 7);
    const rowsOf = async (wanted: string) => (await getStats()).body.tables.find(({ table }) => table === wanted)?.rows;
    expect(await rowsOf('devices')).toBeNull();
    await sql`ANALYZE devices`.execute(db);
    expect(await rowsOf('devices')).toBe(7);
    const tables = (await getStats()).body.tables.map(({ table }) => table);
    expect(tables).toEqual(tables.toSorted());
    expect(tables).toEqual(expect.arrayContaining(['device_firmwares', 'firmwares', 'updates']));
    expect(tables.join()).not.toMatch(/kysely|scooters|pg_/);
  });

  it('200: tells of each sequence how much is left, the fullest first, and publishes what the fullest has left', async () => {
    await sql`SELECT setval('devices_id_seq', 1932735283)`.execute(db); // nine tenths of 2^31 - 1
    onTestFinished(async () => void (await sql`SELECT setval('devices_id_seq', 1)`.execute(db)));
    const { sequences } = (await getStats()).body;
    expect(sequences[0]).toEqual({ sequence: 'devices_id_seq', last_value: 1_932_735_283, left: 0.1 });
    const names = sequences.map(({ sequence }) => sequence);
    expect(names).toEqual(
      expect.arrayContaining(['update_executions_id_seq', 'updates_id_seq', 'firmwares_id_seq', 'observations_id_seq']),
    );
    expect(sequences.map(({ left }) => left)).toEqual(sequences.map(({ left }) => left).toSorted((a, b) => a - b));
    expect(metrics.published).toContainEqual({ values: { ids_left_percent: { unit: 'Count', value: 10 } }, dimensionSets: [] });
  });

  it('200: publishes the same numbers as metrics, and nothing else with them', async () => {
    await givenFirmware(db, { version: '1.5' });
    const [external_id = ''] = await givenDevices(db, 3);
    await report([external_id], ['1.5']);
    await getStats();
    const series = metrics.published.map(({ values, dimensionSets }) => [
      dimensionSets,
      Object.fromEntries(Object.entries(values).map(([name, { value }]) => [name, value])),
    ]);
    expect(series).toContainEqual([[{ kind: 'scooter' }], { devices: 3, devices_not_seen: 2, devices_never_seen: 2 }]);
    expect(series).toContainEqual([[{ hardware_type: 'vega_mcu' }], { devices: 1, devices_on_newest: 1, devices_on_unknown_version: 0 }]);
    expect(series).toContainEqual([[{ hardware_type: 'vega_mcu', version: '1.5' }], { devices: 1 }]);
    expect(series).toContainEqual([[{ status: 'COMPLETED' }], { updates: 0 }]);
    expect(series).toContainEqual([[{ status: 'TIMED_OUT' }], { executions: 0 }]);
    expect(series.at(-1)).toEqual([
      [{ function: 'test' }, { function: 'test', route: 'GET /v1/stats' }],
      { requests: 1, server_errors: 0, response_time: expect.any(Number) },
    ]);
    const text = JSON.stringify(metrics.published);
    for (const secret of [external_id, token, 'tester', 's3://']) expect(text).not.toContain(secret);
  });

  it.each([{ not_seen_days: '0' }, { not_seen_days: '3651' }, { not_seen_days: '1.5' }, { not_seen_days: 'x' }, { since: '1' }])(
    '400: %j is refused by its name, and the database is not asked',
    async (query: Record<string, string>) => {
      const answer = await getStats({ token, query });
      expect(answer).toMatchObject({ statusCode: 400, body: { code: 'request.invalid' } });
      expect(answer.body.errors.map(({ path }) => path)).toEqual(Object.keys(query));
      expect(takeStatements()).toEqual([]);
    },
  );

  it('401 and 403: without a token, and with one that may not read', async () => {
    expect(await getStats({})).toMatchObject({ statusCode: 401, body: { code: 'auth.missing_token' } });
    const other = await identity.token({ scopes: ['devices:report', 'firmware:write'] });
    expect(await getStats({ token: other })).toMatchObject({ statusCode: 403, body: { code: 'auth.insufficient_scope' } });
    expect(takeStatements()).toEqual([]);
  });

  it('503: while the database is down, and publishes no number of the fleet', async () => {
    const down = createDatabase({ url: `postgres://user:hunter2@127.0.0.1:${await freePort()}/fleet`, maxConnections: 1 });
    const answer = await getStats({ token }, down);
    expect(answer).toMatchObject({ statusCode: 503, body: { code: 'database.unavailable' } });
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    expect(metrics.published).toMatchObject([{ values: { server_errors: { value: 1 } } }]);
    expect(JSON.stringify([metrics.published, log.lines])).not.toContain('hunter2');
    await down.destroy();
  });
});
