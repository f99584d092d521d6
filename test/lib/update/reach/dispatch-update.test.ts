import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import { addSeconds } from '../../../../lib/clock.ts';
import { BackendRefusal, BackendUnavailable, type CommandOutcome } from '../../../../lib/ports/backend.ts';
import { changePace } from '../../../../lib/update/walk/control-update.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { actor, confirmation, givenDevices, givenFirmware, startOfTime } from '../../../support/fixtures.ts';
import { untilWaiting } from '../../../support/locks.ts';
import { manifestClaimsOf } from '../../../support/manifest-signer.ts';
import { visibilitySeconds } from '../../../support/timed-queues.ts';
import { createUpdateService, type UpdateService } from '../../../support/update-service.ts';

const { db, takeStatements } = await createTestDatabase();
let service: UpdateService;
beforeEach(() => {
  service = createUpdateService(db);
});

/** An update whose chunks wait in the queue. */
const givenReleased = async (request: { devices?: number } & Record<string, unknown> = {}) => {
  const given = await service.given(request);
  await service.advance(given.message);
  const chunks = service.deps.dispatches.take();
  const [chunk] = chunks;
  const [next] = service.deps.advances.take();
  if (!chunk || !next) throw new Error('nothing was released');
  const executions = await service.executions(given.update.id);
  return { ...given, chunk, next, executions };
};

const commanded = () => service.deps.backend.commands.map(({ execution_id, attempt }) => ({ execution_id, attempt }));

describe('a chunk handed to the backend', () => {
  it('carries all a device needs: the link is a fresh one to exactly the firmware, in each command', async () => {
    const object = service.deps.storage.put('firmwares/vega_mcu/9.9/a b.bin', Buffer.from('the bytes'));
    const firmware = await givenFirmware(db, { bytes: Buffer.from('the bytes'), file_link: service.deps.storage.toLink(object) });
    const external_ids = await givenDevices(db, 3);
    await service.request({ firmware_id: firmware.id, targets: { external_ids } }, { request_id: 'request-77' });
    for (const message of service.deps.advances.take()) await service.advance(message);
    const [chunk] = service.deps.dispatches.take();
    await service.dispatch(chunk);

    const { commands } = service.deps.backend;
    expect(commands).toHaveLength(3);
    for (const command of commands) {
      expect(command).toMatchObject({
        attempt: 1,
        kind: 'scooter',
        hardware_type: 'vega_mcu',
        version: firmware.version,
        sha256: firmware.sha256,
        size_bytes: 9,
        expires_dt: addSeconds(startOfTime, 3_600).toISOString(),
      });
      expect(service.deps.storage.download(command.url)).toEqual({ status: 200, bytes: Buffer.from('the bytes') });
    }
    expect(commands.map(({ external_id }) => external_id)).toEqual(external_ids);
    const { manifest_counter } = await db
      .selectFrom('updates')
      .select('manifest_counter')
      .orderBy('id', 'desc')
      .limit(1)
      .executeTakeFirstOrThrow();
    expect(new Set(commands.map(({ manifest }) => manifest)).size).toBe(1);
    expect(manifestClaimsOf(commands[0]?.manifest ?? '')).toMatchObject({
      ...{
        hardware_type: 'vega_mcu',
        version: firmware.version,
        version_num: firmware.version_num,
        sha256: firmware.sha256,
        size_bytes: 9,
      },
      ...{ requires: [], minimum_from_version_num: null, allow_downgrade: false, counter: manifest_counter },
    });
    expect(service.deps.backend.calls[0]?.call).toEqual({
      idempotencyKey: `dispatch-${chunk?.dispatch_id}`,
      requestId: 'request-77',
      timeoutMilliseconds: 20_000,
    });
  });

  it('gets less time than the function has left', async () => {
    const { chunk } = await givenReleased();
    const { dispatchUpdate } = await import('../../../../lib/update/reach/dispatch-update.ts');
    await dispatchUpdate(service.deps, chunk, 9_000);
    expect(service.deps.backend.calls[0]?.call.timeoutMilliseconds).toBe(5_000);
  });

  it('leaves out devices that need it no more, and makes no call when none is left', async () => {
    const { external_ids, firmware, chunk, executions } = await givenReleased({ devices: 2 });
    const [first = '', second = ''] = external_ids;
    await service.confirm(confirmation({ external_id: first, version: firmware.version }));
    await service.dispatch(chunk);
    expect(commanded()).toEqual([{ execution_id: executions[1]?.id, attempt: 1 }]);

    const other = await givenReleased();
    await service.confirm(confirmation({ external_id: other.external_ids[0] ?? '', version: other.firmware.version }));
    await service.dispatch(other.chunk);
    expect(service.deps.backend.calls).toHaveLength(1);
    expect((await service.dispatchesOf(other.update.id))[0]?.answered_dt).toEqual(startOfTime);
    expect(second).toBe(service.deps.backend.commands[0]?.external_id);
  });

  it('that was released at another pace is not: its devices are released anew, at the new one', async () => {
    const { chunk, next, update } = await givenReleased({ devices: 3, rollout: { maximum_per_minute: 600 } });
    await changePace(service.deps, update.id, { maximum_per_minute: 2 }, actor);
    service.clock.advance(180);
    await service.dispatch(chunk);
    expect(service.deps.backend.calls).toEqual([]);
    await service.advance(next);
    for (const later of service.deps.dispatches.take()) await service.dispatch(later);
    expect(commanded()).toHaveLength(1);
    expect(await service.find(update.id)).toMatchObject({ counts: { IN_PROGRESS: 1, QUEUED: 2 } });
  });

  it('whose function died during the call is not handed over again after a change of the pace', async () => {
    const { chunk, update } = await givenReleased({ devices: 3, rollout: { maximum_per_minute: 600 } });
    service.deps.backend.during = async () => {
      await changePace(service.deps, update.id, { maximum_per_minute: 2 }, actor);
      throw new Error('the function dies here');
    };
    await expect(service.dispatch(chunk)).rejects.toThrow('dies');
    service.clock.advance(180);
    await service.dispatch(chunk);
    expect(service.deps.backend.calls).toHaveLength(1);
    expect((await service.executions(update.id)).map(({ dispatch_id, attempt }) => [dispatch_id, attempt])).toEqual(
      Array.from({ length: 3 }, () => [null, 1]),
    );
  });

  it('costs seven statements while the backend answers within milliseconds, however these differ', async () => {
    const { update, message } = await service.given({ devices: 200, canary: null });
    await service.advance(message);
    const [first, second] = service.deps.dispatches.take();
    service.deps.backend.during = async () => service.clock.advance(0.002);
    await service.dispatch(first);
    service.deps.backend.during = async () => service.clock.advance(0.009);
    takeStatements();
    await service.dispatch(second);
    // The chunk; BEGIN, its row, its executions, COMMIT; the answer; what was away.
    expect(takeStatements()).toHaveLength(7);
    expect(await service.find(update.id)).toMatchObject({ counts: { IN_PROGRESS: 200 } });
  });

  it('is nothing when there is no such chunk', async () => {
    await service.dispatch({ dispatch_id: 2_000_000_000 });
    expect(service.deps.backend.calls).toEqual([]);
  });
});

