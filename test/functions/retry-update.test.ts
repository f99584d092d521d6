import { beforeEach, describe, expect, it } from 'vitest';
import { openGate } from '../../lib/update/backend-gate.ts';
import { createTestDatabase } from '../support/database.ts';
import { confirmation, givenDevices, givenFirmware, startOfTime } from '../support/fixtures.ts';
import { createIdentity } from '../support/http.ts';
import { createUpdateApi, type ProblemBody } from '../support/update-api.ts';

const { db } = await createTestDatabase({ maxConnections: 20 });
const identity = await createIdentity();

beforeEach(async () => {
  await db.updateTable('backend_gate').set(openGate(startOfTime)).execute();
});

/** An update of ten devices, three of which have failed and one of which was never heard of again. */
const given = async (settings: Record<string, unknown> = {}) => {
  const api = await createUpdateApi(db, identity);
  const firmware = await givenFirmware(db);
  const external_ids = await givenDevices(db, 10);
  api.backend.behave = ({ external_id }) => {
    const place = external_ids.indexOf(external_id);
    return { seconds: 5, result: place < 3 ? 'fails' : place === 3 ? 'dead' : 'succeeds' };
  };
  // Shorter than the defaults: what was never heard of again would be looked up for an hour.
  const timeouts = { queued_minutes: 60, in_progress_minutes: 10 };
  const chosen = { firmware_id: firmware.id, targets: { external_ids } };
  const { id } = await api.request({ ...chosen, canary: null, abort: [], timeouts, ...settings });
  return { ...api, id, firmware, external_ids };
};

