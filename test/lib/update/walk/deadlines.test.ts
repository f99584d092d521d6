import { describe, expect, it } from 'vitest';
import { addSeconds, secondsBetween } from '../../../../lib/clock.ts';
import { BackendRefusal } from '../../../../lib/ports/backend.ts';
import { getExecutions } from '../../../../lib/update/get-update.ts';
import { cancelUpdate, pauseUpdate, resumeUpdate } from '../../../../lib/update/walk/control-update.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { actor, confirmation, givenDevices, givenFirmware, startOfTime } from '../../../support/fixtures.ts';
import { type Behaviour, createSimulatedWalk } from '../../../support/simulated-walk.ts';

const { db } = await createTestDatabase({ maxConnections: 20 });

const minute = 60;
const dead: Behaviour = { seconds: 0, result: 'dead' };

interface Given {
  devices?: number;
  /** By the device's place in the update, from 0, and the attempt. */
  behave?: (place: number, attempt: number) => Behaviour;
  [setting: string]: unknown;
}

/** An update of new devices without a canary or stop rules, and its walk. */
const given = async ({ devices = 1, behave, ...settings }: Given = {}) => {
  const walk = createSimulatedWalk(db);
  const firmware = await givenFirmware(db);
  const external_ids = await givenDevices(db, devices);
  if (behave) walk.backend.behave = (command) => behave(external_ids.indexOf(command.external_id), command.attempt);
  const { id } = await walk.request({ firmware_id: firmware.id, targets: { external_ids }, canary: null, abort: [], ...settings });
  return {
    ...walk,
    id,
    firmware,
    external_ids,
    place: (external_id: string) => external_ids.indexOf(external_id),
    one: async () => {
      const [execution] = await walk.executions(id);
      if (!execution) throw new Error('no execution');
      return execution;
    },
    sentAt: () => walk.backend.arrivals.map(({ at }) => secondsBetween(startOfTime, at)),
  };
};

const ended = async ({ find, id, messagesLeft, deadLetters }: Awaited<ReturnType<typeof given>>) => {
  expect({ left: messagesLeft(), dead: deadLetters() }).toEqual({ left: 0, dead: 0 });
  return find(id);
};

