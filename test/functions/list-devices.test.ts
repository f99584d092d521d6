import fc from 'fast-check';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createHandler as createGetVersions } from '../../functions/get-versions/handler.ts';
import { createHandler } from '../../functions/list-devices/handler.ts';
import { createDatabase } from '../../lib/db/database.ts';
import { insertDraft } from '../../lib/firmware/draft-queries.ts';
import { getDevice } from '../../lib/fleet/get-devices.ts';
import type { Device } from '../../lib/fleet/shown-device.ts';
import { confirmUpdate } from '../../lib/report/confirm-update.ts';
import { catalogueDeps } from '../support/catalogue.ts';
import { createTestDatabase } from '../support/database.ts';
import { confirmation, givenDevices, givenFirmware, startOfTime, TestClock } from '../support/fixtures.ts';
import { call, createIdentity } from '../support/http.ts';

const { db, takeStatements } = await createTestDatabase();
const growing = await createTestDatabase();
const twins = await createTestDatabase();
const named = await createTestDatabase();
const { authenticate, token } = await createIdentity();
const reader = await token({ scopes: ['read'] });
const deps = { ...catalogueDeps(db), authenticate };
const handler = createHandler(deps);

interface Page {
  items: Device[];
  next_cursor: string | null;
}
interface Problem {
  code: string;
  errors: { in: string; path: string; message: string }[];
}
const list = <Body = Page>(query: Record<string, string> = {}, more: object = {}) =>
  call<Body>(handler, { method: 'GET', path: '/v1/devices', token: reader, query, ...more });
const listAll = async (query: Record<string, string>): Promise<string[]> => {
  const ids: string[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const { body }: { body: Page } = await list({ ...query, ...(cursor && { cursor }) });
    ids.push(...body.items.map(({ external_id }) => external_id));
    cursor = body.next_cursor;
  }
  return ids;
};

const secondsPerDay = 86_400;
/** So many days before the beginning of time. */
const daysAgo = (days: number) => new Date(startOfTime.getTime() - days * secondsPerDay * 1_000);
const { now } = new TestClock();
const report = (...reports: Parameters<typeof confirmation>[0][]) => confirmUpdate({ db, now }, reports.map(confirmation));

/** What a device of the fleet below runs, and when that was seen. */
type Runs = Record<string, { version: string; days: number }>;
interface Known {
  external_id: string;
  kind: 'scooter' | 'cabinet';
  version: 1 | 2 | null;
  channel: 'telematics' | 'iot';
  runs: Runs;
}
/** In the order of their registration. */
const fleet: Known[] = [];
const idOf: Record<string, number> = {};
/** Versions in the order of their ordinals. */
const catalogue: Record<string, string[]> = {
  vega_gsm: ['gsm 1.2', 'gsm 1.3', 'gsm 1.4', 'gsm 1.5'],
  vega_mcu: ['mcu 1', 'mcu 2'],
  cabinet: ['cab 1', 'cab 2'],
};

const given = async (device: Omit<Known, 'external_id'>) => {
  const { kind, version, channel, runs } = device;
  const [external_id = ''] = await givenDevices(db, 1, { kind, version, channel });
  fleet.push({ external_id, ...device });
  const reports = Object.entries(runs).map(([hardware_type, { version: runs, days }]) => ({
    ...{ kind, external_id, hardware_type, version: runs, occurred_dt: daysAgo(days) },
  }));
  if (reports.length > 0) await report(...reports);
};

