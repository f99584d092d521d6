import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import { createHandler as createConfirmHandler } from '../../../../functions/confirm-update/handler.ts';
import { addSeconds } from '../../../../lib/clock.ts';
import { DomainError } from '../../../../lib/errors.ts';
import type { Authenticate } from '../../../../lib/http/authenticate.ts';
import type { Confirmation } from '../../../../lib/report/confirmation.ts';
import { verifyUpdate } from '../../../../lib/report/verify-update.ts';
import { openGate } from '../../../../lib/update/backend-gate.ts';
import type { DispatchMessage } from '../../../../lib/update/messages.ts';
import { noteOutage } from '../../../../lib/update/outage-queries.ts';
import { dispatchUpdate } from '../../../../lib/update/reach/dispatch-update.ts';
import { pauseUpdate, resumeUpdate } from '../../../../lib/update/walk/control-update.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { actor, confirmation, givenDevices, givenFirmware, startOfTime } from '../../../support/fixtures.ts';
import { call } from '../../../support/http.ts';
import { createSimulatedWalk } from '../../../support/simulated-walk.ts';
import { createUpdateService, type UpdateService } from '../../../support/update-service.ts';

const { db } = await createTestDatabase({ maxConnections: 20 });
let service: UpdateService;
beforeEach(async () => {
  service = createUpdateService(db);
  await sql`DELETE FROM outages`.execute(db);
});

const minute = 60;
const silence = { timeouts: { in_progress_minutes: 60 } };

/** A step a minute, as the walk takes them at least, for so long. */
const pass = async (message: unknown, minutes: number) => {
  let next = message;
  for (let i = 0; i < minutes; i += 1) {
    service.clock.advance(minute);
    if (next) await service.advance(next);
    [next] = service.deps.advances.take();
  }
  return next;
};

const seen = async () => (await db.selectFrom('outages').select('seen_dt').execute()).map(({ seen_dt }) => seen_dt);
const outages = () => db.selectFrom('outages').select(['cause', 'update_id', 'began_dt', 'ended_dt']).orderBy('id').execute();

describe('time in which the service took no step', () => {
  it('is added to the deadline of devices at work, and no stop rule sees them fail', async () => {
    const given = await service.givenSent({ devices: 200, ...silence });
    service.clock.advance(3_700);
    await service.advance(given.message);
    expect(await service.find(given.update.id)).toMatchObject({ status: 'IN_PROGRESS', counts: { IN_PROGRESS: 200, TIMED_OUT: 0 } });
    expect(await outages()).toMatchObject([{ cause: 'walk', update_id: given.update.id, ended_dt: service.clock.now() }]);

    // Their reports come when the database is back.
    await service.confirmAsked(given.firmware.version);
    const [next] = service.deps.advances.take();
    service.clock.advance(10);
    await service.advance(next);
    expect(await service.find(given.update.id)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 200 } });
  });

  it('is added to the deadline of executions that wait', async () => {
    const given = await service.given({ timeouts: { queued_minutes: 10 }, rollout: { maximum_in_progress: 1 }, devices: 2 });
    await service.advance(given.message);
    const [message] = service.deps.advances.take();
    service.clock.advance(7_200);
    await service.advance(message);
    expect(await service.find(given.update.id)).toMatchObject({ status: 'IN_PROGRESS', counts: { TIMED_OUT: 0 } });
  });

  it('does not hold up the end: the rest of the deadline counts', async () => {
    const given = await service.given({ timeouts: { queued_minutes: 10 } });
    await service.advance(given.message);
    const [first] = service.deps.advances.take();
    service.clock.advance(7_200);
    await service.advance(first);
    const [message] = service.deps.advances.take();
    await pass(message, 10);
    expect(await service.find(given.update.id)).toMatchObject({ status: 'COMPLETED', counts: { TIMED_OUT: 1 } });
  });
});

