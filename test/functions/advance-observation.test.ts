import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { describe, expect, it } from 'vitest';
import { createHandler } from '../../functions/advance-observation/handler.ts';
import { createHandler as createScheduleHandler } from '../../functions/observe-fleet/handler.ts';
import type { AdvanceObservationDeps } from '../../lib/observation/advance-observation.ts';
import { createTestDatabase } from '../support/database.ts';
import { givenDevices } from '../support/fixtures.ts';
import { createContext, createRecordingLog } from '../support/http.ts';
import { createObservationWorld, inBackend } from '../support/observations.ts';

const { db } = await createTestDatabase();

const invoke = (deps: AdvanceObservationDeps, bodies: string[], context = createContext()) => {
  const event = { Records: bodies.map((body, n) => ({ messageId: `message-${n}`, body })) } as SQSEvent;
  return createHandler(deps)(event, context, () => {}) as Promise<SQSBatchResponse>;
};

describe('advance-observation', () => {
  it('does the step of a message', async () => {
    const world = createObservationWorld(db);
    const external_ids = await givenDevices(db, 1);
    world.backend.fleet.push(...external_ids.map((external_id) => inBackend(external_id)));
    const { id } = await world.request({ targets: { external_ids } });
    expect(await invoke(world.deps, [JSON.stringify(world.next().body)])).toEqual({ batchItemFailures: [] });
    expect(await world.get(id)).toMatchObject({ status: 'COMPLETED', reports_stored: 1 });
  });

  it('hands back what is malformed and what is being done by another, and nothing else', async () => {
    const world = createObservationWorld(db);
    const { id } = await world.request({ targets: { external_ids: await givenDevices(db, 1) } });
    const body = JSON.stringify(world.next().body);
    const log = createRecordingLog();
    const bodies = ['{', '{}', JSON.stringify({ observation_id: id, step: -1, created_dt: world.clock.now() }), body, body];
    const { batchItemFailures } = await invoke({ ...world.deps, log }, bodies);
    const failed = batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
    expect(failed.slice(0, 3)).toEqual(['message-0', 'message-1', 'message-2']);
    expect(failed.length).toBeLessThanOrEqual(4);
    expect(world.backend.questions).toHaveLength(1);
    expect(log.lines.filter((line) => line.includes('message failed'))).toHaveLength(3);
  });

  it('leaves itself time to store the answer: a call to the backend gets what is left of its own', async () => {
    const world = createObservationWorld(db);
    await world.request({ targets: { external_ids: await givenDevices(db, 2) }, maximum_per_minute: 1 });
    await invoke(world.deps, [JSON.stringify(world.next().body)], createContext({ remainingMilliseconds: 29_000 }));
    await invoke(world.deps, [JSON.stringify(world.next().body)], createContext({ remainingMilliseconds: 14_000 }));
    expect(world.backend.questions.map(({ call }) => call.timeoutMilliseconds)).toEqual([10_000, 4_000]);
  });
});

describe('observe-fleet', () => {
  it('begins the observation that the schedule’s input describes, under the id of its invocation', async () => {
    const world = createObservationWorld(db);
    const context = createContext();
    await createScheduleHandler(world.deps)({ targets: { filter: { kind: 'cabinet' } }, comment: 'by schedule' }, context);
    const row = await db.selectFrom('observations').selectAll().orderBy('id', 'desc').executeTakeFirstOrThrow();
    expect(row).toMatchObject({
      ...{ filter: { kind: 'cabinet' }, comment: 'by schedule', created_by: 'observe-fleet', request_id: context.awsRequestId },
    });
    expect(world.observations.waiting).toHaveLength(1);
  });

  it('fails, and begins nothing, with an input that is no request', async () => {
    const world = createObservationWorld(db);
    const invocation = async () => createScheduleHandler(world.deps)({ targets: { filter: { kind: 'bicycle' } } }, createContext());
    await expect(invocation()).rejects.toThrow();
    expect(world.observations.waiting).toEqual([]);
  });
});