describe('the queued deadline', () => {
  it('ends executions that the backend kept putting off, each with its reason, and no sooner', async () => {
    const walk = await given({ devices: 3, timeouts: { queued_minutes: 10, in_progress_minutes: 5 } });
    walk.backend.answer = ({ execution_id }) => ({ execution_id, outcome: 'deferred', reason: 'in a ride', retry_after_seconds: 50 });
    await walk.run({ seconds: 9 * minute });
    expect(await walk.find(walk.id)).toMatchObject({ status: 'IN_PROGRESS', counts: { QUEUED: 3 } });
    await walk.run();
    expect(await ended(walk)).toMatchObject({
      status: 'COMPLETED',
      counts: { QUEUED: 0, TIMED_OUT: 3 },
      reasons: [{ status: 'TIMED_OUT', reason: 'QUEUED_TOO_LONG', count: 3 }],
    });
    expect(walk.seconds()).toBeGreaterThanOrEqual(10 * minute);
    expect(walk.seconds()).toBeLessThanOrEqual(11 * minute);
  });

  it('does not count the time that the update was paused', async () => {
    const walk = await given({ devices: 2, timeouts: { queued_minutes: 10, in_progress_minutes: 5 } });
    walk.backend.answer = ({ execution_id }) => ({ execution_id, outcome: 'deferred', reason: 'in a ride', retry_after_seconds: 20 });
    await walk.run({ seconds: 4 * minute });
    await pauseUpdate(walk.deps, walk.id, { reason: null }, actor);
    await walk.run({ seconds: 20 * minute });
    expect(await walk.find(walk.id)).toMatchObject({ status: 'PAUSED', counts: { QUEUED: 2 } });
    await resumeUpdate(walk.deps, walk.id, actor);
    await walk.run({ seconds: 5 * minute });
    expect(await walk.find(walk.id)).toMatchObject({ status: 'IN_PROGRESS', counts: { QUEUED: 2 } });
    await walk.run();
    expect(await ended(walk)).toMatchObject({ status: 'COMPLETED', counts: { TIMED_OUT: 2 } });
    expect(walk.seconds()).toBeGreaterThanOrEqual(30 * minute);
    expect(walk.seconds()).toBeLessThanOrEqual(31 * minute);
  });

  it('counts from the start of a scheduled update, also when it was paused and resumed before', async () => {
    const start_dt = addSeconds(startOfTime, 60 * minute).toISOString();
    const walk = await given({ devices: 2, start_dt, timeouts: { queued_minutes: 10, in_progress_minutes: 5 } });
    await walk.run({ seconds: 2 * minute });
    await pauseUpdate(walk.deps, walk.id, { reason: null }, actor);
    await walk.run({ seconds: 3 * minute });
    await resumeUpdate(walk.deps, walk.id, actor);
    await walk.run({ seconds: 50 * minute });
    expect(await walk.find(walk.id)).toMatchObject({ status: 'SCHEDULED', started_dt: null, counts: { QUEUED: 2 } });
    await walk.run();
    expect(await ended(walk)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 2 } });
    expect(walk.sentAt().every((second) => second >= 60 * minute && second <= 61 * minute)).toBe(true);
  });

  it('ends executions whose dispatch message was lost', async () => {
    const walk = await given({ devices: 2, timeouts: { queued_minutes: 10, in_progress_minutes: 5 } });
    walk.deps.dispatches.isLost = () => true;
    await walk.run();
    expect(await ended(walk)).toMatchObject({ status: 'COMPLETED', counts: { TIMED_OUT: 2 } });
    expect(walk.seconds()).toBeLessThanOrEqual(11 * minute);
  });

  it('ends executions whose dispatch message was lost when they were tried again', async () => {
    const walk = await given({
      retry: { number_of_retries: 1 },
      timeouts: { queued_minutes: 10, in_progress_minutes: 5 },
      behave: () => ({ seconds: 5, result: 'fails' }),
    });
    let sent = 0;
    walk.deps.dispatches.isLost = () => ++sent > 1;
    await walk.run({ seconds: 60 * minute });
    expect(await ended(walk)).toMatchObject({ status: 'COMPLETED', counts: { TIMED_OUT: 1 } });
  });
});

