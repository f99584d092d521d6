import type { Context } from 'aws-lambda';
import { beforeEach, describe, expect, it } from 'vitest';
import { createHandler } from '../../functions/advance-update/handler.ts';
import { createTestDatabase } from '../support/database.ts';
import { silentLog } from '../support/fixtures.ts';
import { createContext, createRecordingLog } from '../support/http.ts';
import { createRecordingMetrics } from '../support/recording-metrics.ts';
import { sqsEvent } from '../support/s3-events.ts';
import { createUpdateService, type UpdateService } from '../support/update-service.ts';

// One connection, as a function has in the cloud: ten messages at once must not wait for each other's.
const { db } = await createTestDatabase({ maxConnections: 1 });
let service: UpdateService;
beforeEach(() => {
  service = createUpdateService(db);
});

const deliver = (bodies: Record<string, unknown>, log = silentLog) =>
  createHandler({ ...service.deps, log })(sqsEvent(bodies), createContext() as Context, () => {});

describe('the advances queue', () => {
  it('a batch of ten updates is done, each of them', async () => {
    const messages: Record<string, unknown> = {};
    for (let i = 0; i < 10; i += 1) messages[`message-${i}`] = (await service.given()).message;
    expect(await deliver(messages)).toEqual({ batchItemFailures: [] });
    expect(service.deps.dispatches.sent).toHaveLength(10);
    expect(service.deps.advances.sent).toHaveLength(10);
  });

  it.each([
    ['no JSON', 'not JSON'],
    ['no update', { step: 0, created_dt: '2026-11-24T08:00:00.000Z' }],
    ['a step of no walk', { update_id: 1, step: 2_147_483_646, created_dt: '2026-11-24T08:00:00.000Z' }],
    ['an update that no database has', { update_id: 2 ** 40, step: 0, created_dt: '2026-11-24T08:00:00.000Z' }],
    ['a time of the future', { update_id: 2_000_000_000, step: 0, created_dt: '2999-01-01T00:00:00.000Z' }],
    ['a step below 0', { update_id: 1, step: -1, created_dt: '2026-11-24T08:00:00.000Z' }],
    ['an update that is text', { update_id: '1; DROP TABLE updates', step: 0, created_dt: '2026-11-24T08:00:00.000Z' }],
    ['no date', { update_id: 1, step: 0, created_dt: 'yesterday' }],
    ['null', null],
  ])('hands back a message with %s, which so reaches the dead-letter queue, and does the others', async (_, poison) => {
    const { message } = await service.given();
    expect(await deliver({ poison, good: message })).toEqual({ batchItemFailures: [{ itemIdentifier: 'poison' }] });
    expect(service.deps.dispatches.sent).toHaveLength(1);
  });

  it('sends anew what failed because the queue was away, which is done when it comes again', async () => {
    const { message, update } = await service.given({ devices: 2 });
    service.deps.dispatches.failures = 1;
    expect(await deliver({ first: message })).toEqual({ batchItemFailures: [] });
    const [again] = service.deps.advances.take();
    expect(again).toEqual({ ...message, deferrals: 1 });
    expect(await deliver({ again })).toEqual({ batchItemFailures: [] });
    const [dispatch] = await service.dispatchesOf(update.id);
    expect(service.deps.dispatches.sent).toEqual([{ dispatch_id: dispatch?.id }]);
  });

  it('publishes that another update is late, and nothing while none is', async () => {
    const metrics = createRecordingMetrics();
    const told = () => metrics.published.splice(0).flatMap(({ values }) => values['late_updates'] ?? []);
    const step = (message: unknown) =>
      createHandler({ ...service.deps, metrics })(sqsEvent({ message }), createContext() as Context, () => {});
    // What the tests before have left behind is over.
    await db.updateTable('updates').set({ due_dt: null }).execute();
    await service.given();
    service.clock.advance(301);
    const { message } = await service.given();
    await step(message);
    expect(told()).toEqual([]);
    service.clock.advance(1);
    await step(service.deps.advances.take()[0]);
    expect(told()).toEqual([{ unit: 'Count', value: 1 }]);
  });

  it('says in the log which message failed and why', async () => {
    const { message } = await service.given();
    const log = createRecordingLog();
    service.deps.advances.failures = 2;
    await deliver({ 'message-7': message }, log);
    expect(log.lines.join()).toMatch(/message-7.*The queue does not take messages/s);
  });
});
