import { beforeEach, describe, expect, it } from 'vitest';
import { openGate } from '../../lib/update/backend-gate.ts';
import { createTestDatabase } from '../support/database.ts';
import { givenDevices, givenFirmware, startOfTime } from '../support/fixtures.ts';
import { createIdentity } from '../support/http.ts';
import { createUpdateApi, type ProblemBody } from '../support/update-api.ts';

const { db } = await createTestDatabase({ maxConnections: 20 });
const identity = await createIdentity();

beforeEach(async () => {
  await db.updateTable('backend_gate').set(openGate(startOfTime)).execute();
});

const given = async (devices: number, settings: Record<string, unknown> = {}) => {
  const api = await createUpdateApi(db, identity);
  const firmware = await givenFirmware(db);
  const external_ids = await givenDevices(db, devices);
  const { body } = await api.create({ firmware_id: firmware.id, targets: { external_ids }, canary: null, abort: [], ...settings });
  return { ...api, id: body.id, firmware, external_ids };
};

const minutesUntil = (dt: string) => (new Date(dt).getTime() - startOfTime.getTime()) / 60_000;

describe('GET /v1/updates/{id}', () => {
  it('200: who asked, when, why, the pace now and the estimated end, while it runs', async () => {
    const { run, id, get, backend } = await given(600, { rollout: { maximum_per_minute: 120 }, comment: 'winter tyres' });
    backend.behave = () => ({ seconds: 10, result: 'succeeds' });
    await run({ seconds: 122 });
    const { body } = await get(id);
    const sum = Object.values(body.counts).reduce((a, b) => a + b, 0);
    expect(sum).toBe(600);
    expect(body).toMatchObject({
      status: 'IN_PROGRESS',
      created_by: 'admin@example.org',
      created_dt: '2026-11-24T08:00:00.000Z',
      started_dt: '2026-11-24T08:00:01.000Z',
      finished_dt: null,
      comment: 'winter tyres',
      backend_errors: [],
    });
    expect(body.pace_per_minute).toBe(backend.commandsBetween(62.001, 123));
    expect(body.pace_per_minute).toBeGreaterThanOrEqual(100);
    expect(body.pace_per_minute).toBeLessThanOrEqual(120);
    expect(body.progress).toBeCloseTo(body.counts.SUCCEEDED / 600);
    // At 100 a minute and more 600 devices are done after five to six minutes.
    const minutes = (new Date(body.estimated_end_dt ?? 0).getTime() - startOfTime.getTime()) / 60_000;
    expect(minutes).toBeGreaterThan(4.5);
    expect(minutes).toBeLessThan(7.5);
    await run();
    await run({ seconds: 60 });
    expect((await get(id)).body).toMatchObject({ status: 'COMPLETED', progress: 1, pace_per_minute: 0, estimated_end_dt: null });
  });

  it('200: numbers that add up, by status and by reason, and the executions behind each', async () => {
    const { run, id, get, listExecutions, backend, firmware, external_ids } = await given(40, {
      timeouts: { queued_minutes: 30, in_progress_minutes: 20 },
    });
    const placeOf = (external_id: string) => external_ids.indexOf(external_id);
    backend.answer = ({ execution_id, external_id }) => {
      const place = placeOf(external_id);
      if (place < 3) return { execution_id, outcome: 'rejected', reason: 'no such scooter' };
      if (place < 7)
        return { execution_id, outcome: 'deferred', reason: place < 5 ? 'in a ride' : 'battery low', retry_after_seconds: 3_600 };
      return { execution_id, outcome: 'accepted' };
    };
    backend.behave = ({ external_id }) => {
      const place = placeOf(external_id);
      return { seconds: 5, result: place < 12 ? 'fails' : place < 14 ? 'liar' : place < 16 ? 'dead' : 'succeeds' };
    };
    await run({ seconds: 60 });
    const { body } = await get(id);
    expect(body.counts).toEqual({
      QUEUED: 4,
      IN_PROGRESS: 2,
      SUCCEEDED: 24,
      FAILED: 7,
      TIMED_OUT: 0,
      REJECTED: 3,
      CANCELED: 0,
      REMOVED: 0,
    });
    const deferrals = [
      { text: 'battery low', count: 2 },
      { text: 'in a ride', count: 2 },
    ];
    expect(body.reasons).toEqual([
      { status: 'SUCCEEDED', reason: null, count: 24, texts: [] },
      { status: 'FAILED', reason: 'DEVICE_FAILED', count: 5, texts: [] },
      { status: 'QUEUED', reason: 'DEFERRED', count: 4, texts: deferrals },
      { status: 'REJECTED', reason: 'BACKEND_REJECTED', count: 3, texts: [{ text: 'no such scooter', count: 3 }] },
      { status: 'FAILED', reason: 'VERSION_MISMATCH', count: 2, texts: [{ text: `wanted ${firmware.version}, reports 0.0.1`, count: 2 }] },
      { status: 'IN_PROGRESS', reason: null, count: 2, texts: [] },
    ]);
    expect(body.progress).toBeCloseTo(34 / 40);
    for (const { status, reason, count } of body.reasons) {
      const { items } = (await listExecutions(id, { status, ...(reason && { reason }) })).body;
      expect(items).toHaveLength(count);
    }
    const deferred = (await listExecutions(id, { reason: 'DEFERRED' })).body.items;
    expect(deferred.map(({ reason }) => reason).sort()).toEqual([
      'DEFERRED: battery low',
      'DEFERRED: battery low',
      'DEFERRED: in a ride',
      'DEFERRED: in a ride',
    ]);
    await run();
    expect((await get(id)).body.reasons.map(({ reason, count }) => [reason, count])).toEqual([
      [null, 24],
      ['DEVICE_FAILED', 5],
      ['QUEUED_TOO_LONG', 4],
      ['BACKEND_REJECTED', 3],
      ['VERSION_MISMATCH', 2],
      ['NOT_CONFIRMED', 2],
    ]);
  });

  it('200: an empty detail is null, and no text of a reason, also where it was stored by an earlier release', async () => {
    const { run, id, get, listExecutions } = await given(4);
    await run();
    await db
      .updateTable('update_executions')
      .set({ status: 'FAILED', reason: 'DEVICE_FAILED', detail: '' })
      .where('update_id', '=', id)
      .execute();
    // Which kept no figures.
    await db.updateTable('updates').set({ final_counts: null, final_figures: null }).where('id', '=', id).execute();
    expect((await get(id)).body.reasons).toEqual([{ status: 'FAILED', reason: 'DEVICE_FAILED', count: 4, texts: [] }]);
    expect((await listExecutions(id, {})).body.items.map(({ detail }) => detail)).toEqual([null, null, null, null]);
  });

  it('200: errors of the backend grouped by text, each with its number and its last time', async () => {
    const { run, id, get, backend, time } = await given(10);
    backend.isDown = true;
    time.after(20, () => {
      backend.isDown = false;
    });
    await run();
    // The one that found the trouble, and the probes.
    const calls = [...backend.arrivals, ...backend.questions].filter(({ wasTaken }) => !wasTaken);
    const last = calls.at(-1)?.at ?? startOfTime;
    const { body } = await get(id);
    expect(calls.length).toBeGreaterThan(2);
    expect(body.backend_errors).toEqual([
      { error: 'backend answered 503', calls: calls.length, last_dt: new Date(last.getTime() + 100).toISOString() },
    ]);
  });

  it('200: how the canary does; no end is estimated while it runs, nor while the update is paused', async () => {
    const { run, id, get, backend, control } = await given(100, { canary: { size: 10 }, rollout: { maximum_per_minute: 60 } });
    backend.behave = ({ execution_id }) => ({ seconds: execution_id % 10 === 3 ? 40 : 10, result: 'succeeds' });
    await run({ seconds: 12 });
    const { body } = await get(id);
    const { SUCCEEDED, IN_PROGRESS, QUEUED } = body.canary_counts ?? {};
    expect((SUCCEEDED ?? 0) + (IN_PROGRESS ?? 0) + (QUEUED ?? 0)).toBe(10);
    expect(SUCCEEDED).toBeGreaterThan(0);
    expect(body).toMatchObject({ canary_passed_dt: null, estimated_end_dt: null });
    await run({ seconds: 60 });
    const running = (await get(id)).body;
    expect(running.canary_passed_dt).not.toBeNull();
    // The 90 of a minute and a half; never in the past.
    const minutes = (new Date(running.estimated_end_dt ?? 0).getTime() - startOfTime.getTime()) / 60_000;
    expect(minutes).toBeGreaterThan(1.5);
    expect(minutes).toBeLessThan(5);
    await control('pause', id);
    expect((await get(id)).body).toMatchObject({ status: 'PAUSED', estimated_end_dt: null });
  });

  it('200: while windows are closed and nobody is at work, the end is not before the next step', async () => {
    const { run, id, get, backend } = await given(200, { window: { from: '07:00', until: '08:01' }, rollout: { maximum_per_minute: 60 } });
    backend.behave = () => ({ seconds: 5, result: 'succeeds' });
    await run({ seconds: 80 });
    const { counts, walk, estimated_end_dt } = (await get(id)).body;
    expect(counts.IN_PROGRESS).toBe(0);
    expect(counts.QUEUED).toBeGreaterThan(100);
    const minutesAfterStart = (time: string | Date | null) => (new Date(time ?? 0).getTime() - startOfTime.getTime()) / 60_000;
    expect(minutesAfterStart(walk.due_dt)).toBeGreaterThan(10);
    expect(minutesAfterStart(estimated_end_dt)).toBeGreaterThan(minutesAfterStart(walk.due_dt));
  });

  it('200: once everybody is asked, the end is that of the slowest; silent devices end at their deadline, and it says so', async () => {
    const { run, id, get, backend, external_ids } = await given(20, { timeouts: { queued_minutes: 60, in_progress_minutes: 30 } });
    const silent = new Set(external_ids.slice(0, 2));
    backend.behave = ({ external_id }) => ({ seconds: 10, result: silent.has(external_id) ? 'dead' : 'succeeds' });
    expect((await get(id)).body).toMatchObject({ at_work: null, estimated_end_dt: null });
    await run({ seconds: 60 });
    const { body } = await get(id);
    expect(body).toMatchObject({ counts: { QUEUED: 0, IN_PROGRESS: 2, SUCCEEDED: 18 } });
    const { since_dt, deadline_dt } = body.at_work ?? { since_dt: '', deadline_dt: '' };
    // All were asked within the first seconds, and have half an hour each.
    expect(minutesUntil(since_dt)).toBeLessThan(0.2);
    expect(minutesUntil(deadline_dt)).toBeGreaterThan(30);
    expect(minutesUntil(deadline_dt)).toBeLessThan(30.2);
    expect(body.estimated_end_dt).toBe(deadline_dt);
    await run();
    expect((await get(id)).body).toMatchObject({ status: 'COMPLETED', at_work: null, estimated_end_dt: null });
  });

  it('200: once everybody is asked and nobody has been at work for longer than others, the end is that of the slowest lately', async () => {
    const { run, id, get, backend } = await given(90, { rollout: { maximum_per_minute: 60 } });
    backend.behave = () => ({ seconds: 20, result: 'succeeds' });
    while ((await get(id)).body.counts.QUEUED > 0) await run({ seconds: 1 });
    const { body } = await get(id);
    expect(body.counts.IN_PROGRESS).toBeGreaterThan(0);
    expect(new Date(body.estimated_end_dt ?? 0).getTime()).toBeLessThan(new Date(body.at_work?.deadline_dt ?? 0).getTime());
  });

  it('200: progress is of the eligible devices: those on the target version before are none', async () => {
    const { run, id, firmware, external_ids, create, get } = await given(6);
    await run();
    const more = await givenDevices(db, 4);
    const { body } = await create({ firmware_id: firmware.id, targets: { external_ids: [...external_ids, ...more] }, canary: null });
    expect(body).toMatchObject({ counts: { SUCCEEDED: 6, QUEUED: 4 }, progress: 0 });
    await run();
    expect((await get(body.id)).body).toMatchObject({ counts: { SUCCEEDED: 10 }, progress: 1, canary_counts: null });
    expect((await get(id)).body).toMatchObject({ progress: 1 });
  });

  it('400, 401, 404', async () => {
    const { get, id } = await given(1);
    expect(await get<ProblemBody>('x')).toMatchObject({ statusCode: 400 });
    expect(await get<ProblemBody>(id, { token: '' })).toMatchObject({ statusCode: 401 });
    expect(await get<ProblemBody>(id, { token: await identity.token({ scopes: ['devices:write'] }) })).toMatchObject({ statusCode: 403 });
    expect(await get<ProblemBody>(999_999)).toMatchObject({ statusCode: 404, body: { code: 'update.not_found' } });
  });
});

