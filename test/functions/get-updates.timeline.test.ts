import { beforeEach, describe, expect, it } from 'vitest';
import { openGate } from '../../lib/update/backend-gate.ts';
import { createTestDatabase } from '../support/database.ts';
import { givenDevices, givenFirmware, startOfTime } from '../support/fixtures.ts';
import { createIdentity } from '../support/http.ts';
import { createUpdateApi, type ProblemBody } from '../support/update-api.ts';

const { db, takeStatements } = await createTestDatabase({ maxConnections: 20 });
const identity = await createIdentity();
const firmware = await givenFirmware(db);
const external_ids = await givenDevices(db, 12);
const rollout = { maximum_per_minute: 30, maximum_in_progress: 4 };
const api = await createUpdateApi(db, identity);
const { body: update } = await api.create({ firmware_id: firmware.id, targets: { external_ids }, canary: null, abort: [], rollout });
api.backend.behave = ({ external_id }) => ({ seconds: 5, result: external_ids.indexOf(external_id) < 3 ? 'fails' : 'succeeds' });

beforeEach(async () => {
  await db.updateTable('backend_gate').set(openGate(startOfTime)).execute();
});

const sum = (counts: Record<string, number>) => Object.values(counts).reduce((total, n) => total + n, 0);

describe('GET /v1/updates/{id}/timeline', () => {
  it('200: of an update that has not begun, everybody waits', async () => {
    const { statusCode, body } = await api.timeline(update.id);
    expect(statusCode).toBe(200);
    expect(body.points.at(-1)).toMatchObject({ counts: { QUEUED: 12, IN_PROGRESS: 0 } });
  });

  it('200: at its last moment it counts what the update counts, while it runs and when it has ended', async () => {
    for (const seconds of [4, 9]) {
      await api.run({ seconds });
      const { counts } = (await api.get(update.id)).body;
      expect((await api.timeline(update.id)).body.points.at(-1)?.counts).toEqual(counts);
    }
    await api.run();
    expect((await api.get(update.id)).body).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 9, FAILED: 3 } });
    const { points } = (await api.timeline(update.id)).body;
    expect(points.at(-1)?.counts).toMatchObject({ SUCCEEDED: 9, FAILED: 3, QUEUED: 0, IN_PROGRESS: 0 });
  });

  it('200: from the start to the end, never more at work than may be, and nobody comes back from an end', async () => {
    const { started_dt, finished_dt } = (await api.get(update.id)).body;
    const { points } = (await api.timeline(update.id, { points: '200' })).body;
    expect(points).toHaveLength(200);
    expect([points[0]?.dt, points.at(-1)?.dt]).toEqual([started_dt, finished_dt]);
    let ended = 0;
    for (const { counts } of points) {
      expect(sum(counts)).toBe(12);
      expect(counts.IN_PROGRESS).toBeLessThanOrEqual(4);
      expect(counts.SUCCEEDED + counts.FAILED).toBeGreaterThanOrEqual(ended);
      ended = counts.SUCCEEDED + counts.FAILED;
    }
    expect(Math.max(...points.map(({ counts }) => counts.IN_PROGRESS))).toBeGreaterThan(0);
  });

  it('200: a part of it agrees with the executions one by one', async () => {
    const { items } = (await api.listExecutions(update.id, { limit: '500' })).body;
    const from_dt = '2026-11-24T08:00:03Z';
    const until_dt = '2026-11-24T09:00:12.5+01:00';
    const { points } = (await api.timeline(update.id, { from_dt, until_dt, points: '7' })).body;
    expect([points[0]?.dt, points.at(-1)?.dt]).toEqual(['2026-11-24T08:00:03.000Z', '2026-11-24T08:00:12.500Z']);
    for (const { dt, counts } of points) {
      const asked = items.filter(({ sent_dt }) => sent_dt !== null && String(sent_dt) <= dt).length;
      const ended = items.filter(({ finished_dt }) => finished_dt !== null && String(finished_dt) <= dt).length;
      expect({ dt, ended: counts.SUCCEEDED + counts.FAILED, working: counts.IN_PROGRESS }).toEqual({ dt, ended, working: asked - ended });
    }
  });

  it('200: in two statements, whatever the number of executions', async () => {
    takeStatements();
    await api.timeline(update.id, { points: '500' });
    expect(takeStatements()).toHaveLength(2);
  });

  it('200: no points when the executions are no longer kept', async () => {
    await db.updateTable('updates').set({ executions_removed_dt: startOfTime }).where('id', '=', update.id).execute();
    expect(await api.timeline(update.id)).toMatchObject({ statusCode: 200, body: { points: [] } });
    await db.updateTable('updates').set({ executions_removed_dt: null }).where('id', '=', update.id).execute();
  });

  it.each([
    [{ points: '1' }, 'points'],
    [{ points: '501' }, 'points'],
    [{ from_dt: 'yesterday' }, 'from_dt'],
    [{ until_dt: '2026-11-24' }, 'until_dt'],
    [{ from_dt: '2026-11-24T08:00:00Z', until_dt: '2026-11-24T08:00:00Z' }, 'until_dt'],
    [{ until: '2026-11-24T08:00:00Z' }, 'until'],
  ])('400: %j', async (query, path) => {
    const answer = await api.timeline<ProblemBody>(update.id, query as Record<string, string>);
    expect(answer).toMatchObject({ statusCode: 400, body: { errors: [{ in: 'query', path }] } });
  });

  it('404: no such update', async () => {
    expect(await api.timeline<ProblemBody>(2_000_000_000)).toMatchObject({ statusCode: 404, body: { code: 'update.not_found' } });
  });
});
