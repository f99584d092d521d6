import { describe, expect, it } from 'vitest';
import { takeOffer } from '../../../lib/update/reach/offer-queries.ts';
import { cancelUpdate } from '../../../lib/update/walk/control-update.ts';
import { createTestDatabase } from '../../support/database.ts';
import { createDevicesThatPoll, linkedIn } from '../../support/devices-that-poll.ts';
import { actor } from '../../support/fixtures.ts';

const { db } = await createTestDatabase();
const ddi = createDevicesThatPoll(db);
const { clock } = ddi;

const cancel = async (id: number, force = false) => {
  const answer = await cancelUpdate(ddi.deps, id, { force, reason: null }, actor);
  const messages = ddi.deps.advances.take();
  return { ...answer, message: messages.at(-1) };
};
const given = async () => {
  const taken = await ddi.givenTaken();
  await ddi.configData(taken.cabinet, {});
  return taken;
};

describe('an update that is canceled', () => {
  it('ends at once for a device that has not come for its work, and what it then asks for is not there', async () => {
    const { cabinet, id, update } = await ddi.givenOffered();
    await ddi.configData(cabinet, {});
    expect(await cancel(update.id)).toMatchObject({ changed: true, canceled: 1 });
    expect(await ddi.execution(id)).toMatchObject({ status: 'CANCELED', reason: 'UPDATE_CANCELED' });
    expect(linkedIn(await ddi.poll(cabinet))).toEqual({});
    expect((await ddi.deployment(cabinet, id)).statusCode).toBe(404);
    expect((await ddi.cancelAction(cabinet, id)).statusCode).toBe(404);
  });

  it('asks a device that is at work to stop, and never beside the work', async () => {
    const { cabinet, id, update } = await given();
    expect(await cancel(update.id)).toMatchObject({ changed: true, canceled: 0 });
    expect(await ddi.execution(id)).toMatchObject({ status: 'IN_PROGRESS', reason: 'CANCEL_REQUESTED' });
    expect(linkedIn(await ddi.poll(cabinet))).toEqual({ cancelAction: id });
    expect((await ddi.cancelAction(cabinet, id)).body).toEqual({ id: String(id), cancelAction: { stopId: String(id) } });
  });

  it.each([
    ['closed', 'success', 'CANCELED'],
    ['closed', 'none', 'CANCELED'],
    ['canceled', 'none', 'CANCELED'],
    ['canceled', 'success', 'CANCELED'],
    ['closed', 'failure', 'IN_PROGRESS'],
    ['rejected', 'none', 'IN_PROGRESS'],
    ['proceeding', 'none', 'IN_PROGRESS'],
    ['closed', 'failed', 'IN_PROGRESS'],
  ] as const)('and the device answers %s/%s: it is %s', async (word, finished, status) => {
    const { cabinet, id, update } = await given();
    await cancel(update.id);
    expect((await ddi.cancelFeedback(cabinet, id, word, finished)).statusCode).toBe(200);
    expect(await ddi.execution(id)).toMatchObject({ status, ...(status === 'CANCELED' && { reason: 'UPDATE_CANCELED' }) });
  });

  it('is not asked again when it goes on, and ends as it ends', async () => {
    const { cabinet, firmware, id, update } = await given();
    const { message } = await cancel(update.id);
    await ddi.cancelFeedback(cabinet, id, 'rejected');
    expect(await ddi.execution(id)).toMatchObject({ status: 'IN_PROGRESS', reason: 'CANCEL_REFUSED' });
    await ddi.configData(cabinet, {});
    const next = await ddi.step(message);
    expect(linkedIn(await ddi.poll(cabinet))).toEqual({ deploymentBase: id });
    await ddi.feedback(cabinet, id, 'closed', 'success');
    await ddi.configData(cabinet, { cabinet_version: firmware.version });
    await ddi.step(next);
    expect(await ddi.execution(id)).toMatchObject({ status: 'SUCCEEDED' });
    expect(await ddi.find(update.id)).toMatchObject({ status: 'CANCELED', finished_dt: expect.any(Date) });
  });

  it('is not stopped any more when the device says that it is done before it hears of it', async () => {
    const { cabinet, firmware, id, update } = await given();
    await cancel(update.id);
    await ddi.feedback(cabinet, id, 'closed', 'success');
    expect(linkedIn(await ddi.poll(cabinet))).toEqual({ configData: true });
    await ddi.configData(cabinet, { cabinet_version: firmware.version });
    expect(await ddi.execution(id)).toMatchObject({ status: 'SUCCEEDED' });
  });

  it('by force ends its record at once', async () => {
    const { cabinet, id, update } = await given();
    expect(await cancel(update.id, true)).toMatchObject({ canceled: 1 });
    expect(await ddi.execution(id)).toMatchObject({ status: 'CANCELED' });
    expect(linkedIn(await ddi.poll(cabinet))).toEqual({});
    expect((await ddi.feedback(cabinet, id, 'closed', 'success')).statusCode).toBe(200);
    expect(await ddi.execution(id)).toMatchObject({ status: 'CANCELED' });
  });

  it('does not wait for ever for a device that does not answer', async () => {
    const { cabinet, id, update } = await given();
    const { message } = await cancel(update.id);
    await ddi.pass(message, 3_601, [cabinet]);
    expect(await ddi.execution(id)).toMatchObject({ status: 'TIMED_OUT', reason: 'NOT_CONFIRMED' });
    expect(await ddi.find(update.id)).toMatchObject({ finished_dt: clock.now() });
  });

  it('asks devices at work to stop when its firmware is withdrawn, too', async () => {
    const { cabinet, firmware, id, message } = await given();
    await db.updateTable('firmwares').set({ status: 'withdrawn' }).where('id', '=', firmware.id).execute();
    await ddi.step(message);
    expect(linkedIn(await ddi.poll(cabinet))).toEqual({ cancelAction: id });
    await ddi.cancelFeedback(cabinet, id, 'closed', 'success');
    expect(await ddi.execution(id)).toMatchObject({ status: 'CANCELED', reason: 'UPDATE_ABORTED' });
  });

  it('or taken, at the same moment: it is one of the two, and the device is told the same', async () => {
    for (let i = 0; i < 20; i += 1) {
      const { cabinet, id, update } = await ddi.givenOffered();
      await ddi.configData(cabinet, {});
      const [answer, { message }] = await Promise.all([ddi.deployment(cabinet, id), cancel(update.id)]);
      // The call leaves to the next step what somebody else holds at its moment.
      if (message) await ddi.step(message);
      const { status, cancellation } = await ddi.execution(id);
      if (answer.statusCode === 200) expect({ status, cancellation }).toEqual({ status: 'IN_PROGRESS', cancellation: 'requested' });
      else expect(status).toBe('CANCELED');
    }
  });

  it('while a device takes it: the call waits for nobody, and the next step asks the device to stop', async () => {
    const { cabinet, id, update } = await ddi.givenOffered();
    await ddi.configData(cabinet, {});
    const { device_id } = await ddi.execution(id);
    const message = await db.transaction().execute(async (trx) => {
      expect(await takeOffer(trx, device_id, id, clock.now())).toBe(true);
      const answer = await cancel(update.id);
      expect(answer).toMatchObject({ changed: true, canceled: 0 });
      return answer.message;
    });
    expect(await ddi.execution(id)).toMatchObject({ status: 'IN_PROGRESS', cancellation: null });
    if (!message) throw new Error('the walk was not woken');
    await ddi.step(message);
    expect(await ddi.execution(id)).toMatchObject({ status: 'IN_PROGRESS', cancellation: 'requested' });
    expect(linkedIn(await ddi.poll(cabinet))).toEqual({ cancelAction: id });
  });
});