describe('POST /v1/updates/{id}/retry', () => {
  it('202: tries exactly those that have failed again, by an update that refers to the old one and has its settings; without a body', async () => {
    const settings = {
      rollout: { maximum_per_minute: 120, maximum_in_progress: 7 },
      timeouts: { queued_minutes: 30, in_progress_minutes: 20 },
      retry: { number_of_retries: 1, failure_types: ['FAILED'] },
    };
    const { run, id, get, retry, firmware, external_ids, backend, listExecutions } = await given(settings);
    await run();
    expect((await get(id)).body.counts).toMatchObject({ SUCCEEDED: 6, FAILED: 3, TIMED_OUT: 1 });
    backend.behave = () => ({ seconds: 5, result: 'succeeds' });
    const { statusCode, headers, body } = await retry(id);
    expect({ statusCode, location: headers['location'] }).toEqual({ statusCode: 202, location: `/v1/updates/${body.id}` });
    expect(body).toMatchObject({
      firmware_id: firmware.id,
      retry_of_update_id: id,
      status: 'SCHEDULED',
      counts: { QUEUED: 4 },
      not_eligible: {},
      comment: `Retry of update ${id}`,
      created_by: 'admin@example.org',
      rollout: { maximum_per_minute: 120, maximum_in_progress: 7, exponential: null },
      timeouts: settings.timeouts,
      retry: settings.retry,
      abort: [],
    });
    const { items } = (await listExecutions(body.id)).body;
    expect(items.map((item) => item['external_id']).sort()).toEqual(external_ids.slice(0, 4).sort());
    await run();
    expect((await get(body.id)).body).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 4 } });
    // The old one stays as it was.
    expect((await get(id)).body.counts).toMatchObject({ SUCCEEDED: 6, FAILED: 3, TIMED_OUT: 1 });
  });

  it.each([
    ['by its number', { size: 10 }, { size: 4 }],
    ['by its share', { percentage: 50 }, { size: 2, percentage: 50 }],
  ])('202: takes over the whole canary of the old update, %s', async (_, asked, planned) => {
    const rest = { minimum_wait_minutes: 7, success_percentage: 20 };
    const { run, id, get, retry } = await given({ canary: { ...asked, ...rest } });
    await run();
    expect((await get(id)).body).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 6, FAILED: 3, TIMED_OUT: 1 } });
    expect((await retry(id)).body.canary).toEqual({ ...planned, ...rest });
  });

  it('202: the same with an Idempotency-Key starts nothing twice, also ten times at once', async () => {
    const { run, id, retry, deps } = await given();
    await run();
    const sent = deps.advances.sent;
    const headers = { 'idempotency-key': 'retry-1' };
    const answers = await Promise.all(Array.from({ length: 10 }, () => retry(id, { headers, body: { comment: 'again' } })));
    expect(new Set(answers.map(({ statusCode }) => statusCode))).toEqual(new Set([202]));
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    expect(answers[0]?.body.comment).toBe('again');
    // The message of its first step, by each of them.
    expect(deps.advances.sent).toBe(sent + 10);
    expect(await retry<ProblemBody>(id, { headers, body: { comment: 'other' } })).toMatchObject({
      statusCode: 422,
      body: { code: 'update.idempotency_key_reused' },
    });
  });

  it('202: leaves a device out that was seen on the version wanted after all', async () => {
    const { run, id, retry, report, external_ids, firmware, clock } = await given();
    await run();
    report(confirmation({ external_id: external_ids[3] as string, version: firmware.version, occurred_dt: clock.now() }));
    await run();
    expect((await retry(id)).body).toMatchObject({ counts: { QUEUED: 3, SUCCEEDED: 1 } });
  });

  it('409: of an update that has not ended, or whose devices are still at work', async () => {
    const { run, id, retry, control } = await given();
    await run({ seconds: 3 });
    expect(await retry<ProblemBody>(id)).toMatchObject({ statusCode: 409, body: { code: 'update.not_ended' } });
    await control('cancel', id);
    expect(await retry<ProblemBody>(id)).toMatchObject({ statusCode: 409, body: { code: 'update.not_ended' } });
  });

  it('422: without a failed device, or while another update has them', async () => {
    const { run, id, retry, backend } = await given();
    await run();
    const { body } = await retry(id);
    expect(await retry<ProblemBody>(id)).toMatchObject({
      statusCode: 422,
      body: { code: 'update.nothing_eligible', not_eligible: { UPDATE_IN_FLIGHT: 4 } },
    });
    backend.behave = () => ({ seconds: 5, result: 'succeeds' });
    await run();
    expect(await retry<ProblemBody>(body.id)).toMatchObject({ statusCode: 422, body: { code: 'update.nothing_eligible' } });
  });

  it('422: of an update with a canary that had nobody to ask, as all devices ran the version already', async () => {
    const { run, request, retry, backend, firmware, external_ids } = await given();
    backend.behave = () => ({ seconds: 5, result: 'succeeds' });
    await run();
    const settings = { canary: { size: 2 }, abort: [] };
    const again = await request({ firmware_id: firmware.id, targets: { external_ids }, ...settings });
    await run();
    expect(await retry<ProblemBody>(again.id)).toMatchObject({ statusCode: 422, body: { code: 'update.nothing_eligible' } });
  });

  it('422: of devices that have failed this firmware three times, and nothing starts; an update with force takes them', async () => {
    for (const force of [false, true]) {
      const { run, id, retry } = await given({ force, retry: { number_of_retries: 0 } });
      await run();
      const second = (await retry(id)).body.id;
      await run();
      const third = (await retry(second)).body.id;
      await run();
      const fourth = await retry<ProblemBody & { counts?: object; not_eligible?: object }>(third);
      if (force) expect(fourth).toMatchObject({ statusCode: 202, body: { counts: { QUEUED: 4 } } });
      // The fourth one was silent three times, which is no failure of the firmware.
      else expect(fourth).toMatchObject({ statusCode: 202, body: { counts: { QUEUED: 1 }, not_eligible: { BLOCKED: 3 } } });
    }
  });

  it('400, 401, 403, 404: and nothing starts', async () => {
    const { run, id, retry, deps } = await given();
    await run();
    const sent = deps.advances.sent;
    expect(await retry<ProblemBody>('x')).toMatchObject({ statusCode: 400 });
    expect(await retry<ProblemBody>(id, { body: { pace: 1 } })).toMatchObject({ statusCode: 400, body: { errors: [{ path: 'pace' }] } });
    expect(await retry<ProblemBody>(id, { headers: { 'idempotency-key': 'a b' } })).toMatchObject({ statusCode: 400 });
    expect(await retry<ProblemBody>(id, { token: '' })).toMatchObject({ statusCode: 401 });
    expect(await retry<ProblemBody>(id, { token: await identity.token({ scopes: ['read'] }) })).toMatchObject({ statusCode: 403 });
    expect(await retry<ProblemBody>(999_999)).toMatchObject({ statusCode: 404, body: { code: 'update.not_found' } });
    expect(deps.advances.sent).toBe(sent);
  });
});