describe('the deadline of executions in progress', () => {
  it('ends devices that are never heard of, after all look-ups: 1, 2, 4, 8, 15 and every further 15 minutes, and at the deadline', async () => {
    const walk = await given({ devices: 2, behave: () => dead });
    await walk.run();
    expect(await ended(walk)).toMatchObject({
      status: 'COMPLETED',
      counts: { TIMED_OUT: 2 },
      reasons: [{ status: 'TIMED_OUT', reason: 'NOT_CONFIRMED', count: 2 }],
    });
    expect(walk.seconds()).toBeGreaterThanOrEqual(60 * minute);
    expect(walk.seconds()).toBeLessThanOrEqual(61 * minute);
    const asked = walk.backend.questions.map(({ at }) => secondsBetween(startOfTime, at) / minute);
    const waits = asked.map((at, i) => at - (asked[i - 1] ?? 0));
    // The walk looks at most every 30 s.
    for (const [i, expected] of [1, 2, 4, 8, 15, 15].entries()) {
      expect(waits[i]).toBeGreaterThanOrEqual(expected);
      expect(waits[i]).toBeLessThanOrEqual(expected + 0.6);
    }
    // And once at the deadline: nobody is given up who was not asked about then.
    expect(asked).toHaveLength(7);
    expect(asked[6]).toBeGreaterThanOrEqual(60);
    expect(walk.backend.questions.every(({ external_ids }) => external_ids.length === 2)).toBe(true);
  });

  it('spares devices that installed without a word: a look-up finds them and they succeed', async () => {
    const walk = await given({
      devices: 250,
      behave: (place) => (place < 50 ? { seconds: 90, result: 'silent' } : { seconds: 20, result: 'succeeds' }),
    });
    await walk.run();
    expect(await ended(walk)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 250 }, late_successes: 0 });
    const { source } = await db
      .selectFrom('device_firmwares as r')
      .innerJoin('devices as d', 'd.id', 'r.device_id')
      .select('source')
      .where('d.external_id', '=', walk.external_ids[0] as string)
      .executeTakeFirstOrThrow();
    expect(source).toBe('observation');
    // In chunks, and only those that have not reported.
    expect(walk.backend.questions.every(({ external_ids }) => external_ids.every((id) => walk.place(id) < 50))).toBe(true);
  });

  it('ends nothing early: a device that takes 59 minutes succeeds', async () => {
    const walk = await given({ behave: () => ({ seconds: 59 * minute, result: 'succeeds' }) });
    await walk.run();
    expect(await ended(walk)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 1 } });
  });

  it('passes also while the update is paused, and after it was canceled', async () => {
    const paused = await given({ behave: () => dead, timeouts: { queued_minutes: 60, in_progress_minutes: 10 } });
    const canceled = await given({ behave: () => dead, timeouts: { queued_minutes: 60, in_progress_minutes: 10 } });
    await paused.run({ seconds: 30 });
    await pauseUpdate(paused.deps, paused.id, { reason: null }, actor);
    await paused.run();
    expect(await ended(paused)).toMatchObject({ status: 'COMPLETED', counts: { TIMED_OUT: 1 } });
    await canceled.run({ seconds: 30 });
    await cancelUpdate(canceled.deps, canceled.id, { force: false, reason: null }, actor);
    await canceled.run();
    expect(await ended(canceled)).toMatchObject({ status: 'CANCELED', counts: { TIMED_OUT: 1 } });
  });

  it('a success after it corrects what the device runs and counts as late, once; the status stays', async () => {
    const walk = await given({ behave: () => ({ seconds: 70 * minute, result: 'succeeds' }) });
    await walk.run();
    expect(await ended(walk)).toMatchObject({ status: 'COMPLETED', counts: { TIMED_OUT: 1, SUCCEEDED: 0 }, late_successes: 1 });
    const late = (await walk.one()).late_success_dt;
    expect(late).toEqual(addSeconds(startOfTime, walk.seconds()));
    const again = confirmation({
      external_id: walk.external_ids[0] as string,
      version: walk.firmware.version,
      occurred_dt: addSeconds(walk.clock.now(), 60),
    });
    walk.report(again);
    walk.report({ ...again, occurred_dt: addSeconds(walk.clock.now(), 120) });
    await walk.run();
    expect(await walk.one()).toMatchObject({ status: 'TIMED_OUT', reason: 'NOT_CONFIRMED', late_success_dt: late });
    const { reported_version } = await db
      .selectFrom('device_firmwares as r')
      .innerJoin('devices as d', 'd.id', 'r.device_id')
      .select('reported_version')
      .where('d.external_id', '=', walk.external_ids[0] as string)
      .executeTakeFirstOrThrow();
    expect(reported_version).toBe(walk.firmware.version);
  });
});