describe('GET /v1/updates/{id}/executions', () => {
  it('200: pages hold each execution once, in order; a filter holds over pages', async () => {
    const { run, id, listExecutions, external_ids } = await given(25);
    await run();
    const seen: unknown[] = [];
    const query = { status: 'SUCCEEDED', limit: '10' };
    let { body } = await listExecutions(id, query);
    seen.push(...body.items.map((item) => item['external_id']));
    while (body.next_cursor) {
      ({ body } = await listExecutions(id, { ...query, cursor: body.next_cursor }));
      seen.push(...body.items.map((item) => item['external_id']));
    }
    expect(seen).toEqual(external_ids);
    expect((await listExecutions(id, { status: 'FAILED' })).body).toEqual({ items: [], next_cursor: null });
  });

  it('400 and 404', async () => {
    const { id, listExecutions } = await given(1);
    expect(await listExecutions<ProblemBody>(id, { status: 'LOST' })).toMatchObject({ statusCode: 400 });
    expect(await listExecutions<ProblemBody>(id, { cursor: 'x' })).toMatchObject({ statusCode: 400 });
    expect(await listExecutions<ProblemBody>(999_999)).toMatchObject({ statusCode: 404 });
  });
});

describe('GET /v1/updates/{id}/exclusions', () => {
  const ask = async () => {
    const api = await createUpdateApi(db, identity);
    const firmware = await givenFirmware(db);
    const known = await givenDevices(db, 2);
    const other = await givenDevices(db, 2, { version: 2 });
    const busy = await givenFirmware(db, { hardware_type: firmware.hardware_type });
    await api.create({ firmware_id: busy.id, targets: { external_ids: [known[1]] }, canary: null });
    const external_ids = ['X-3', 'X-1', 'X-2', ...known, ...other];
    const { body } = await api.create({ firmware_id: firmware.id, targets: { external_ids }, canary: null });
    return { ...api, body, id: body.id, known };
  };

  it('200: every device that was chosen and does not take part, once, and why; as many as the update says', async () => {
    const { id, body, known, listExclusions } = await ask();
    expect(body.not_eligible).toEqual({ UNKNOWN_DEVICE: 3, UPDATE_IN_FLIGHT: 1 });
    const seen: unknown[] = [];
    let page = (await listExclusions(id, { limit: '3' })).body;
    seen.push(...page.items);
    while (page.next_cursor) {
      page = (await listExclusions(id, { limit: '3', cursor: page.next_cursor })).body;
      seen.push(...page.items);
    }
    expect(seen).toEqual([
      { kind: 'scooter', external_id: 'X-1', reason: 'UNKNOWN_DEVICE', detail: null },
      { kind: 'scooter', external_id: 'X-2', reason: 'UNKNOWN_DEVICE', detail: null },
      { kind: 'scooter', external_id: 'X-3', reason: 'UNKNOWN_DEVICE', detail: null },
      { kind: 'scooter', external_id: known[1], reason: 'UPDATE_IN_FLIGHT', detail: null },
    ]);
  });

  it('200: those of one reason, over pages; none of a reason that nobody has', async () => {
    const { id, listExclusions } = await ask();
    const { body } = await listExclusions(id, { reason: 'UNKNOWN_DEVICE', limit: '2' });
    expect(body.items.map(({ external_id }) => external_id)).toEqual(['X-1', 'X-2']);
    const second = await listExclusions(id, { reason: 'UNKNOWN_DEVICE', limit: '2', cursor: body.next_cursor ?? '' });
    expect(second.body).toEqual({
      items: [{ kind: 'scooter', external_id: 'X-3', reason: 'UNKNOWN_DEVICE', detail: null }],
      next_cursor: null,
    });
    expect((await listExclusions(id, { reason: 'DOWNGRADE' })).body).toEqual({ items: [], next_cursor: null });
  });

  it('400 and 404', async () => {
    const { id, listExclusions } = await ask();
    expect(await listExclusions<ProblemBody>(id, { reason: 'DISLIKED' })).toMatchObject({ statusCode: 400 });
    expect(await listExclusions<ProblemBody>(id, { cursor: 'x' })).toMatchObject({ statusCode: 400 });
    expect(await listExclusions<ProblemBody>(999_999)).toMatchObject({ statusCode: 404 });
  });
});