beforeAll(async () => {
  for (const [hardware_type, versions] of Object.entries(catalogue)) {
    for (const version of versions) idOf[version] = (await givenFirmware(db, { hardware_type, version })).id;
  }
  const scooter = { kind: 'scooter', channel: 'telematics' } as const;
  await given({ ...scooter, version: 1, runs: { vega_gsm: { version: 'gsm 1.2', days: 10 }, vega_mcu: { version: 'mcu 2', days: 1 } } });
  await given({ ...scooter, version: 2, runs: { vega_gsm: { version: 'gsm 1.4', days: 3 }, vega_mcu: { version: 'mcu 1', days: 3 } } });
  await given({ kind: 'cabinet', version: null, channel: 'iot', runs: { cabinet: { version: 'cab 1', days: 40 } } });
  await given({ kind: 'scooter', version: null, channel: 'iot', runs: { vega_gsm: { version: 'gsm 1.3', days: 0 } } });
  await given({ ...scooter, version: 2, runs: {} });
  await given({
    ...scooter,
    version: 1,
    runs: { vega_gsm: { version: 'made at home', days: 2 }, vega_mcu: { version: 'mcu 1', days: 7 } },
  });
  await given({ ...scooter, version: 1, runs: { vega_gsm: { version: 'gsm 1.5', days: 2.5 } } });
  await given({ kind: 'cabinet', version: null, channel: 'iot', runs: {} });
  await given({ kind: 'cabinet', version: null, channel: 'telematics', runs: { cabinet: { version: 'prototype', days: 7 } } });
  await given({ ...scooter, version: 2, channel: 'iot', runs: { vega_gsm: { version: 'gsm 1.3', days: 7 } } });
  await given({ ...scooter, version: 2, runs: { vega_gsm: { version: 'gsm 1.2', days: 400 }, vega_mcu: { version: 'none', days: 400 } } });
});
beforeEach(() => {
  takeStatements();
});

/** What a condition means, in the words of a person who looks at the fleet above. */
const means: Record<string, (value: string, device: Known) => boolean> = {
  kind: (value, { kind }) => kind === value,
  external_id_prefix: (value, { external_id }) => external_id.startsWith(value),
  version: (value, { kind, version }) => kind === 'scooter' && String(version ?? 'none') === value,
  channel: (value, { channel }) => channel === value,
  runs_firmware_id: (value, { runs }) => Object.values(runs).some(({ version }) => idOf[version] === Number(value)),
  older_than_firmware_id: (value, { runs }) =>
    Object.entries(catalogue).some(([hardware_type, versions]) => {
      const newer = versions.findIndex((version) => idOf[version] === Number(value));
      const own = versions.indexOf(runs[hardware_type]?.version ?? '');
      return own >= 0 && own < newer;
    }),
  unknown_version: (value, { runs }) => value in runs && !catalogue[value]?.includes(runs[value]?.version ?? ''),
  not_seen_since: (value, { runs }) => Object.values(runs).every(({ days }) => daysAgo(days) < new Date(value)),
};
const lastDay = ({ runs }: Known): string => {
  const days = Object.values(runs).map(({ days }) => daysAgo(days).toISOString().slice(0, 10));
  return days.toSorted().at(-1) ?? '';
};
/** What each order means; devices that it does not tell apart are in the order of their registration. */
const orders: Record<string, (a: Known, b: Known) => number> = {
  created_dt: (a, b) => fleet.indexOf(a) - fleet.indexOf(b),
  external_id: (a, b) => (a.external_id < b.external_id ? -1 : 1),
  last_seen_on: (a, b) => lastDay(a).localeCompare(lastDay(b)) || fleet.indexOf(a) - fleet.indexOf(b),
};
/** By registration; with a prefix, by external id. */
const expected = ({ sort, ...query }: Record<string, string>) => {
  const found = fleet.filter((device) => Object.entries(query).every(([name, value]) => means[name]?.(value, device)));
  const order = sort ?? ('external_id_prefix' in query ? 'external_id_ascending' : 'created_dt_ascending');
  const sorted = found.toSorted(orders[order.replace(/_(a|de)scending$/, '')]).map(({ external_id }) => external_id);
  return order.endsWith('_descending') ? sorted.reverse() : sorted;
};
const fleetAt = (...places: number[]) => places.map((place) => fleet[place]?.external_id);