describe('what the backend answers', () => {
  const answer = async (outcome: (execution_id: number) => CommandOutcome) => {
    const given = await givenReleased();
    service.deps.backend.answer = ({ execution_id }) => outcome(execution_id);
    await service.dispatch(given.chunk);
    const [execution] = await service.executions(given.update.id);
    const [dispatch] = await service.dispatchesOf(given.update.id);
    return { ...given, execution, dispatch };
  };

  it('accepted: IN_PROGRESS', async () => {
    const { execution, dispatch } = await answer((execution_id) => ({ execution_id, outcome: 'accepted' }));
    expect(execution).toMatchObject({ status: 'IN_PROGRESS', reason: null, attempt: 1, sent_dt: startOfTime, finished_dt: null });
    expect(dispatch).toMatchObject({ sent_dt: startOfTime, answered_dt: startOfTime, error: null });
  });

  it('rejected: REJECTED, with its words, for ever', async () => {
    const { execution } = await answer((execution_id) => ({ execution_id, outcome: 'rejected', reason: 'not a scooter' }));
    expect(execution).toMatchObject({ status: 'REJECTED', reason: 'BACKEND_REJECTED', detail: 'not a scooter', finished_dt: startOfTime });
  });

  it('deferred: QUEUED until then, and that was no attempt: the next command has the same number', async () => {
    const { execution, next } = await answer((execution_id) => ({
      execution_id,
      outcome: 'deferred',
      reason: 'is ridden',
      retry_after_seconds: 90,
    }));
    const due = addSeconds(startOfTime, 90);
    expect(execution).toMatchObject({
      status: 'QUEUED',
      reason: 'DEFERRED: is ridden',
      attempt: 1,
      dispatch_id: null,
      next_attempt_dt: due,
    });

    service.clock.advance(89);
    await service.advance(next);
    expect(service.deps.dispatches.take()).toEqual([]);
    service.clock.advance(1);
    for (const message of service.deps.advances.take()) await service.advance(message);
    service.deps.backend.answer = ({ execution_id }) => ({ execution_id, outcome: 'accepted' });
    for (const message of service.deps.dispatches.take()) await service.dispatch(message);
    expect(commanded()).toEqual([
      { execution_id: execution?.id, attempt: 1 },
      { execution_id: execution?.id, attempt: 1 },
    ]);
    const [asked] = await service.executions(execution?.update_id ?? 0);
    expect(asked).toMatchObject({ status: 'IN_PROGRESS', reason: null, next_attempt_dt: null, sent_dt: due });
  });

  it('deferred more often than a smallint counts: nothing runs over', async () => {
    const { execution, next } = await answer((execution_id) => ({
      execution_id,
      outcome: 'deferred',
      reason: 'is ridden',
      retry_after_seconds: 1,
    }));
    // The most that the column holds; each deferral raised it once.
    await db
      .updateTable('update_executions')
      .set({ attempt: 32_767 })
      .where('id', '=', execution?.id ?? 0)
      .execute();
    service.clock.advance(1);
    await service.advance(next);
    for (const message of service.deps.dispatches.take()) await service.dispatch(message);
    expect(await service.executions(execution?.update_id ?? 0)).toMatchObject([{ status: 'QUEUED', attempt: 32_767 }]);
  });

  it('deferred for no time: a second later at the soonest', async () => {
    const { execution } = await answer((execution_id) => ({ execution_id, outcome: 'deferred', reason: '', retry_after_seconds: 0 }));
    expect(execution).toMatchObject({ status: 'QUEUED', next_attempt_dt: addSeconds(startOfTime, 1) });
  });

  it('nothing about a device: it is asked again with the same attempt', async () => {
    const { execution, next } = await answer(() => ({ execution_id: 2_000_000_000, outcome: 'accepted' }));
    expect(execution).toMatchObject({ status: 'QUEUED', attempt: 1, next_attempt_dt: addSeconds(startOfTime, 5) });
    service.clock.advance(5);
    await service.advance(next);
    for (const message of service.deps.dispatches.take()) await service.dispatch(message);
    expect(commanded()).toEqual([
      { execution_id: execution?.id, attempt: 1 },
      { execution_id: execution?.id, attempt: 1 },
    ]);
  });

  it.each<[string, CommandOutcome['outcome'][], string]>([
    ['accepted, then rejected', ['accepted', 'rejected'], 'IN_PROGRESS'],
    ['rejected, then accepted', ['rejected', 'accepted'], 'IN_PROGRESS'],
    ['deferred, then accepted', ['deferred', 'accepted'], 'IN_PROGRESS'],
    ['deferred, then rejected', ['deferred', 'rejected'], 'QUEUED'],
    ['rejected twice', ['rejected', 'rejected'], 'REJECTED'],
  ])('%s, of one device: what was accepted once is accepted, and none is given up for a contradiction', async (_, outcomes, status) => {
    const { chunk, update, executions } = await givenReleased();
    const execution_id = executions[0]?.id ?? 0;
    const backend = {
      ...service.deps.backend,
      findVersions: async () => [],
      sendCommands: async () =>
        outcomes.map((outcome) => ({ execution_id, outcome, reason: 'so', retry_after_seconds: 60 }) as CommandOutcome),
    };
    await service.dispatch(chunk, { backend: backend as never });
    expect(await service.executions(update.id)).toMatchObject([{ status }]);
  });

  it('something that cannot be understood about a device: it waits a minute, and the next one asked is another', async () => {
    const { chunk, update, executions, next } = await givenReleased({ devices: 2, rollout: { maximum_per_minute: 60 } });
    const [odd] = executions.map(({ id }) => id);
    service.deps.backend.answer = ({ execution_id }) =>
      execution_id === odd
        ? { execution_id, outcome: 'unclear', reason: 'result.outcome: is wrong' }
        : { execution_id, outcome: 'accepted' };
    await service.dispatch(chunk);
    expect((await service.executions(update.id))[0]).toMatchObject({
      ...{ status: 'QUEUED', reason: 'DEFERRED: result.outcome: is wrong', next_attempt_dt: addSeconds(startOfTime, 60) },
    });
    service.clock.advance(30);
    await service.advance(next);
    for (const other of service.deps.dispatches.take()) await service.dispatch(other);
    // The one that could not be understood was asked once, the other one as well.
    expect(commanded().filter(({ execution_id }) => execution_id === odd)).toHaveLength(1);
    expect(commanded().filter(({ execution_id }) => execution_id === executions[1]?.id)).toHaveLength(1);
  });

  it('an outcome for a device of another chunk: it is not listened to', async () => {
    const other = await givenReleased();
    const foreign = other.executions[0]?.id ?? 0;
    await answer(() => ({ execution_id: foreign, outcome: 'rejected', reason: 'mischief' }));
    expect((await service.executions(other.update.id))[0]).toMatchObject({ status: 'QUEUED', reason: null });
  });

  it.each([
    ['rejected', 'REJECTED'],
    ['deferred', 'QUEUED'],
  ] as const)(
    '%s with words that PostgreSQL cannot store, and 100,000 of them: the chunk is done all the same',
    async (outcome, status) => {
      const reason = `a\u0000b\ud800${'x'.repeat(100_000)}`;
      const { execution, dispatch } = await answer((execution_id) => ({ execution_id, outcome, reason, retry_after_seconds: 60 }));
      expect(execution?.status).toBe(status);
      expect(dispatch?.answered_dt).toEqual(startOfTime);
    },
  );
});

