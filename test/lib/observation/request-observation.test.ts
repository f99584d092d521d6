import { describe, expect, it } from 'vitest';
import { addSeconds } from '../../../lib/clock.ts';
import { ObservationRequest } from '../../../lib/observation/observation.ts';
import { observeFleet } from '../../../lib/observation/observe-fleet.ts';
import { type RequestObservation, requestObservation } from '../../../lib/observation/request-observation.ts';
import { BackendUnavailable } from '../../../lib/ports/backend.ts';
import { createTestDatabase } from '../../support/database.ts';
import { givenDevices, startOfTime } from '../../support/fixtures.ts';
import { createObservationWorld } from '../../support/observations.ts';

const { db } = await createTestDatabase();

const input = (body: Record<string, unknown>, more: Partial<RequestObservation> = {}): RequestObservation => ({
  ...ObservationRequest.parse(body),
  idempotency_key: undefined,
  created_by: 'engineer',
  request_id: 'request-1',
  ...more,
});
const countObservations = async () => (await db.selectFrom('observations').select('id').execute()).length;

describe('requesting an observation', () => {
  it('stores it, sends the message of its first step, and asks nobody yet', async () => {
    const { deps, backend, observations } = createObservationWorld(db);
    const external_ids = await givenDevices(db, 2);
    const observation = await requestObservation(deps, input({ targets: { external_ids: [...external_ids, ...external_ids] } }));
    expect(observation).toMatchObject({ status: 'IN_PROGRESS', progress: 0, devices_total: 2, filter: null, due_dt: startOfTime });
    expect(observations.waiting.map(({ body }) => body)).toEqual([
      { observation_id: observation.id, step: 0, created_dt: startOfTime.toISOString() },
    ]);
    expect(observations.delays).toEqual([1]);
    expect(backend.questions).toEqual([]);
  });

  it('counts those that a filter means; while the backend is to list them their number is not known', async () => {
    const { deps } = createObservationWorld(db);
    await givenDevices(db, 3, { kind: 'cabinet' });
    const targets = { filter: { kind: 'cabinet' } };
    expect(await requestObservation(deps, input({ targets }))).toMatchObject({ devices_total: 3, filter: { kind: 'cabinet' } });
    expect(await requestObservation(deps, input({ targets, add_unknown: true }))).toMatchObject({ devices_total: null, progress: null });
  });

  it('stores nothing when the message cannot be sent', async () => {
    const { deps, observations } = createObservationWorld(db);
    const before = await countObservations();
    observations.failures = 1;
    await expect(requestObservation(deps, input({ targets: { filter: {} } }))).rejects.toMatchObject({ code: 'queue.unavailable' });
    expect(await countObservations()).toBe(before);
  });

  it('answers the same and begins nothing when the same key comes again, also after the observation has ended', async () => {
    const { deps, observations, run } = createObservationWorld(db);
    const request = input({ targets: { filter: { kind: 'cabinet' } }, add_unknown: true }, { idempotency_key: 'key-1' });
    const first = await requestObservation(deps, request);
    await run();
    expect(await requestObservation(deps, request)).toEqual(first);
    expect(observations.waiting).toEqual([]);
  });

  it('takes a request as the same however its fields are ordered, and another caller’s key as another', async () => {
    const { deps } = createObservationWorld(db);
    const key = { idempotency_key: 'key-2' };
    const first = await requestObservation(deps, input({ targets: { filter: {} }, comment: 'x' }, key));
    expect((await requestObservation(deps, input({ comment: 'x', targets: { filter: {} } }, key))).id).toBe(first.id);
    expect((await requestObservation(deps, input({ targets: { filter: {} } }, { ...key, created_by: 'other' }))).id).not.toBe(first.id);
  });

  it('refuses a key that was used for another request, and names that one', async () => {
    const { deps } = createObservationWorld(db);
    const { id } = await requestObservation(deps, input({ targets: { filter: {} } }, { idempotency_key: 'key-3' }));
    const other = requestObservation(deps, input({ targets: { filter: { kind: 'cabinet' } } }, { idempotency_key: 'key-3' }));
    await expect(other).rejects.toMatchObject({ code: 'observation.idempotency_key_reused', options: { answer: { observation_id: id } } });
  });

  it('begins one observation when ten requests with one key come at a moment', async () => {
    const { deps, observations } = createObservationWorld(db);
    const request = input({ targets: { filter: {} } }, { idempotency_key: 'key-4' });
    const answers = await Promise.all(Array.from({ length: 10 }, () => requestObservation(deps, request)));
    expect(new Set(answers.map(({ id }) => id)).size).toBe(1);
    // Each of them sends the message again, in case the first one's was lost; all are about the one observation.
    const bodies = observations.waiting.map(({ body }) => body as { observation_id: number });
    expect(bodies).toHaveLength(10);
    expect(new Set(bodies.map(({ observation_id }) => observation_id)).size).toBe(1);
  });
});

describe('a schedule', () => {
  const request = ObservationRequest.parse({ targets: { filter: { kind: 'scooter' } } });
  const ofSchedule = () =>
    db.selectFrom('observations').select(['id', 'status', 'request_id']).where('created_by', '=', 'observe-fleet').orderBy('id').execute();

  it('begins an observation, and none twice when its invocation is repeated', async () => {
    const { deps, run } = createObservationWorld(db);
    await observeFleet(deps, request, 'invocation-1');
    await run();
    await observeFleet(deps, request, 'invocation-1');
    expect(await ofSchedule()).toMatchObject([{ status: 'COMPLETED', request_id: 'invocation-1' }]);
  });

  it('begins none while the last one waits for the backend, and one when that has ended', async () => {
    const { deps, backend, run, deliver, next } = createObservationWorld(db);
    await givenDevices(db, 1);
    await observeFleet(deps, request, 'invocation-2');
    backend.failure = new BackendUnavailable('backend answered 503');
    for (let n = 0; n < 12; n += 1) {
      await deliver(next());
      await observeFleet(deps, request, `invocation-2-${n}`);
    }
    expect((await ofSchedule()).slice(1)).toMatchObject([{ status: 'IN_PROGRESS' }]);
    backend.failure = undefined;
    await run();
    await observeFleet(deps, request, 'invocation-3');
    expect((await ofSchedule()).slice(1)).toMatchObject([{ status: 'COMPLETED' }, { status: 'IN_PROGRESS' }]);
  });

  it('does not wait for ever for one whose message was lost', async () => {
    const { deps, clock } = createObservationWorld(db);
    clock.advance(100_000);
    await observeFleet(deps, request, 'invocation-4');
    const before = await ofSchedule();
    clock.advance(3_599);
    await observeFleet(deps, request, 'invocation-5');
    expect(await ofSchedule()).toEqual(before);
    clock.advance(1);
    await observeFleet(deps, request, 'invocation-6');
    expect(await ofSchedule()).toHaveLength(before.length + 1);
    expect(addSeconds(startOfTime, 103_600)).toEqual(clock.now());
  });
});