describe('retries', () => {
  it('are as many as granted, after 1, 2 and 4 minutes, each a command of its own', async () => {
    const walk = await given({ retry: { number_of_retries: 3 }, behave: () => ({ seconds: 10, result: 'fails' }) });
    await walk.run();
    expect(await ended(walk)).toMatchObject({ status: 'COMPLETED', counts: { FAILED: 1 } });
    expect(await walk.one()).toMatchObject({ status: 'FAILED', reason: 'DEVICE_FAILED', attempt: 4, retries: 3 });
    expect(walk.backend.commands.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4]);
    const sent = walk.sentAt();
    const waits = sent.slice(1).map((at, i) => at - (sent[i] ?? 0) - 10);
    for (const [i, expected] of [1, 2, 4].entries()) {
      expect(waits[i]).toBeGreaterThanOrEqual(expected * minute);
      // The walk looks at most every 30 s.
      expect(waits[i]).toBeLessThanOrEqual(expected * minute + 31);
    }
  });

  it('of some devices end well, and the others are not asked again', async () => {
    const walk = await given({
      devices: 10,
      retry: { number_of_retries: 2 },
      behave: (place, attempt) => ({ seconds: 10, result: place < 3 && attempt < 3 ? 'fails' : 'succeeds' }),
    });
    await walk.run();
    expect(await ended(walk)).toMatchObject({ counts: { SUCCEEDED: 10, FAILED: 0 } });
    expect(walk.backend.commands).toHaveLength(10 + 3 + 3);
  });

  it.each([
    ['a failure only when FAILED is named', ['TIMED_OUT'], { seconds: 10, result: 'fails' }, 1],
    ['a failure when FAILED is named', ['FAILED'], { seconds: 10, result: 'fails' }, 2],
    ['silence when TIMED_OUT is named', ['TIMED_OUT'], dead, 2],
    ['silence only when TIMED_OUT is named', ['FAILED'], dead, 1],
    ['a version that is not the one wanted, when FAILED is named', ['FAILED'], { seconds: 10, result: 'liar' }, 2],
    ['everything when ALL is named', ['ALL'], dead, 2],
  ] as const)('undo %s', async (_name, failure_types, behaviour, commands) => {
    const timeouts = { queued_minutes: 60, in_progress_minutes: 10 };
    const walk = await given({ timeouts, retry: { number_of_retries: 1, failure_types }, behave: () => behaviour });
    await walk.run();
    expect(await ended(walk)).toMatchObject({ status: 'COMPLETED', progress: 1 });
    expect(walk.backend.commands).toHaveLength(commands);
  });

  it.each([
    ['when REJECTED is named', ['REJECTED'], 3],
    ['only then', ['FAILED', 'TIMED_OUT'], 1],
  ] as const)('undo a refusal by the backend %s', async (_name, failure_types, commands) => {
    const walk = await given({ retry: { number_of_retries: 2, failure_types } });
    walk.backend.answer = ({ execution_id }) => ({ execution_id, outcome: 'rejected', reason: 'no such scooter' });
    await walk.run();
    expect(await ended(walk)).toMatchObject({ status: 'COMPLETED', counts: { REJECTED: 1 } });
    expect(await walk.one()).toMatchObject({ reason: 'BACKEND_REJECTED', detail: 'no such scooter', retries: commands - 1 });
    expect(walk.backend.commands.map(({ attempt }) => attempt)).toEqual([1, 2, 3].slice(0, commands));
  });

  it('of a call that the backend refuses as a whole are the same', async () => {
    const walk = await given({ retry: { number_of_retries: 1, failure_types: ['REJECTED'] } });
    walk.backend.sendCommands = async (commands) => {
      walk.backend.arrivals.push({ at: walk.clock.now(), commands, wasTaken: true });
      throw new BackendRefusal('backend answered 400');
    };
    await walk.run();
    expect(await ended(walk)).toMatchObject({
      counts: { REJECTED: 1 },
      backend_errors: [{ error: 'backend answered 400', calls: 2 }],
    });
    expect(walk.backend.commands.map(({ attempt }) => attempt)).toEqual([1, 2]);
  });

  it('do not hold the places of maximum_in_progress: the others go on, and so do they', async () => {
    const walk = await given({
      devices: 6,
      rollout: { maximum_in_progress: 2 },
      retry: { number_of_retries: 1 },
      timeouts: { queued_minutes: 120, in_progress_minutes: 30 },
      behave: (_place, attempt) => ({ seconds: 10, result: attempt === 1 ? 'fails' : 'succeeds' }),
    });
    await walk.run({ seconds: 60 * minute });
    expect(await ended(walk)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 6 } });
  });

  it('are not made once the update is canceled', async () => {
    const walk = await given({ retry: { number_of_retries: 3 }, behave: () => ({ seconds: 60, result: 'fails' }) });
    await walk.run({ seconds: 30 });
    await cancelUpdate(walk.deps, walk.id, { force: false, reason: null }, actor);
    await walk.run();
    expect(await ended(walk)).toMatchObject({ status: 'CANCELED', counts: { FAILED: 1 } });
    expect(walk.backend.commands).toHaveLength(1);
  });

  it('that wait are canceled with the update', async () => {
    const walk = await given({ retry: { number_of_retries: 3 }, behave: () => ({ seconds: 5, result: 'fails' }) });
    await walk.run({ seconds: 30 });
    expect(await walk.one()).toMatchObject({ status: 'IN_PROGRESS', reason: 'RETRY: DEVICE_FAILED', retries: 1, attempt: 2 });
    expect(await cancelUpdate(walk.deps, walk.id, { force: false, reason: null }, actor)).toMatchObject({ changed: true, canceled: 1 });
    await walk.run();
    expect(await ended(walk)).toMatchObject({ status: 'CANCELED', counts: { CANCELED: 1 } });
    expect(await walk.one()).toMatchObject({ attempt: 1, retries: 0 });
  });

  it('count as soon as they are sent, and not when they are granted', async () => {
    const walk = await given({ retry: { number_of_retries: 2 }, behave: () => ({ seconds: 5, result: 'fails' }) });
    const shown = async () => (await getExecutions(db, { update_id: walk.id, limit: 1 }, walk.clock.now())).items[0];
    await walk.run({ seconds: 30 });
    expect(await shown()).toMatchObject({ reason: 'RETRY: DEVICE_FAILED', attempt: 1, retries: 0 });
    await walk.run({ seconds: 90 });
    expect(walk.backend.commands).toHaveLength(2);
    expect(await shown()).toMatchObject({ reason: 'RETRY: DEVICE_FAILED', attempt: 2, retries: 1 });
    await walk.run();
    expect(await shown()).toMatchObject({ status: 'FAILED', attempt: 3, retries: 2 });
  });

  it('a success of an earlier attempt that comes while a retry waits ends the execution well', async () => {
    const walk = await given({ retry: { number_of_retries: 3, failure_types: ['TIMED_OUT'] }, behave: () => dead });
    await walk.run({ seconds: 61 * minute });
    const { id: execution_id, status, attempt } = await walk.one();
    expect({ status, attempt }).toEqual({ status: 'IN_PROGRESS', attempt: 2 });
    const [external_id = ''] = walk.external_ids;
    walk.report(confirmation({ external_id, version: walk.firmware.version, execution_id, occurred_dt: walk.clock.now() }));
    await walk.run();
    expect(await ended(walk)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 1 } });
    expect(walk.backend.commands).toHaveLength(1);
    expect(await walk.one()).toMatchObject({ attempt: 1, retries: 0 });
  });
});

