// A device that does not believe what it was told to install raises an alarm, whichever way it reports.
import { expect, it } from 'vitest';
import { createHandler as createConfirmHandler } from '../../../functions/confirm-update/handler.ts';
import { createHandler as createFeedbackHandler } from '../../../functions/iot-feedback/handler.ts';
import { createTestDatabase } from '../../support/database.ts';
import { createDevicesThatPoll } from '../../support/devices-that-poll.ts';
import { call, createIdentity, createRecordingLog } from '../../support/http.ts';
import { createRecordingMetrics } from '../../support/recording-metrics.ts';

const { db } = await createTestDatabase();
const { authenticate, token } = await createIdentity();
const backend = await token({ scopes: ['devices:report'] });
const ddi = createDevicesThatPoll(db);
const [log, metrics] = [createRecordingLog(), createRecordingMetrics()];

const distrusting = () => metrics.published.splice(0).flatMap(({ values: { distrusting_devices } }) => distrusting_devices?.value ?? []);
const logged = () => log.lines.splice(0).filter((line) => line.includes('devices do not trust'));

it('confirmations of scooters-backend: each call counts its devices once, and the log has the words of the first', async () => {
  const { external_ids, executions } = await ddi.givenSent({ devices: 4 });
  const details = ['not trusted: 2 authors have to sign vega_mcu 1.5.0; 0 did', 'not trusted: sha256 mismatch', 'battery low', undefined];
  const confirmations = external_ids.map((external_id, i) => ({
    ...{ external_id, hardware_type: 'vega_mcu', version: '1.0', status: 'REJECTED', occurred_dt: ddi.clock.now().toISOString() },
    ...{ execution_id: executions[i]?.id, detail: details[i] },
  }));
  const handler = createConfirmHandler({ ...ddi.deps, authenticate, log, metrics });
  const answer = await call(handler, { method: 'POST', path: '/v1/confirmations', token: backend, body: { confirmations } });
  expect(answer.statusCode).toBe(200);
  expect(distrusting()).toEqual([2]);
  expect(logged()).toEqual([expect.stringContaining('2 authors have to sign vega_mcu 1.5.0; 0 did')]);
});

it('feedback of a device that polls: counted, and shown with its execution', async () => {
  const { cabinet, id } = await ddi.givenTaken();
  const feedback = createFeedbackHandler({ ...ddi.handlerDeps, log, metrics });
  const say = (execution: string, details: string[]) =>
    ddi.send(
      feedback,
      'POST',
      '/deploymentBase/{actionId}/feedback',
      cabinet,
      { body: { status: { execution, result: { finished: 'none' }, details } } },
      { actionId: String(id) },
    );
  await say('proceeding', ['installing']);
  expect(distrusting()).toEqual([]);
  await say('rejected', ['not trusted: 1 author has to sign cabinet 6.6.6; 0 did']);
  expect(distrusting()).toEqual([1]);
  expect(logged()).toHaveLength(1);
  expect(await ddi.execution(id)).toMatchObject({
    status: 'REJECTED',
    detail: 'not trusted: 1 author has to sign cabinet 6.6.6; 0 did\ninstalling',
  });
});
