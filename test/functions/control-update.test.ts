import fc from 'fast-check';
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

/** An update of new devices at a pace of 60 a minute, 5 of which are asked at once. */
const given = async ({ devices = 20, ...settings }: { devices?: number } & Record<string, unknown> = {}) => {
  const api = await createUpdateApi(db, identity);
  const firmware = await givenFirmware(db);
  const external_ids = await givenDevices(db, devices);
  const { id } = await api.request({
    firmware_id: firmware.id,
    targets: { external_ids },
    canary: null,
    abort: [],
    rollout: { maximum_per_minute: 60 },
    ...settings,
  });
  return { ...api, id, firmware, external_ids };
};

const sumOf = (counts: Record<string, number>): number => Object.values(counts).reduce((sum, n) => sum + n, 0);

describe('POST /v1/updates/{id}/cancel', () => {
  it('200: cancels those that wait, lets those at work finish, and says how many; without a body', async () => {
    const { control, run, id, get, backend, messagesLeft } = await given();
    await run({ seconds: 3 });
    const answer = await control('cancel', id);
    expect(answer).toMatchObject({
      statusCode: 200,
      body: { changed: true, canceled: 15, update: { status: 'CANCELED', reason: null, counts: { IN_PROGRESS: 5, CANCELED: 15 } } },
    });
    await run();
    const { body } = await get(id);
    expect(body).toMatchObject({
      status: 'CANCELED',
      counts: { SUCCEEDED: 5, CANCELED: 15 },
      progress: 1,
      finished_dt: expect.any(String),
    });
    expect(body.reasons).toEqual([
      { status: 'CANCELED', reason: 'UPDATE_CANCELED', count: 15, texts: [] },
      { status: 'SUCCEEDED', reason: null, count: 5, texts: [] },
    ]);
    expect(backend.commands).toHaveLength(5);
    expect(messagesLeft()).toBe(0);
  });

  it('200: with force ends the record of those at work at once; their later success is late', async () => {
    const { control, run, id, get } = await given();
    await run({ seconds: 3 });
    expect((await control('cancel', id, { body: { force: true, reason: 'wrong firmware' } })).body).toMatchObject({
      changed: true,
      canceled: 20,
      update: { status: 'CANCELED', reason: 'wrong firmware', counts: { CANCELED: 20 } },
    });
    await run();
    expect((await get(id)).body).toMatchObject({ counts: { CANCELED: 20, SUCCEEDED: 0 }, late_successes: 5 });
  });

  it('200: again changes nothing and says so; force after it ends the rest', async () => {
    const { control, run, id, deps } = await given();
    await run({ seconds: 3 });
    await control('cancel', id, { body: { reason: 'first' } });
    const sent = deps.advances.sent;
    expect((await control('cancel', id, { body: { reason: 'second' } })).body).toMatchObject({
      changed: false,
      canceled: 0,
      update: { reason: 'first', counts: { IN_PROGRESS: 5, CANCELED: 15 } },
    });
    // But the message of its next step is sent again: it may be lost.
    expect(deps.advances.sent).toBe(sent + 1);
    expect((await control('cancel', id, { body: { force: true } })).body).toMatchObject({
      changed: true,
      canceled: 5,
      update: { reason: 'first', counts: { CANCELED: 20 } },
    });
    await run();
    expect((await control('cancel', id, { body: { force: true } })).body).toMatchObject({ changed: false, canceled: 0 });
  });

  it('200: ends a scheduled update before its time', async () => {
    const { control, run, id, get, backend } = await given({ start_dt: '2027-01-01T00:00:00Z' });
    await run({ seconds: 10 });
    expect((await control('cancel', id)).body).toMatchObject({ canceled: 20, update: { status: 'CANCELED', started_dt: null } });
    await run();
    expect((await get(id)).body).toMatchObject({ status: 'CANCELED', finished_dt: expect.any(String) });
    expect(backend.commands).toEqual([]);
  });

  it('200: ten at once cancel once', async () => {
    const { control, run, id } = await given();
    await run({ seconds: 3 });
    const answers = await Promise.all(Array.from({ length: 10 }, () => control('cancel', id)));
    expect(answers.every(({ statusCode }) => statusCode === 200)).toBe(true);
    expect(answers.map(({ body }) => body.canceled).sort((a, b) => b - a)).toEqual([15, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(answers.filter(({ body }) => body.changed)).toHaveLength(1);
  });

  it('409: an update that has completed stays so', async () => {
    const { control, run, id } = await given({ devices: 2 });
    await run();
    expect(await control<ProblemBody>('cancel', id)).toMatchObject({
      statusCode: 409,
      body: { code: 'update.ended', update_status: 'COMPLETED' },
    });
  });
});

describe('POST /v1/updates/{id}/pause and resume', () => {
  it('200: asks nobody until it goes on, and then everybody', async () => {
    const { control, run, id, get, backend } = await given();
    await run({ seconds: 3 });
    expect((await control('pause', id)).body).toMatchObject({ changed: true, canceled: 0, update: { status: 'PAUSED', reason: null } });
    await run({ seconds: 600 });
    expect(backend.commands).toHaveLength(5);
    expect((await get(id)).body).toMatchObject({ status: 'PAUSED', counts: { QUEUED: 15, SUCCEEDED: 5 } });
    expect((await control('resume', id)).body).toMatchObject({ changed: true, update: { status: 'IN_PROGRESS' } });
    await run();
    expect((await get(id)).body).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 20 } });
  });

  it('200: again changes nothing and says so', async () => {
    const { control, run, id } = await given();
    await run({ seconds: 3 });
    expect((await control('resume', id)).body).toMatchObject({ changed: false, update: { status: 'IN_PROGRESS' } });
    await control('pause', id, { body: { reason: 'rain' } });
    expect((await control('pause', id, { body: { reason: 'snow' } })).body).toMatchObject({ changed: false, update: { reason: 'rain' } });
    await control('resume', id);
    expect((await control('resume', id)).body).toMatchObject({ changed: false, update: { status: 'IN_PROGRESS', reason: null } });
  });

  it.each(['pause', 'resume'] as const)('409: %s of an update that has ended', async (action) => {
    const { control, run, id } = await given({ devices: 2 });
    await run();
    expect(await control<ProblemBody>(action, id)).toMatchObject({ statusCode: 409, body: { code: 'update.ended' } });
  });
});