describe('a deferral by the backend', () => {
  it('is no failure: it waits as long as asked, tells why, and uses no retry', async () => {
    const walk = await given({ retry: { number_of_retries: 1 } });
    let asked = 0;
    walk.backend.answer = ({ execution_id }) => {
      asked += 1;
      return asked <= 3
        ? { execution_id, outcome: 'deferred', reason: 'battery low', retry_after_seconds: 300 }
        : { execution_id, outcome: 'accepted' };
    };
    await walk.run({ seconds: 20 });
    expect(await walk.one()).toMatchObject({
      status: 'QUEUED',
      reason: 'DEFERRED: battery low',
      retries: 0,
      finished_dt: null,
      next_attempt_dt: addSeconds(startOfTime, 301.1),
    });
    expect(await walk.find(walk.id)).toMatchObject({ reasons: [{ status: 'QUEUED', reason: 'DEFERRED', count: 1 }] });
    await walk.run();
    expect(await ended(walk)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 1 } });
    // A deferral is no attempt.
    expect(await walk.one()).toMatchObject({ reason: null, retries: 0, attempt: 1 });
    expect(walk.backend.commands.map(({ attempt }) => attempt)).toEqual([1, 1, 1, 1]);
    const sent = walk.sentAt();
    expect(sent.slice(1).every((at, i) => at - (sent[i] ?? 0) >= 300)).toBe(true);
  });

  it('of canary devices does not stop the update: they are asked again, and no others in their stead', async () => {
    const walk = await given({ devices: 40, canary: { size: 10 } });
    const wasPutOff = new Set<number>();
    walk.backend.answer = ({ execution_id }) => {
      if (wasPutOff.has(execution_id)) return { execution_id, outcome: 'accepted' };
      wasPutOff.add(execution_id);
      return { execution_id, outcome: 'deferred', reason: 'in a ride', retry_after_seconds: 120 };
    };
    await walk.run({ seconds: 100 });
    expect(walk.backend.commands).toHaveLength(10);
    await walk.run({ seconds: 30 });
    expect(new Set(walk.backend.commands.map(({ execution_id }) => execution_id)).size).toBe(10);
    await walk.run();
    expect(await ended(walk)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 40 } });
    expect((await walk.executions(walk.id)).filter(({ is_canary }) => is_canary)).toHaveLength(10);
  });

  it('of an update that is canceled meanwhile ends it', async () => {
    const walk = await given();
    walk.backend.latencySeconds = () => 10;
    walk.backend.answer = ({ execution_id }) => ({ execution_id, outcome: 'deferred', reason: 'in a ride', retry_after_seconds: 60 });
    await walk.run({ seconds: 5 });
    // The call is under way: the device may have been asked.
    expect(await cancelUpdate(walk.deps, walk.id, { force: false, reason: 'mistake' }, actor)).toMatchObject({
      changed: true,
      canceled: 0,
    });
    await walk.run({ seconds: 5 * minute });
    expect(await ended(walk)).toMatchObject({
      status: 'CANCELED',
      counts: { CANCELED: 1 },
      reasons: [{ status: 'CANCELED', reason: 'UPDATE_CANCELED', count: 1 }],
    });
  });
});