describe('a backend that is not there', () => {
  it.each([
    ['503 without a time', new BackendUnavailable('backend answered 503'), 1],
    ['429 with Retry-After 120', new BackendUnavailable('backend answered 429', { retryAfterSeconds: 120 }), 120],
    ['503 with Retry-After 1', new BackendUnavailable('backend answered 503', { retryAfterSeconds: 1 }), 1],
    ['a timeout', new BackendUnavailable('backend did not answer in time'), 1],
  ])('%s: every device waits, no attempt is used up, and the message is done', async (_, failure, seconds) => {
    const { chunk, update, next } = await givenReleased({ devices: 3 });
    service.deps.backend.failure = failure;
    await service.dispatch(chunk);
    for (const execution of await service.executions(update.id)) {
      expect(execution).toMatchObject({
        status: 'QUEUED',
        reason: `DEFERRED: ${failure.message}`,
        attempt: 1,
        dispatch_id: null,
        next_attempt_dt: startOfTime,
      });
    }
    expect(await service.dispatchesOf(update.id)).toMatchObject([{ answered_dt: startOfTime, error: failure.message }]);

    service.deps.backend.failure = undefined;
    // The gate: nothing before the time, then a single device, then all.
    await service.advance(next);
    expect(service.deps.dispatches.take()).toEqual([]);
    for (const [wait, inProgress] of [
      // Longer than other tests' calls can be under way.
      [Math.max(30, seconds), 1],
      [20, 3],
    ] as const) {
      service.clock.advance(wait);
      await service.advance(service.deps.advances.take()[0]);
      for (const message of service.deps.dispatches.take()) await service.dispatch(message);
      expect(await service.find(update.id)).toMatchObject({ counts: { IN_PROGRESS: inProgress } });
    }
  });

  /** An hour of steps, half a minute apart, of an update with one device left. */
  const anHourOf = async (failure: Error, { isLookUpWell }: { isLookUpWell: boolean }) => {
    const given = await givenReleased({ timeouts: { in_progress_minutes: 600 } });
    const { backend, advances, dispatches } = service.deps;
    service.deps.backend.failure = failure;
    if (isLookUpWell) backend.findVersions = async () => [];
    await service.dispatch(given.chunk);
    for (
      let [message] = [given.next];
      service.clock.now() < addSeconds(startOfTime, 3_600);
      [message] = advances.take() as [typeof message]
    ) {
      await service.advance(message);
      for (const chunk of dispatches.take()) await service.dispatch(chunk);
      service.clock.advance(30);
    }
    return { ...given, rows: await service.dispatchesOf(given.update.id) };
  };

  it('for an hour: one row stands for all of its failed calls', async () => {
    const { rows, update } = await anHourOf(new BackendUnavailable('backend answered 500'), { isLookUpWell: false });
    const calls = service.deps.backend.questions.length + service.deps.backend.calls.length;
    expect(calls).toBeGreaterThan(100);
    expect(rows).toHaveLength(1);
    expect(rows.map((row) => row.calls)).toEqual([calls]);
    const { backend_errors } = await service.find(update.id);
    expect(backend_errors).toEqual([{ error: 'backend answered 500', calls, last_dt: expect.any(Date) }]);
  });

  it('for an hour, though it answers look-ups: no more rows than commands of the last minute, which the pace counts', async () => {
    const { rows } = await anHourOf(new BackendUnavailable('backend answered 500'), { isLookUpWell: true });
    const { calls } = service.deps.backend;
    expect(calls.length).toBeGreaterThan(100);
    expect(rows.length).toBeLessThanOrEqual(3);
    expect(rows.reduce((sum, row) => sum + row.calls, 0)).toBe(calls.length);
  });

  it('and a chunk that was put back: it leaves no row', async () => {
    const { chunk, update } = await givenReleased({ devices: 3 });
    await db
      .updateTable('backend_gate')
      .set({ closed_until: addSeconds(startOfTime, 60), failures: 1 })
      .execute();
    await service.dispatch(chunk);
    await service.dispatch(chunk);
    expect(service.deps.backend.calls).toEqual([]);
    expect(await service.dispatchesOf(update.id)).toEqual([]);
    expect(await service.find(update.id)).toMatchObject({ counts: { QUEUED: 3 } });
  });

  it('a refusal of the whole request: its devices are REJECTED with what it said', async () => {
    const { chunk, update } = await givenReleased({ devices: 2 });
    service.deps.backend.failure = new BackendRefusal('backend answered 400');
    await service.dispatch(chunk);
    for (const execution of await service.executions(update.id)) {
      expect(execution).toMatchObject({ status: 'REJECTED', reason: 'BACKEND_REJECTED', detail: 'backend answered 400' });
    }
  });

  it('an error of another kind leaves the chunk to the next delivery', async () => {
    const { chunk, update } = await givenReleased();
    service.deps.backend.failure = new TypeError('a bug');
    await expect(service.dispatch(chunk)).rejects.toThrow('a bug');
    service.deps.backend.failure = undefined;
    service.clock.advance(visibilitySeconds);
    await service.dispatch(chunk);
    expect(await service.find(update.id)).toMatchObject({ counts: { IN_PROGRESS: 1 } });
  });
});