describe('GET /v1/scooters/{external_id}/updates', () => {
  it('200: a device’s own past, the latest first, and nobody else’s', async () => {
    const { run, id, firmware, external_ids, listOfDevice, request, backend } = await given(2);
    const [external_id = ''] = external_ids;
    await run();
    const next = await givenFirmware(db);
    backend.behave = () => ({ seconds: 5, result: 'fails' });
    const second = await request({ firmware_id: next.id, targets: { external_ids: [external_id] }, canary: null });
    await run();
    const { body } = await listOfDevice(external_id);
    expect(body.items).toMatchObject([
      { update_id: second.id, status: 'FAILED', reason: 'DEVICE_FAILED', firmware_version: next.version, external_id },
      { update_id: id, status: 'SUCCEEDED', reason: null, firmware_version: firmware.version, external_id },
    ]);
    const first = (await listOfDevice(external_id, { limit: '1' })).body;
    expect(first.items).toHaveLength(1);
    expect((await listOfDevice(external_id, { limit: '1', cursor: first.next_cursor ?? '' })).body).toMatchObject({
      items: [{ update_id: id }],
      next_cursor: null,
    });
  });

  it('200: empty for a device that was never updated; 404: for one that nobody knows', async () => {
    const [external_id = ''] = await givenDevices(db, 1);
    const { listOfDevice } = await given(1);
    expect(await listOfDevice(external_id)).toMatchObject({ statusCode: 200, body: { items: [], next_cursor: null } });
    expect(await listOfDevice<ProblemBody>('nobody')).toMatchObject({ statusCode: 404, body: { code: 'device.not_found' } });
  });
});
