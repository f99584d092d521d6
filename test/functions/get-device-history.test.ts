import { beforeEach, describe, expect, it } from 'vitest';
import { createHandler } from '../../functions/get-device-versions/handler.ts';
import type { DeviceWithHistory } from '../../lib/fleet/device-detail.ts';
import { confirmUpdate } from '../../lib/report/confirm-update.ts';
import { createTestDatabase } from '../support/database.ts';
import { confirmation, givenDevices, givenFirmware, silentLog, startOfTime, TestClock } from '../support/fixtures.ts';
import { call, createIdentity } from '../support/http.ts';

const { db, takeStatements } = await createTestDatabase();
const { authenticate, token } = await createIdentity();
const reader = await token({ scopes: ['read'] });
const handler = createHandler({ db, authenticate, log: silentLog });

type Kind = 'scooter' | 'cabinet';
const get = (kind: Kind, external_id: string, query: Record<string, string> = {}) =>
  call<DeviceWithHistory>(handler, {
    ...{ method: 'GET', path: `/v1/${kind}s/{external_id}`, pathParameters: { external_id }, query, token: reader },
  });
const clock = new TestClock();
const report = (...reports: Parameters<typeof confirmation>[0][]) => confirmUpdate({ db, now: clock.now }, reports.map(confirmation));
const secondsLater = (seconds: number) => new Date(startOfTime.getTime() + seconds * 1_000);
const givenDevice = async (kind: Kind = 'scooter') => (await givenDevices(db, 1, { kind }))[0] ?? '';
const versionsOf = ({ body }: { body: DeviceWithHistory }) => body.history?.items.map(({ version }) => version);

beforeEach(() => {
  takeStatements();
});

describe.each<Kind>(['scooter', 'cabinet'])('GET /v1/%ss/{external_id}?history=true', (kind) => {
  const hardware_type = kind === 'scooter' ? 'vega_gsm' : 'cabinet';

  it('200: what it ran before, the latest first, beside what it runs now', async () => {
    const old = await givenFirmware(db, { hardware_type, version: `old ${kind}` });
    const external_id = await givenDevice(kind);
    await report({ kind, external_id, hardware_type, version: old.version, occurred_dt: secondsLater(-90) });
    await report({ kind, external_id, hardware_type, version: 'made at home', occurred_dt: secondsLater(-30) });
    await report({ kind, external_id, hardware_type, version: 'made at home', occurred_dt: secondsLater(0) });
    const { statusCode, body } = await get(kind, external_id, { history: 'true' });
    expect(statusCode).toBe(200);
    const common = { hardware_type, firmware_update_time: null, source: 'confirmation' };
    expect(body.history).toEqual({
      items: [
        {
          ...{ ...common, firmware_id: null, version: 'made at home', version_num: null },
          ...{
            firmware_update_dt: '2026-11-24T07:59:30.000Z',
            observed_dt: '2026-11-24T07:59:30.000Z',
            occurred_dt: '2026-11-24T07:59:30.000Z',
          },
        },
        {
          ...{ ...common, firmware_id: old.id, version: old.version, version_num: old.version_num },
          ...{
            firmware_update_dt: '2026-11-24T07:58:30.000Z',
            observed_dt: '2026-11-24T07:58:30.000Z',
            occurred_dt: '2026-11-24T07:58:30.000Z',
          },
        },
      ],
      next_cursor: null,
    });
    expect(body.firmwares).toMatchObject([{ version: 'made at home', observed_dt: '2026-11-24T08:00:00.000Z' }]);
    expect(body.last_seen_dt).toBe('2026-11-24T08:00:00.000Z');
  });

  it('200: without a history unless it is asked for, in one statement', async () => {
    const external_id = await givenDevice(kind);
    await report({ kind, external_id, hardware_type, version: 'x' });
    takeStatements();
    for (const query of [{}, { history: 'false' }, { limit: '1' }]) {
      expect((await get(kind, external_id, query)).body).not.toHaveProperty('history');
      expect(takeStatements()).toHaveLength(1);
    }
  });

  it('200: an empty history of a device that never said anything; null for when it was seen', async () => {
    const external_id = await givenDevice(kind);
    const { body } = await get(kind, external_id, { history: 'true' });
    expect(body).toMatchObject({ history: { items: [], next_cursor: null }, last_seen_dt: null });
  });

  it('404: a device that there is not', async () => {
    expect(await get(kind, 'nobody', { history: 'true' })).toMatchObject({ statusCode: 404 });
  });

  it.each([
    ['history', 'yes'],
    ['history', ''],
    ['limit', '0'],
    ['limit', '501'],
    ['cursor', 'abc'],
    ['cursor', Buffer.from('["1"]').toString('base64url')],
    ['past', 'true'],
  ])('400: refuses %s=%s', async (name, value) => {
    const answer = await get(kind, await givenDevice(kind), { history: 'true', [name]: value });
    expect(answer).toMatchObject({ statusCode: 400, body: { code: 'request.invalid', errors: [{ in: 'query', path: name }] } });
  });
});