describe('a chunk delivered more than once', () => {
  it('while the first is at work: handed back, not acknowledged, until the first has an answer', async () => {
    const { chunk } = await givenReleased();
    let duplicate: unknown;
    service.deps.backend.during = async () => {
      duplicate = await service.dispatch(chunk).catch((error: unknown) => error);
    };
    await service.dispatch(chunk);
    expect(duplicate).toMatchObject({ name: 'UnderWay' });
    expect(service.deps.backend.calls).toHaveLength(1);
    await service.dispatch(chunk);
    expect(service.deps.backend.calls).toHaveLength(1);
  });

  it('ten times at one moment: one call', async () => {
    const { chunk } = await givenReleased();
    const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => service.dispatch(chunk)));
    expect(service.deps.backend.calls).toHaveLength(1);
    for (const outcome of outcomes) if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ name: 'UnderWay' });
  });

  it('after a deferral that has been released again: the old message does not touch the new chunk', async () => {
    const { chunk, update, next } = await givenReleased();
    service.deps.backend.answer = ({ execution_id }) => ({ execution_id, outcome: 'deferred', reason: 'busy', retry_after_seconds: 1 });
    await service.dispatch(chunk);
    service.clock.advance(1);
    await service.advance(next);
    const before = await service.executions(update.id);
    await service.dispatch(chunk);
    expect(await service.executions(update.id)).toEqual(before);
    expect(service.deps.backend.calls).toHaveLength(1);
  });
});

