import { sql } from 'kysely';
import { expect, it } from 'vitest';
import { addSeconds } from '../../../../lib/clock.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { createUpdateService } from '../../../support/update-service.ts';

const { db } = await createTestDatabase();

it('a step waits for no execution that a batch of reports holds, so that the two cannot wait for each other; the next step has it', async () => {
  const service = createUpdateService(db);
  const given = await service.given({ devices: 3, timeouts: { queued_minutes: 1 } });
  service.clock.advance(61);
  await db.updateTable('updates').set({ started_dt: given.update.created_dt, stepped_dt: service.clock.now() }).execute();
  const [, held] = await service.executions(given.update.id);
  const step = await db.transaction().execute(async (reports) => {
    await sql`SELECT FROM update_executions WHERE id = ${held?.id} FOR NO KEY UPDATE`.execute(reports);
    await service.advance(given.message);
    return service.deps.advances.take()[0];
  });
  expect((await service.find(given.update.id)).counts).toMatchObject({ TIMED_OUT: 2, QUEUED: 1 });
  service.clock.advance(1);
  await service.advance(step);
  expect((await service.find(given.update.id)).counts).toMatchObject({ TIMED_OUT: 3 });
});

it('a chunk whose first function died in its call keeps its room of the pace, and is asked the same again, when it is put back', async () => {
  const service = createUpdateService(db);
  const given = await service.given({ devices: 2 });
  await service.advance(given.message);
  const [message] = service.deps.dispatches.take();
  service.deps.backend.failure = new Error('crash');
  await expect(service.dispatch(message)).rejects.toThrow('crash');
  const began = service.clock.now();
  service.clock.advance(30);
  service.deps.backend.failure = undefined;
  await db
    .updateTable('backend_gate')
    .set({ failures: 1, closed_until: addSeconds(service.clock.now(), 60) })
    .execute();
  await service.dispatch(message);
  expect(await service.dispatchesOf(given.update.id)).toMatchObject([{ sent_dt: began, answered_dt: service.clock.now() }]);
  for (const execution of await service.executions(given.update.id)) {
    expect(execution).toMatchObject({ phase: 'waiting', is_unanswered: true, sent_dt: began, attempt: 1, reason: 'DEFERRED' });
  }
});