describe('a pause', () => {
  it('that an outage falls into is made up for once: those that wait end after the rest of their deadline', async () => {
    const given = await service.given({ timeouts: { queued_minutes: 10 } });
    await service.advance(given.message);
    const [first] = service.deps.advances.take();
    await pauseUpdate(service.deps, given.update.id, { reason: null }, actor);
    service.clock.advance(86_400);
    await resumeUpdate(service.deps, given.update.id, actor);
    service.deps.advances.take();
    await service.advance(first);
    const [message] = service.deps.advances.take();
    const next = await pass(message, 9);
    expect(await service.find(given.update.id)).toMatchObject({ status: 'IN_PROGRESS', counts: { TIMED_OUT: 0 } });
    await pass(next, 2);
    expect(await service.find(given.update.id)).toMatchObject({ status: 'COMPLETED', counts: { TIMED_OUT: 1 } });
  });
});

describe('a short deadline', () => {
  it('has its devices looked up as often after an outage: nobody waits for a quarter of an hour', async () => {
    const given = await service.givenSent({ timeouts: { in_progress_minutes: 2 } });
    await service.deps.verifications.take();
    const asked: number[] = [];
    let message = given.message;
    for (let minutes = 0; minutes < 12; minutes += 1) {
      message = (await pass(message, 1)) as typeof message;
      if (service.deps.verifications.take().length > 0) asked.push(minutes);
    }
    expect(asked.slice(1).every((at, i) => at - (asked[i] ?? 0) <= 2)).toBe(true);
    expect(asked.length).toBeGreaterThanOrEqual(6);
  });
});

describe('a device at work', () => {
  const verify = (dispatch_id: number | null) => verifyUpdate(service.deps, { dispatch_id: dispatch_id ?? 0 }, 29_000);

  it('is given up only when somebody asked what it runs after its deadline, and got an answer', async () => {
    const given = await service.givenSent(silence);
    const [dispatch_id = null] = given.executions.map((execution) => execution.dispatch_id);
    let message = await pass(given.message, 59);
    // A minute before the deadline: no answer to whether it was done in time.
    await verify(dispatch_id);
    message = await pass(message, 3);
    expect(await service.find(given.update.id)).toMatchObject({ counts: { IN_PROGRESS: 1 } });
    await verify(dispatch_id);
    await pass(message, 1);
    expect(await service.find(given.update.id)).toMatchObject({ counts: { TIMED_OUT: 1 }, reasons: [{ reason: 'NOT_CONFIRMED' }] });
  });

  it('is given up at ten times its deadline, even without any answer', async () => {
    const given = await service.givenSent({ timeouts: { in_progress_minutes: 2 } });
    const message = await pass(given.message, 20);
    expect(await service.find(given.update.id)).toMatchObject({ counts: { IN_PROGRESS: 1 } });
    await pass(message, 1);
    expect(await service.find(given.update.id)).toMatchObject({ counts: { TIMED_OUT: 1 } });
  });
});

describe('a backend that is away for six times the deadline', () => {
  it('ends no device: each was commanded once, and its report comes when the backend is back', async () => {
    await db.updateTable('backend_gate').set(openGate(startOfTime)).execute();
    const walk = createSimulatedWalk(db);
    const downAt = minute;
    const backAt = downAt + 30 * minute;
    walk.backend.behave = () => {
      const end = walk.seconds() + 120;
      return { seconds: end > downAt && end < backAt ? backAt + 5 - walk.seconds() : 120, result: 'succeeds' };
    };
    const firmware = await givenFirmware(db);
    const external_ids = await givenDevices(db, 60);
    const { id } = await walk.request({
      ...{ firmware_id: firmware.id, targets: { external_ids }, canary: null },
      timeouts: { in_progress_minutes: 5 },
    });
    walk.time.after(downAt, () => {
      walk.backend.isDown = true;
    });
    walk.time.after(backAt, () => {
      walk.backend.isDown = false;
    });
    await walk.run();
    expect(await walk.find(id)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 60 }, late_successes: 0 });
    const commanded = new Set(walk.backend.commands.map(({ execution_id, attempt }) => `${execution_id} ${attempt}`));
    expect(commanded.size).toBe(60);
  });
});