describe('a crash in dispatch-update', () => {
  const crashAfterCall = () => {
    service.deps.backend.during = async () => {
      throw new Error('the function dies here');
    };
  };

  it('after the call, before its answer is stored: the same command goes out again when the lease is over, not before', async () => {
    const { chunk, update } = await givenReleased({ devices: 2 });
    crashAfterCall();
    await expect(service.dispatch(chunk)).rejects.toThrow('dies');
    service.deps.backend.during = async () => {};
    service.clock.advance(29);
    await expect(service.dispatch(chunk)).rejects.toMatchObject({ name: 'UnderWay' });
    service.clock.advance(0.001);
    await service.dispatch(chunk);
    expect(service.deps.backend.calls).toHaveLength(2);
    const [first, second] = service.deps.backend.calls;
    expect(second?.commands.map(({ execution_id, attempt }) => [execution_id, attempt])).toEqual(
      first?.commands.map(({ execution_id, attempt }) => [execution_id, attempt]),
    );
    expect(first?.call.idempotencyKey).toBe(second?.call.idempotencyKey);
    expect(await service.find(update.id)).toMatchObject({ counts: { IN_PROGRESS: 2 } });
  });

  it('does not make the device’s answer to the first call one from before the command', async () => {
    const { chunk, external_ids, firmware, update } = await givenReleased();
    crashAfterCall();
    await expect(service.dispatch(chunk)).rejects.toThrow('dies');
    service.deps.backend.during = async () => {};
    service.clock.advance(60);
    await service.dispatch(chunk);
    await service.confirm(
      confirmation({
        external_id: external_ids[0] ?? '',
        version: firmware.version,
        status: 'FAILED',
        occurred_dt: addSeconds(startOfTime, 20),
      }),
    );
    expect((await service.executions(update.id))[0]).toMatchObject({ status: 'FAILED', sent_dt: startOfTime });
  });
});