describe('a page of a history', () => {
  it('holds every change once, of any size, in two statements', async () => {
    const external_id = await givenDevice();
    const other = await givenDevice();
    const versions = Array.from({ length: 11 }, (_, i) => `version ${i}`);
    for (const [i, version] of versions.entries()) {
      await report({ external_id, version, occurred_dt: secondsLater(i) }, { external_id: other, version, occurred_dt: secondsLater(i) });
    }
    for (const limit of [1, 2, 10, 11, 500]) {
      const seen: (string | undefined)[] = [];
      for (let cursor: string | null | undefined; cursor !== null; ) {
        takeStatements();
        const page: { body: DeviceWithHistory } = await get('scooter', external_id, {
          ...{ history: 'true', limit: String(limit) },
          ...(cursor && { cursor }),
        });
        expect(takeStatements()).toHaveLength(2);
        seen.push(...(versionsOf(page) ?? []));
        cursor = page.body.history?.next_cursor ?? null;
      }
      expect(seen, `pages of ${limit}`).toEqual(versions.toReversed());
    }
  });

  it('skips and repeats nothing while changes are added', async () => {
    const external_id = await givenDevice();
    const change = (i: number) => report({ external_id, version: `version ${i}`, occurred_dt: secondsLater(i) });
    for (let i = 0; i < 4; i += 1) await change(i);
    const first = await get('scooter', external_id, { history: 'true', limit: '2' });
    await change(4);
    const second = await get('scooter', external_id, { history: 'true', limit: '2', cursor: first.body.history?.next_cursor ?? '' });
    expect([versionsOf(first), versionsOf(second)]).toEqual([
      ['version 3', 'version 2'],
      ['version 1', 'version 0'],
    ]);
  });

  it('knows a version by its firmware that came into the catalogue later', async () => {
    const external_id = await givenDevice();
    await report({ external_id, hardware_type: 'audio_lock', version: 'lock-9' });
    await report({ external_id, hardware_type: 'audio_lock', version: 'lock-10', occurred_dt: secondsLater(1) });
    const { id, version_num } = await givenFirmware(db, { hardware_type: 'audio_lock', version: 'lock-9' });
    await givenFirmware(db, { hardware_type: 'audio_locate', version: 'lock-10' });
    const { body } = await get('scooter', external_id, { history: 'true' });
    expect(body.history?.items).toMatchObject([
      { version: 'lock-10', firmware_id: null, version_num: null },
      { version: 'lock-9', firmware_id: id, version_num },
    ]);
  });

  it('costs the same however long the history is', async () => {
    const external_id = await givenDevice();
    for (let i = 0; i < 300; i += 100) {
      await report(
        ...Array.from({ length: 100 }, (_, n) => ({ external_id, version: `v${i + n}`, occurred_dt: secondsLater(i + n - 299) })),
      );
    }
    const last = await get('scooter', external_id, { history: 'true', limit: '298' });
    const page = await get('scooter', external_id, { history: 'true', limit: '2', cursor: last.body.history?.next_cursor ?? '' });
    expect(versionsOf(page)).toEqual(['v1', 'v0']);
  });
});