describe('signing keys that cannot be read for an hour', () => {
  const signManifest = () => Promise.reject(new DomainError('signing.unavailable', 'The signing keys cannot be read'));

  it('leave no chunk claimed, end nobody, and all are asked when they are back', async () => {
    const given = await service.given({ devices: 3, timeouts: { queued_minutes: 30, in_progress_minutes: 30 } });
    await service.advance(given.message);
    let [message] = service.deps.advances.take() as unknown[];
    const chunks = service.deps.dispatches.take();
    for (let i = 0; i < 60; i += 1) {
      // The message of a chunk is sent anew while something that it needs is away.
      for (const chunk of chunks)
        await expect(service.dispatch(chunk, { signManifest })).rejects.toThrow('The signing keys cannot be read');
      message = await pass(message, 1);
    }
    expect((await service.dispatchesOf(given.update.id)).map(({ sent_dt }) => sent_dt)).toEqual([null]);
    expect(await service.find(given.update.id)).toMatchObject({ status: 'IN_PROGRESS', counts: { QUEUED: 3 } });
    expect(await outages()).toMatchObject([{ cause: 'signing', update_id: null, ended_dt: null }]);

    for (const chunk of chunks) await service.dispatch(chunk);
    expect(service.deps.backend.calls.map(({ commands }) => commands.length)).toEqual([3]);
    expect(await outages()).toMatchObject([{ cause: 'signing', ended_dt: service.clock.now() }]);
    await service.confirm(
      ...given.external_ids.map((external_id) =>
        confirmation({ external_id, version: given.firmware.version, occurred_dt: service.clock.now() }),
      ),
    );
    await pass(message, 1);
    expect(await service.find(given.update.id)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 3 } });
  });
});

describe('a storage that is away', () => {
  it('is noted by the look for the file, and ends with the next command', async () => {
    const given = await service.given();
    await service.advance(given.message);
    const [chunk] = service.deps.dispatches.take();
    const isFileThere = () => Promise.reject(new DomainError('storage.unavailable', 'The file storage does not answer'));
    await expect(dispatchUpdate({ ...service.deps, isFileThere }, chunk as DispatchMessage, 29_000)).rejects.toThrow('does not answer');
    expect(await outages()).toMatchObject([{ cause: 'storage', ended_dt: null }]);
    service.clock.advance(minute);
    await service.dispatch(chunk);
    expect(await outages()).toMatchObject([{ cause: 'storage', ended_dt: service.clock.now() }]);
  });

  it('that nobody notices for a quarter of an hour was away for so long; what is away then is another outage', async () => {
    const noticed = (seconds: number) => noteOutage(db, 'storage', addSeconds(startOfTime, seconds));
    await noticed(0);
    await noticed(2);
    await noticed(600);
    await noticed(86_400);
    expect(await outages()).toMatchObject([
      { began_dt: startOfTime, ended_dt: addSeconds(startOfTime, 1_500) },
      { began_dt: addSeconds(startOfTime, 86_400), ended_dt: null },
    ]);
  });
});