describe('devices faster than the backend’s answer', () => {
  it.each([
    ['SUCCEEDED', 'SUCCEEDED', null],
    ['FAILED', 'FAILED', 'DEVICE_FAILED'],
    ['REJECTED', 'REJECTED', 'DEVICE_REJECTED'],
    ['IN_PROGRESS', 'IN_PROGRESS', null],
  ] as const)('a device that reports %s during the call stays so, whatever the backend answers', async (status, stored, reason) => {
    const outcomes = ['accepted', 'rejected', 'deferred'] as const;
    for (const outcome of outcomes) {
      const { chunk, external_ids, firmware, update } = await givenReleased();
      service.deps.backend.answer = ({ execution_id }) => ({ execution_id, outcome, reason: 'late', retry_after_seconds: 9 });
      service.deps.backend.during = async (commands) => {
        service.clock.advance(3);
        const occurred_dt = service.clock.now();
        // Without an execution id: the time of the command has to be there already.
        await service.confirm(confirmation({ external_id: external_ids[0] ?? '', version: firmware.version, status, occurred_dt }));
        expect(commands).toHaveLength(1);
      };
      await service.dispatch(chunk);
      const [execution] = await service.executions(update.id);
      expect(execution).toMatchObject({ status: stored, reason, attempt: 1, next_attempt_dt: null });
    }
  });

  it('the backend’s answer and reports of the same devices in the opposite order do not wait for each other in a circle', async () => {
    const { chunk, external_ids, firmware, update, executions } = await givenReleased({ devices: 99 });
    const occurred_dt = service.clock.now();
    const reports = external_ids.toReversed().map((external_id) => confirmation({ external_id, version: firmware.version, occurred_dt }));
    const others: Promise<unknown>[] = [];
    service.deps.backend.during = async () => {
      // Somebody holds the one in the middle, until both have what lies before it and wait for it.
      const holder = await db.startTransaction().execute();
      await sql`SELECT FROM update_executions WHERE id = ${executions[49]?.id} FOR UPDATE`.execute(holder);
      others.push(service.confirm(...reports));
      await untilWaiting(db, 1);
      others.push(untilWaiting(db, 2).then(() => holder.rollback().execute()));
    };
    await service.dispatch(chunk);
    await Promise.all(others);
    expect(await service.find(update.id)).toMatchObject({ counts: { SUCCEEDED: 99 } });
  });
});

it.each([
  [60, 3_600],
  [1, 3_600],
  [180, 10_800],
])(
  'a link lives as long as the work may begin, and an hour at least: a deadline of %i minutes, %i s',
  async (in_progress_minutes, seconds) => {
    const service = createUpdateService(db);
    const given = await service.given({ timeouts: { in_progress_minutes } });
    await service.advance(given.message);
    for (const message of service.deps.dispatches.take()) await service.dispatch(message);
    const [call] = service.deps.backend.calls.splice(0);
    expect(call?.commands.map(({ expires_dt }) => expires_dt)).toEqual([addSeconds(service.clock.now(), seconds).toISOString()]);
  },
);