describe('GET /v1/devices', () => {
  it('200: all devices in the order of their registration, each as GET of one answers it, in one statement', async () => {
    const { statusCode, body } = await list();
    expect(takeStatements()).toHaveLength(1);
    expect(statusCode).toBe(200);
    expect(body.items.map(({ external_id }) => external_id)).toEqual(fleet.map(({ external_id }) => external_id));
    expect(body.next_cursor).toBeNull();
    for (const item of body.items) {
      expect(item).toEqual(JSON.parse(JSON.stringify(await getDevice(db, item.kind, item.external_id))));
    }
  });

  it('200: since when a device runs what it runs, and when it was last seen', async () => {
    const { body } = await list({ runs_firmware_id: String(idOf['gsm 1.2']), version: '1' });
    expect(body.items).toEqual([
      {
        ...{ kind: 'scooter', external_id: fleet[0]?.external_id, version: 1, channel: 'telematics' },
        ...{ zone: null, tags: [], revision: null, retired_dt: null },
        created_dt: '2024-01-01T00:00:00.000Z',
        last_seen_dt: '2026-11-23T08:00:00.000Z',
        firmwares: [
          {
            ...{ hardware_type: 'vega_gsm', firmware_id: idOf['gsm 1.2'], version: 'gsm 1.2', version_num: 1, is_newest: false },
            ...{ firmware_update_dt: '2026-11-14T08:00:00.000Z', firmware_update_time: null },
            ...{ observed_dt: '2026-11-14T08:00:00.000Z', source: 'confirmation' },
          },
          {
            ...{ hardware_type: 'vega_mcu', firmware_id: idOf['mcu 2'], version: 'mcu 2', version_num: 2, is_newest: true },
            ...{ firmware_update_dt: '2026-11-23T08:00:00.000Z', firmware_update_time: null },
            ...{ observed_dt: '2026-11-23T08:00:00.000Z', source: 'confirmation' },
          },
        ],
      },
    ]);
  });

  it.each<[string, () => Record<string, string>, number[]]>([
    ['of a kind', () => ({ kind: 'cabinet' }), [2, 7, 8]],
    ['of a generation', () => ({ version: '2' }), [1, 4, 9, 10]],
    ['with an IoT of their own: no cabinets', () => ({ version: 'none' }), [3]],
    ['of a channel', () => ({ channel: 'iot' }), [2, 3, 7, 9]],
    ['that run a firmware', () => ({ runs_firmware_id: String(idOf['gsm 1.3']) }), [3, 9]],
    [
      'that run an older one: not those that run it, a newer one, one in no catalogue, or nothing known',
      () => older('gsm 1.4'),
      [0, 3, 9, 10],
    ],
    ['that run one older than the oldest: none', () => older('gsm 1.2'), []],
    ['that run a version in no catalogue', () => ({ unknown_version: 'vega_gsm' }), [5]],
    [
      'not seen since: never seen ones too, and not one seen at that very moment',
      () => ({ not_seen_since: daysAgo(7).toISOString() }),
      [2, 4, 7, 10],
    ],
    ['not seen since, in another time zone', () => ({ not_seen_since: '2026-11-17T10:00:00.001+02:00' }), [2, 4, 7, 8, 9, 10]],
    ['that fulfil several', () => ({ ...older('gsm 1.4'), kind: 'scooter', version: '2', channel: 'telematics' }), [10]],
    ['that fulfil two about firmwares', () => ({ runs_firmware_id: String(idOf['gsm 1.4']), ...older('mcu 2') }), [1]],
    [
      'that fulfil all',
      () => ({ ...older('mcu 2'), unknown_version: 'vega_gsm', version: '1', not_seen_since: daysAgo(1).toISOString() }),
      [5],
    ],
  ])('200: devices %s', async (_, query, places) => {
    expect(await listAll(query())).toEqual(fleetAt(...places));
  });

  it('200: the devices that any combination of conditions means, in any order, in pages of any size', async () => {
    const ids = Object.values(idOf).map(String);
    const anyOf = (...values: string[]) => fc.option(fc.constantFrom(...values), { nil: undefined });
    const conditions = fc.record({
      kind: anyOf('scooter', 'cabinet'),
      external_id_prefix: anyOf('S', 'S-', 'C-', 'S-1', 'C-1', 's', '-'),
      version: anyOf('1', '2', 'none'),
      channel: anyOf('telematics', 'iot'),
      runs_firmware_id: anyOf(...ids),
      older_than_firmware_id: anyOf(...ids),
      unknown_version: anyOf('vega_gsm', 'vega_mcu', 'cabinet', 'audio_lock'),
      not_seen_since: anyOf(...[-1, 0, 1, 2.5, 3, 7, 40, 500].map((days) => daysAgo(days).toISOString())),
      sort: anyOf(...Object.keys(orders).flatMap((order) => [`${order}_ascending`, `${order}_descending`])),
    });
    await fc.assert(
      fc.asyncProperty(conditions, fc.integer({ min: 1, max: 12 }), async (wanted, limit) => {
        const query = Object.fromEntries(Object.entries(wanted).filter((pair): pair is [string, string] => pair[1] !== undefined));
        if (query['kind'] === 'cabinet') delete query['version'];
        expect(await listAll({ ...query, limit: String(limit) })).toEqual(expected(query));
      }),
      { numRuns: 150 },
    );
  });

  it('200: by the day on which they were last seen, never seen ones first; those of one day by their registration', async () => {
    const never = fleetAt(4, 7);
    // 400 days ago, 40, two 7; 3 days and 2.5 days ago are one day; 2, 1 and 0.
    const all = [...never, ...fleetAt(10, 2, 8, 9, 1, 6, 5, 0, 3)];
    for (const limit of ['1', '2', '500']) {
      expect(await listAll({ sort: 'last_seen_on_ascending', limit })).toEqual(all);
      expect(await listAll({ sort: 'last_seen_on_descending', limit })).toEqual(all.toReversed());
    }
  });

  it('200: with total, how many devices fulfil the conditions, whatever the page has', async () => {
    expect((await list({ limit: '2', total: 'true' })).body).toMatchObject({ items: [{}, {}], total: 11 });
    expect((await list({ limit: '2', total: 'true', kind: 'cabinet' })).body).toMatchObject({ total: 3 });
    expect((await list({ total: 'true', external_id_prefix: 'nobody' })).body).toEqual({ items: [], next_cursor: null, total: 0 });
    expect((await list({ limit: '2' })).body).not.toHaveProperty('total');
  });

  it('400: the cursor of another order', async () => {
    const { body } = await list({ sort: 'external_id_ascending', limit: '2' });
    const answer = await list<Problem>({ sort: 'external_id_descending', limit: '2', cursor: body.next_cursor ?? '' });
    expect(answer).toMatchObject({ statusCode: 400, body: { errors: [{ in: 'query', path: 'cursor' }] } });
  });

  it('200: devices whose external_id begins as somebody has typed it, in the order of external_id, each once', async () => {
    const own = named.db;
    for (const external_id of ['P-2', 'P-10', 'P-1', 'p-1', 'P', 'P-1:a', 'P-1_a', 'PA', 'Q-1', '.P-1']) {
      await givenDevices(own, 1, { kind: 'scooter', external_id });
    }
    await givenDevices(own, 1, { kind: 'cabinet', external_id: 'P-10' });
    const found = async (external_id_prefix: string, limit: string) => {
      const ids: string[] = [];
      for (let cursor: string | null | undefined; cursor !== null; ) {
        const query = { external_id_prefix, limit, ...(cursor && { cursor }) };
        const { body } = await call<Page>(createHandler({ ...deps, db: own }), {
          method: 'GET',
          path: '/v1/devices',
          token: reader,
          query,
        });
        ids.push(...body.items.map(({ kind, external_id }) => `${kind} ${external_id}`));
        cursor = body.next_cursor;
      }
      return ids;
    };
    for (const limit of ['1', '2', '500']) {
      expect(await found('P-1', limit)).toEqual(['scooter P-1', 'scooter P-10', 'cabinet P-10', 'scooter P-1:a', 'scooter P-1_a']);
      expect(await found('P', limit)).toEqual(
        ['P', 'P-1', 'P-10', 'P-10', 'P-1:a', 'P-1_a', 'P-2', 'PA'].map((id, i) => `${i === 3 ? 'cabinet' : 'scooter'} ${id}`),
      );
    }
    // What a pattern would mean is a letter here.
    expect(await found('.', '500')).toEqual(['scooter .P-1']);
    expect(await found('P-1_', '500')).toEqual(['scooter P-1_a']);
    expect(await found('nobody', '500')).toEqual([]);
  });

  it('200: pages skip and repeat nothing while devices are added, change what they run and are seen', async () => {
    const own = growing.db;
    const asked = createHandler({ ...deps, db: own });
    const page = async (cursor?: string | null) =>
      (
        await call<Page>(asked, {
          method: 'GET',
          path: '/v1/devices',
          token: reader,
          query: { kind: 'scooter', limit: '2', ...(cursor && { cursor }) },
        })
      ).body;
    const old = await givenDevices(own, 6);
    const first = await page();
    const added = await givenDevices(own, 2);
    await confirmUpdate(
      { db: own, now },
      old.map((external_id) => confirmation({ external_id, version: 'x' })),
    );
    const second = await page(first.next_cursor);
    await confirmUpdate(
      { db: own, now },
      old.map((external_id) => confirmation({ external_id, version: 'y', occurred_dt: new Date(startOfTime.getTime() + 1) })),
    );
    const third = await page(second.next_cursor);
    const fourth = await page(third.next_cursor);
    expect([first, second, third, fourth].map(({ items }) => items.map(({ external_id }) => external_id))).toEqual([
      old.slice(0, 2),
      old.slice(2, 4),
      old.slice(4),
      added,
    ]);
    expect(fourth.next_cursor).toBeNull();
  });

  it('200: a scooter and a cabinet with one external_id are two devices', async () => {
    const own = twins.db;
    await givenDevices(own, 1, { kind: 'scooter', external_id: 'X-1' });
    await givenDevices(own, 1, { kind: 'cabinet', external_id: 'X-1' });
    const { body } = await call<Page>(createHandler({ ...deps, db: own }), { method: 'GET', path: '/v1/devices', token: reader });
    expect(body.items.map(({ kind, external_id }) => `${kind} ${external_id}`)).toEqual(['scooter X-1', 'cabinet X-1']);
  });

  it('200: "which scooters run vega_gsm older than 1.4, and since when" is asked as the document says', async () => {
    const found = await call<{ items: { id: number }[] }>(createGetVersions(deps), {
      ...{ method: 'GET', path: '/v1/firmwares', token: reader },
      query: { hardware_type: 'vega_gsm', version: 'gsm 1.4' },
    });
    const { body } = await list({ kind: 'scooter', older_than_firmware_id: String(found.body.items[0]?.id) });
    const since = body.items.map(({ external_id, firmwares }) => {
      const gsm = firmwares.find(({ hardware_type }) => hardware_type === 'vega_gsm');
      return [external_id, gsm?.version, gsm?.firmware_update_dt];
    });
    expect(since).toEqual([
      [fleet[0]?.external_id, 'gsm 1.2', '2026-11-14T08:00:00.000Z'],
      [fleet[3]?.external_id, 'gsm 1.3', '2026-11-24T08:00:00.000Z'],
      [fleet[9]?.external_id, 'gsm 1.3', '2026-11-17T08:00:00.000Z'],
      [fleet[10]?.external_id, 'gsm 1.2', '2025-10-20T08:00:00.000Z'],
    ]);
  });

  it('200: also a withdrawn firmware can be run, and be newer than what others run', async () => {
    const withdrawn = await givenFirmware(db, { hardware_type: 'audio_lock', version: 'lock 2' });
    await db.updateTable('firmwares').set({ status: 'withdrawn', reason: 'silent' }).where('id', '=', withdrawn.id).execute();
    expect(await list({ runs_firmware_id: String(withdrawn.id) })).toMatchObject({ statusCode: 200, body: { items: [] } });
    expect(await list(older('lock 2', withdrawn.id))).toMatchObject({ statusCode: 200, body: { items: [] } });
  });

  it.each([
    ['kind', 'bicycle'],
    ['kind', ''],
    ['external_id_prefix', ''],
    ['external_id_prefix', '%'],
    ['external_id_prefix', 'x'.repeat(129)],
    ['version', '3'],
    ['version', 'null'],
    ['channel', 'pigeon'],
    ['runs_firmware_id', '0'],
    ['runs_firmware_id', '1.5'],
    ['runs_firmware_id', '2147483648'],
    ['runs_firmware_id', "1' OR '1'='1"],
    ['older_than_firmware_id', '-1'],
    ['older_than_firmware_id', ''],
    ['unknown_version', 'Vega'],
    ['not_seen_since', 'yesterday'],
    ['not_seen_since', '2026-11-24'],
    ['not_seen_since', '2026-13-24T08:00:00Z'],
    ['not_seen_since', ''],
    ['sort', 'external_id'],
    ['sort', 'zone_ascending'],
    ['total', '1'],
    ['limit', '0'],
    ['limit', '501'],
    ['cursor', 'abc'],
    ['cursor', Buffer.from('["1"]').toString('base64url')],
    ['cursor', Buffer.from('[2147483648]').toString('base64url')],
    ['running', 'x'],
  ])('400: refuses %s=%s, and the database is not asked', async (name, value) => {
    expect(await list<Problem>({ [name]: value })).toMatchObject({
      statusCode: 400,
      body: { code: 'request.invalid', errors: [{ in: 'query', path: name }] },
    });
    expect(takeStatements()).toEqual([]);
  });

  it('400: a generation of cabinets', async () => {
    const answer = await list<Problem>({ kind: 'cabinet', version: '1' });
    expect(answer).toMatchObject({ statusCode: 400, body: { errors: [{ in: 'query', path: 'version' }] } });
  });

  it('400: firmwares and hardware types that there are none of, all at once; no answer would pass for "no device"', async () => {
    const draft = await insertDraft(db, {
      ...{ hardware_type: 'vega_gsm', version: 'gsm draft', object_key: 'x', size_bytes: null, sha256: null },
      ...{ comment: '', created_by: 'test', created_dt: startOfTime },
    });
    const answer = await list<Problem>({
      runs_firmware_id: '2147483647',
      older_than_firmware_id: String(draft?.id),
      unknown_version: 'hoverboard',
    });
    expect(answer).toMatchObject({ statusCode: 400, body: { code: 'request.invalid' } });
    expect(answer.body.errors.map(({ path, message }) => [path, message])).toEqual([
      ['runs_firmware_id', 'there is no firmware 2147483647'],
      ['older_than_firmware_id', `firmware ${draft?.id} is awaiting_upload`],
      ['unknown_version', 'there is no hardware type hoverboard'],
    ]);
  });

  it('401, 403: only with the scope read', async () => {
    expect(await call(handler, { method: 'GET', path: '/v1/devices' })).toMatchObject({ statusCode: 401 });
    const others = await token({ scopes: ['firmware:write', 'devices:write', 'updates:write', 'devices:report'] });
    expect(await list({}, { token: others })).toMatchObject({ statusCode: 403 });
  });

  it('503: while the database is down', async () => {
    const down = createDatabase({ url: 'postgres://user:hunter2@127.0.0.1:9/none', maxConnections: 1 });
    const asked = createHandler({ ...deps, db: down });
    const answer = await call(asked, { method: 'GET', path: '/v1/devices', token: reader });
    expect(answer).toMatchObject({ statusCode: 503, headers: { 'retry-after': '2' } });
    await down.destroy();
  });
});

function older(version: string, id = idOf[version]) {
  return { older_than_firmware_id: String(id) };
}