describe('an identity provider that is away for two hours', () => {
  const route = { method: 'POST', path: '/v1/confirmations' };
  let isAway = false;
  /** The function that takes reports, whose callers' keys can be had or not. */
  const createReporter = () => {
    const authenticate: Authenticate = async () => {
      if (isAway) throw new DomainError('auth.keys_unavailable', 'The keys to check tokens with cannot be fetched');
      return { subject: 'backend', scopes: new Set(['devices:report']) };
    };
    const handler = createConfirmHandler({ ...service.deps, authenticate });
    return async (report: Partial<Confirmation>) => {
      const confirmations = [
        { external_id: '', version: '', hardware_type: 'vega_mcu', status: 'SUCCEEDED', occurred_dt: service.clock.now(), ...report },
      ];
      return (await call(handler, { ...route, body: { confirmations } })).statusCode;
    };
  };
  beforeEach(() => {
    isAway = false;
  });

  it('ends nobody as TIMED_OUT who has failed and could not say so, and the rest of the deadline counts', async () => {
    const { update, firmware, external_ids, executions, message } = await service.givenSent({
      devices: 2,
      timeouts: { in_progress_minutes: 10 },
    });
    const [first = ''] = external_ids;
    const dispatch_id = executions[0]?.dispatch_id ?? 0;
    const report = createReporter();
    const fail = (external_id: string) => report({ external_id, version: firmware.version, status: 'FAILED' });
    // Meanwhile the backend answers look-ups: both run something else.
    const lookUp = () => verifyUpdate(service.deps, { dispatch_id }, 29_000);
    isAway = true;
    let next: unknown = message;
    for (let quarters = 0; quarters < 8; quarters += 1) {
      expect(await fail(first)).toBe(503);
      next = await pass(next, 15);
      await lookUp();
    }
    expect(await service.find(update.id)).toMatchObject({ status: 'IN_PROGRESS', counts: { TIMED_OUT: 0 } });
    isAway = false;
    expect(await fail(first)).toBe(200);
    // The other one has never said a word: it is given up when the deadline has passed without the outage.
    next = await pass(next, 8);
    await lookUp();
    expect(await service.find(update.id)).toMatchObject({ counts: { FAILED: 1, IN_PROGRESS: 1 } });
    next = await pass(next, 3);
    await lookUp();
    await pass(next, 1);
    expect(await service.find(update.id)).toMatchObject({ status: 'COMPLETED', counts: { FAILED: 1, TIMED_OUT: 1 } });
  });

  it('is noted once in five seconds, however many reports are refused', async () => {
    const report = createReporter();
    isAway = true;
    for (let n = 0; n < 3; n += 1) expect(await report({ external_id: 'S', version: '1' })).toBe(503);
    expect(await outages()).toMatchObject([{ cause: 'identity', began_dt: startOfTime, ended_dt: null }]);
    // Another function meets it, too.
    service.clock.advance(6);
    expect(await createReporter()({ external_id: 'S', version: '1' })).toBe(503);
    expect(await seen()).toEqual([service.clock.now()]);
    service.clock.advance(3);
    expect(await createReporter()({ external_id: 'S', version: '1' })).toBe(503);
    expect(await report({ external_id: 'S', version: '1' })).toBe(503);
    expect(await report({ external_id: 'S', version: '1' })).toBe(503);
    expect(await seen()).toEqual([addSeconds(startOfTime, 6)]);
  });

  it('is over with the first report that is taken, unless others were refused within the last minute', async () => {
    const report = createReporter();
    isAway = true;
    await report({ external_id: 'S', version: '1' });
    isAway = false;
    service.clock.advance(59);
    expect(await report({ external_id: 'S', version: '1' })).toBe(200);
    expect(await outages()).toMatchObject([{ ended_dt: null }]);
    service.clock.advance(1);
    expect(await report({ external_id: 'S', version: '1' })).toBe(200);
    expect(await outages()).toMatchObject([{ cause: 'identity', began_dt: startOfTime, ended_dt: service.clock.now() }]);
  });

  it('is one outage while somebody is refused each hour', async () => {
    const report = createReporter();
    isAway = true;
    for (let hours = 0; hours < 5; hours += 1) {
      await report({ external_id: 'S', version: '1' });
      service.clock.advance(3_590);
    }
    expect(await outages()).toMatchObject([{ cause: 'identity', began_dt: startOfTime, ended_dt: null }]);
  });
});