describe('PATCH /v1/updates/{id}', () => {
  it('200: changes what is named and keeps the rest; again changes nothing', async () => {
    const { changePace, id } = await given({ rollout: { maximum_per_minute: 60, maximum_in_progress: 10 } });
    const rollout = { maximum_per_minute: 120, maximum_in_progress: 10, exponential: null };
    expect(await changePace(id, { rollout: { maximum_per_minute: 120 } })).toMatchObject({
      statusCode: 200,
      body: { changed: true, canceled: 0, update: { rollout } },
    });
    expect((await changePace(id, { rollout: { maximum_per_minute: 120 } })).body).toMatchObject({ changed: false, update: { rollout } });
    const exponential = { base_per_minute: 10, increment_factor: 1.5, after_succeeded: 10 };
    expect((await changePace(id, { rollout: { exponential, maximum_in_progress: null } })).body.update.rollout).toEqual({
      maximum_per_minute: 120,
      maximum_in_progress: null,
      exponential,
      maximum_unavailable_percentage: 100,
    });
    expect((await changePace(id, { rollout: { exponential } })).body.changed).toBe(false);
    expect((await changePace(id, { rollout: {} })).body.changed).toBe(false);
  });

  it('400: names every wrong field', async () => {
    const { changePace, id } = await given({ devices: 1 });
    const { statusCode, body } = await changePace<ProblemBody>(id, {
      rollout: { maximum_per_minute: 0, maximum_in_progress: 1.5, fast: true },
    });
    expect(statusCode).toBe(400);
    expect(body.errors?.map(({ path }) => path).sort()).toEqual([
      'rollout.fast',
      'rollout.maximum_in_progress',
      'rollout.maximum_per_minute',
    ]);
    expect(await changePace<ProblemBody>(id, undefined)).toMatchObject({ statusCode: 415 });
  });

  it('409: of an update that has ended', async () => {
    const { changePace, run, id } = await given({ devices: 1 });
    await run();
    expect(await changePace<ProblemBody>(id, { rollout: { maximum_per_minute: 1 } })).toMatchObject({ statusCode: 409 });
  });
});

describe('every control', () => {
  const actions = ['cancel', 'pause', 'resume'] as const;

  it.each(actions)('404: %s of an update that there is not', async (action) => {
    const { control } = await given({ devices: 1 });
    expect(await control<ProblemBody>(action, 999_999)).toMatchObject({ statusCode: 404, body: { code: 'update.not_found' } });
  });

  it.each(actions)('400: %s with an id that is not valid, or an unknown field', async (action) => {
    const { control, id } = await given({ devices: 1 });
    expect(await control<ProblemBody>(action, 'x')).toMatchObject({ statusCode: 400, body: { errors: [{ in: 'path', path: 'id' }] } });
    expect(await control<ProblemBody>(action, id, { body: { hurry: true } })).toMatchObject({
      statusCode: 400,
      body: { errors: [{ in: 'body', path: 'hurry' }] },
    });
    expect(await control<ProblemBody>(action, id, { body: '{' })).toMatchObject({ statusCode: 400, body: { code: 'request.malformed' } });
    expect(await control<ProblemBody>(action, id, { body: 'a=1', headers: { 'content-type': 'text/plain' } })).toMatchObject({
      statusCode: 415,
    });
  });

  it.each(actions)('401 and 403: %s needs a token with updates:write, and changes nothing without', async (action) => {
    const { control, id, get, executions } = await given({ devices: 1 });
    const before = await executions(id);
    const token = await identity.token({ scopes: ['read'] });
    expect(await control<ProblemBody>(action, id, { token })).toMatchObject({ statusCode: 403 });
    expect(await control<ProblemBody>(action, id, { token: '' })).toMatchObject({ statusCode: 401 });
    expect((await get(id)).body.status).toBe('SCHEDULED');
    expect(await executions(id)).toEqual(before);
  });

  it.each(actions)('503: %s changes nothing when the queue does not take its message', async (action) => {
    const api = await given();
    const { id, run, control, executions } = api;
    await run({ seconds: 3 });
    if (action === 'resume') await control('pause', id);
    const before = { status: (await api.get(id)).body.status, executions: await executions(id) };
    const { DomainError } = await import('../../lib/errors.ts');
    const { send } = api.deps.advances;
    api.deps.advances.send = async () => {
      throw new DomainError('queue.unavailable', 'The queue does not take messages');
    };
    expect(await control<ProblemBody>(action, id)).toMatchObject({ statusCode: 503, body: { code: 'queue.unavailable' } });
    api.deps.advances.send = send;
    expect({ status: (await api.get(id)).body.status, executions: await executions(id) }).toEqual(before);
  });
});