describe('a stop rule that pauses', () => {
  const givenPaused = async (behave: (place: number) => Behaviour) => {
    const abort = { failure_types: ['FAILED'], threshold_percentage: 50, minimum_executions: 2, action: 'PAUSE' };
    const walk = await given({ devices: 8, abort, rollout: { maximum_in_progress: 2 }, behave });
    await walk.run({ seconds: 5 * minute });
    expect(await walk.find(walk.id)).toMatchObject({
      status: 'PAUSED',
      reason: 'FAILURE_RATE: 2 of 2 devices asked ended as FAILED',
      counts: { FAILED: 2, QUEUED: 6 },
    });
    expect(await resumeUpdate(walk.deps, walk.id, actor)).toMatchObject({ changed: true, update: { status: 'IN_PROGRESS', reason: null } });
    return walk;
  };

  it('lets an admin go on: it judges only what has ended since', async () => {
    const walk = await givenPaused((place) => ({ seconds: 10, result: place < 2 ? 'fails' : 'succeeds' }));
    await walk.run({ seconds: 5 });
    expect(await walk.find(walk.id)).toMatchObject({ status: 'IN_PROGRESS', counts: { FAILED: 2, IN_PROGRESS: 2, QUEUED: 4 } });
    await walk.run();
    expect(await ended(walk)).toMatchObject({ status: 'COMPLETED', counts: { FAILED: 2, SUCCEEDED: 6 } });
  });

  it('pauses again, and again, a firmware that goes on failing', async () => {
    const walk = await givenPaused(() => ({ seconds: 10, result: 'fails' }));
    for (const failed of [4, 6]) {
      await walk.run({ seconds: 5 * minute });
      expect(await walk.find(walk.id)).toMatchObject({
        status: 'PAUSED',
        reason: 'FAILURE_RATE: 2 of 2 devices asked ended as FAILED since the update was resumed',
        counts: { FAILED: failed, QUEUED: 8 - failed },
      });
      await resumeUpdate(walk.deps, walk.id, actor);
    }
    await walk.run();
    expect(await ended(walk)).toMatchObject({ status: 'COMPLETED', counts: { FAILED: 8 } });
  });
});
