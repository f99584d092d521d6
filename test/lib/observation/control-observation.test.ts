import { describe, expect, it } from 'vitest';
import { cancelObservation, resumeObservation } from '../../../lib/observation/control-observation.ts';
import { ObservationRequest } from '../../../lib/observation/observation.ts';
import { requestObservation } from '../../../lib/observation/request-observation.ts';
import { createTestDatabase } from '../../support/database.ts';
import { actor, givenDevices } from '../../support/fixtures.ts';
import { createObservationWorld, inBackend } from '../../support/observations.ts';

const { db } = await createTestDatabase();

/** An observation of two devices whose message was purged. */
const givenPurged = async () => {
  const world = createObservationWorld(db);
  const external_ids = await givenDevices(db, 2);
  world.backend.fleet.push(...external_ids.map((external_id) => inBackend(external_id)));
  const body = ObservationRequest.parse({ targets: { external_ids } });
  const request = () =>
    requestObservation(world.deps, { ...body, idempotency_key: `key-${external_ids[0]}`, created_by: 'e', request_id: 'r' });
  const { id } = await request();
  world.observations.waiting.length = 0;
  return { ...world, id, request };
};

describe('an observation whose message was purged', () => {
  it('is late five minutes after it was due, and says so, until it has ended', async () => {
    const { id, deps, run, get, clock } = await givenPurged();
    clock.advance(300);
    expect(await get(id)).toMatchObject({ status: 'IN_PROGRESS', is_late: false });
    clock.advance(1);
    expect(await get(id)).toMatchObject({ is_late: true });
    await resumeObservation(deps, id);
    await run();
    clock.advance(86_400);
    expect(await get(id)).toMatchObject({ status: 'COMPLETED', is_late: false });
  });

  it('goes on by resume', async () => {
    const { id, deps, run, get } = await givenPurged();
    await resumeObservation(deps, id);
    await run();
    expect(await get(id)).toMatchObject({ status: 'COMPLETED', devices_answered: 2 });
  });

  it('goes on by its request with the same Idempotency-Key, which answers as it did', async () => {
    const { id, request, run, get } = await givenPurged();
    expect(await request()).toMatchObject({ id, status: 'IN_PROGRESS' });
    await run();
    expect(await get(id)).toMatchObject({ status: 'COMPLETED', devices_answered: 2 });
  });

  it('can be canceled: it ends at once, and asks nobody any more', async () => {
    const { id, deps, run, backend, clock } = await givenPurged();
    await resumeObservation(deps, id);
    const canceled = { status: 'CANCELED', finished_dt: clock.now(), due_dt: null, devices_asked: 0 };
    expect(await cancelObservation(deps, id, actor)).toMatchObject(canceled);
    await run();
    expect(backend.questions).toEqual([]);
    expect(await cancelObservation(deps, id, actor)).toMatchObject(canceled);
    expect(await resumeObservation(deps, id)).toMatchObject(canceled);
  });

  it('stays canceled when the answer to a question comes after it', async () => {
    const { id, deps, run, backend, get } = await givenPurged();
    await resumeObservation(deps, id);
    backend.duringQuestion = async () => void (await cancelObservation(deps, id, actor));
    await run();
    expect(await get(id)).toMatchObject({ status: 'CANCELED', devices_asked: 0, reports_stored: 0 });
  });
});

it('404: of an observation that there is not', async () => {
  const { deps } = createObservationWorld(db);
  await expect(cancelObservation(deps, 2_000_000_000, actor)).rejects.toMatchObject({ code: 'observation.not_found' });
  await expect(resumeObservation(deps, 2_000_000_000)).rejects.toMatchObject({ code: 'observation.not_found' });
});

it('a backend that names the same page again and again is not followed', async () => {
  const world = createObservationWorld(db);
  const { id } = await world.request({ targets: { filter: {} }, add_unknown: true });
  world.backend.listDevices = async () => ({ items: [], next_cursor: 'again' });
  await world.run();
  expect(await world.get(id)).toMatchObject({ status: 'FAILED', last_error: 'backend lists the same devices again and again' });
});

it('a backend that names ever new pages is followed to a bound', async () => {
  const world = createObservationWorld(db);
  const { id } = await world.request({ targets: { filter: {} }, add_unknown: true });
  await db.updateTable('observations').set({ next_step: 15_001 }).where('id', '=', id).execute();
  world.observations.waiting.length = 0;
  await resumeObservation(world.deps, id);
  world.backend.listDevices = async ({ cursor }) => ({ items: [], next_cursor: `${cursor ?? ''}x` });
  await world.run();
  expect(await world.get(id)).toMatchObject({ status: 'FAILED', last_error: 'backend lists its devices without end' });
});