describe('controls at random moments of the fan-out', () => {
  const action = fc.oneof(
    fc.constantFrom('pause' as const, 'resume' as const, 'cancel' as const),
    fc.constant('force' as const),
    fc.constantFrom(60, 600, 6_000),
  );
  const plan = fc.array(fc.record({ at: fc.integer({ min: 0, max: 40_000 }), action }), { minLength: 1, maxLength: 8 });

  it('leave every device with one end, nobody asked after the end, and numbers that add up', { timeout: 300_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(plan, fc.boolean(), async (steps, isDuplicated) => {
        await db.updateTable('backend_gate').set(openGate(startOfTime)).execute();
        const api = await given({ devices: 60, rollout: { maximum_per_minute: 600 } });
        const { time, run, control, changePace, id, backend, deps } = api;
        backend.latencySeconds = () => 0.7;
        const putOff = new Set<number>();
        backend.answer = ({ execution_id }) => {
          if (execution_id % 5 !== 0 || putOff.has(execution_id)) return { execution_id, outcome: 'accepted' };
          putOff.add(execution_id);
          return { execution_id, outcome: 'deferred', reason: 'in a ride', retry_after_seconds: 3 };
        };
        backend.behave = ({ execution_id }) => ({ seconds: 4, result: execution_id % 7 === 0 ? 'fails' : 'succeeds' });
        deps.advances.isDuplicated = () => isDuplicated;
        deps.dispatches.isDuplicated = () => isDuplicated;
        let canceled = 0;
        let endedAt: number | undefined;
        for (const step of steps) {
          time.after(step.at / 1000, () =>
            time.spawn(async () => {
              const answer =
                typeof step.action === 'number'
                  ? await changePace(id, { rollout: { maximum_per_minute: step.action } })
                  : step.action === 'force'
                    ? await control('cancel', id, { body: { force: true } })
                    : await control(step.action, id);
              if (answer.statusCode === 409) return;
              expect(answer.statusCode).toBe(200);
              expect(sumOf(answer.body.update.counts)).toBe(60);
              canceled += answer.body.canceled;
              if (answer.body.update.status === 'CANCELED') endedAt ??= api.seconds();
            }),
          );
        }
        await run({ seconds: 120 });
        // Whatever was done, it can go on to its end.
        if ((await api.find(id)).status === 'PAUSED') await control('resume', id);
        await run();

        const update = await api.find(id);
        const executions = await api.executions(id);
        expect(sumOf(update.counts)).toBe(60);
        expect(update.reasons.reduce((sum, { count }) => sum + count, 0)).toBe(60);
        expect(update.counts).toMatchObject({ QUEUED: 0, IN_PROGRESS: 0 });
        expect(update).toMatchObject({ progress: 1, finished_dt: expect.any(Date) });
        expect(api.messagesLeft()).toBe(0);
        expect(update.status).toBe(endedAt === undefined ? 'COMPLETED' : 'CANCELED');
        // Those that were being handed over when it was canceled, and were put off, are canceled by the walk.
        expect(update.counts.CANCELED).toBeGreaterThanOrEqual(canceled);
        expect(backend.mostWithin(5)).toBeLessThanOrEqual(500);
        if (endedAt !== undefined) expect(backend.commandsBetween(endedAt + 0.001, 1e9)).toBe(0);
        else expect(update.counts.SUCCEEDED + update.counts.FAILED).toBe(60);
        // Each command once, but for those that were put off: that was no attempt, and the next command has its number.
        const commands = backend.commands.map(({ execution_id, attempt }) => `${execution_id} ${attempt}`);
        const again = commands.filter((command, i) => commands.indexOf(command) !== i);
        expect(again).toHaveLength(new Set(again).size);
        expect(again.filter((command) => !putOff.has(Number.parseInt(command, 10)))).toEqual([]);
        const asked = new Set(backend.commands.map(({ execution_id }) => execution_id));
        expect(executions.filter(({ id, status }) => status === 'SUCCEEDED' && !asked.has(id))).toEqual([]);
      }),
      { numRuns: 25 },
    );
  });
});
