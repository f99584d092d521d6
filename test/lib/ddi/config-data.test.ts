import { describe, expect, it } from 'vitest';
import { createHandler as createDeviceHandler } from '../../../functions/get-device-versions/handler.ts';
import { addHardwareType } from '../../../lib/firmware/edit-hardware-type.ts';
import { NewHardwareType } from '../../../lib/firmware/hardware-type.ts';
import { createTestDatabase } from '../../support/database.ts';
import { createDevicesThatPoll, linkedIn, type PollingDevice } from '../../support/devices-that-poll.ts';
import { actor, silentLog } from '../../support/fixtures.ts';
import { call, createIdentity } from '../../support/http.ts';

const { db } = await createTestDatabase();
const ddi = createDevicesThatPoll(db);
const { clock } = ddi;
const identity = await createIdentity();
const token = await identity.token({ scopes: ['read'] });
const read = createDeviceHandler({ db, authenticate: identity.authenticate, log: silentLog });

const shown = async ({ kind, external_id }: PollingDevice) => {
  const path = `/v1/${kind}s/{external_id}`;
  const { body } = await call(read, { method: 'GET', path, pathParameters: { external_id }, token });
  return { attributes: body['attributes'], attributes_dt: body['attributes_dt'] };
};
const givenDevice = async (device = {}): Promise<PollingDevice> => (await ddi.givenPolling(1, device))[0] as PollingDevice;
const put = (device: PollingDevice, data: unknown, mode?: string) => ddi.configData(device, {}, { body: { data, ...(mode && { mode }) } });

describe('a version that a device tells as no text', () => {
  const sent = [
    ['a number', 1.1, '1.1'],
    ['a number beyond 21 digits', 1e21, '1e+21'],
    ['a long number', 20240102030405680, '20240102030405680'],
    ['a boolean', true, 'true'],
    ['null', null, 'null'],
    ['an object', { version: '1.0' }, '{"version":"1.0"}'],
    ['an empty text', '', '""'],
    ['a version with a line end', '1.9.0\n', '"1.9.0\\n"'],
  ] as const;

  it.each(sent)('400: %s is refused by name, stored nowhere as a version, and kept with the execution', async (_, value, kept) => {
    const { cabinet, id, message } = await ddi.givenTaken({ timeouts: { in_progress_minutes: 5 } });
    await ddi.feedback(cabinet, id, 'closed', 'success');
    expect(await put(cabinet, { cabinet_version: value })).toMatchObject({
      statusCode: 400,
      body: { code: 'request.invalid', errors: [{ in: 'body', path: 'data.cabinet_version' }] },
    });
    expect(await ddi.runs(cabinet)).toBeUndefined();
    await ddi.pass(message, 301, [cabinet]);
    const { status, reason, detail } = await ddi.execution(id);
    expect({ status, reason }).toEqual({ status: 'TIMED_OUT', reason: 'NOT_CONFIRMED' });
    expect(detail?.startsWith(`The device told cabinet_version = ${kept}, which was not taken: `)).toBe(true);
  });

  it('is noted once, however often it comes, and forgotten when a version proves the update', async () => {
    const { cabinet, firmware, id } = await ddi.givenTaken();
    await ddi.feedback(cabinet, id, 'proceeding', 'none', ['downloading']);
    await ddi.feedback(cabinet, id, 'closed', 'success', ['done']);
    for (let i = 0; i < 3; i += 1) await put(cabinet, { cabinet_version: 1.1 });
    expect((await ddi.execution(id)).detail).toBe(
      'The device told cabinet_version = 1.1, which was not taken: must be a text, not a number, which loses its last zeros and digits\n' +
        'done\ndownloading',
    );
    await put(cabinet, { cabinet_version: firmware.version });
    expect(await ddi.execution(id)).toMatchObject({ status: 'SUCCEEDED', detail: null });
  });

  it('is asked for again at the next poll', async () => {
    const cabinet = await givenDevice();
    await put(cabinet, { cabinet_version: 1.1 });
    expect(linkedIn(await ddi.poll(cabinet))).toEqual({ configData: true });
    await put(cabinet, { cabinet_version: '1.1' });
    expect(linkedIn(await ddi.poll(cabinet))).toEqual({});
  });

  it('says nothing of an execution that its device has not come for', async () => {
    const { cabinet, id } = await ddi.givenOffered();
    await put(cabinet, { cabinet_version: 1.1 });
    expect(await ddi.execution(id)).toMatchObject({ status: 'QUEUED', detail: null });
  });
});

describe('attributes without the version that is waited for', () => {
  it('are taken, and kept with the execution: NOT_CONFIRMED says why', async () => {
    const { cabinet, id, message } = await ddi.givenTaken({ timeouts: { in_progress_minutes: 5 } });
    await put(cabinet, { uptime: '4' });
    expect((await ddi.execution(id)).detail).toBeNull();
    await ddi.feedback(cabinet, id, 'closed', 'success');
    expect((await put(cabinet, { uptime: '5' })).statusCode).toBe(200);
    await ddi.pass(message, 301, [cabinet]);
    expect(await ddi.execution(id)).toMatchObject({
      ...{ status: 'TIMED_OUT', reason: 'NOT_CONFIRMED' },
      detail: 'The device told its attributes without cabinet_version',
    });
  });

  it('NOT_CONFIRMED of a device that said nothing has no words, not empty ones', async () => {
    const { cabinet, id, message } = await ddi.givenTaken({ timeouts: { in_progress_minutes: 5 } });
    await ddi.feedback(cabinet, id, 'closed', 'success', ['']);
    await ddi.pass(message, 301, [cabinet]);
    expect(await ddi.execution(id)).toMatchObject({ status: 'TIMED_OUT', reason: 'NOT_CONFIRMED', detail: null });
  });
});

describe('several versions in one request', () => {
  const type = (name: string, version_attribute: string | null = null) =>
    addHardwareType(
      ddi.deps,
      NewHardwareType.parse({ name, version_attribute, device_kind: 'cabinet', channel: 'iot', max_size_bytes: 10 }),
      actor,
    );
  it('400: every wrong one is named, and none hinders the others', async () => {
    await type('own_door');
    await type('own_lamp');
    const cabinet = await givenDevice();
    const answer = await put(cabinet, { own_door_version: 1.1, cabinet_version: '2.0', own_lamp_version: null, serial: 'C' });
    expect(answer.statusCode).toBe(400);
    expect((answer.body as { errors: { path: string }[] }).errors.map(({ path }) => path)).toEqual([
      'data.own_door_version',
      'data.own_lamp_version',
    ]);
    expect(await ddi.runs(cabinet)).toMatchObject({ reported_version: '2.0' });
    expect(await shown(cabinet)).toMatchObject({ attributes: { cabinet_version: '2.0', own_door_version: 1.1, serial: 'C' } });
  });

  it.each(['toString', 'constructor'])('200: a type whose version is told in %s does not break the others', async (attribute) => {
    const name = `own_${attribute.toLowerCase()}`;
    await type(name, attribute);
    const cabinet = await givenDevice();
    expect((await put(cabinet, { cabinet_version: '2.0' })).statusCode).toBe(200);
    expect(await ddi.runs(cabinet, name)).toBeUndefined();
    expect((await put(cabinet, { [attribute]: '3.0' })).statusCode).toBe(200);
    expect(await ddi.runs(cabinet, name)).toMatchObject({ reported_version: '3.0' });
  });
});

describe('what a device tells of itself', () => {
  it.each(['cabinet', 'scooter'] as const)('is shown with the %s, with when it was told', async (kind) => {
    const device = await givenDevice({ kind });
    expect(await shown(device)).toEqual({ attributes: {}, attributes_dt: null });
    clock.advance(3);
    await put(device, { serial: 'X-1', uptime: 5, is_open: true, list: [1], nothing: null });
    expect(await shown(device)).toEqual({
      attributes: { serial: 'X-1', uptime: 5, is_open: true },
      attributes_dt: clock.now().toISOString(),
    });
  });

  it('merge adds and changes, replace leaves nothing else, remove takes away by name, as in hawkBit', async () => {
    const device = await givenDevice();
    await put(device, { a: '1', b: '2' }, 'merge');
    await put(device, { b: '3', c: '4' });
    expect(await shown(device)).toMatchObject({ attributes: { a: '1', b: '3', c: '4' } });
    await put(device, { a: 'whatever', c: null, unknown: '' }, 'remove');
    expect((await shown(device)).attributes).toEqual({ b: '3' });
    await put(device, { d: '5' }, 'replace');
    expect((await shown(device)).attributes).toEqual({ d: '5' });
    await put(device, {}, 'replace');
    expect((await shown(device)).attributes).toEqual({});
    expect((await put(device, { a: '1' }, 'overwrite')).statusCode).toBe(400);
  });

  it('remove tells nothing of a version: what is known stays', async () => {
    const device = await givenDevice();
    await put(device, { cabinet_version: '2.0' });
    expect((await put(device, { cabinet_version: '3.0' }, 'remove')).statusCode).toBe(200);
    expect((await put(device, { cabinet_version: 3 }, 'remove')).statusCode).toBe(200);
    expect(await ddi.runs(device)).toMatchObject({ reported_version: '2.0' });
  });

  it('keeps at most 100 attributes, the newest ones', async () => {
    const device = await givenDevice();
    const named = (letter: string, n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`${letter}${i}`, 'v']));
    await put(device, named('a', 90));
    await put(device, named('b', 90));
    const names = Object.keys((await shown(device)).attributes as object);
    expect([names.length, names.filter((name) => name.startsWith('b')).length]).toEqual([100, 90]);
  });

  it('of two requests at one moment keeps both', async () => {
    const device = await givenDevice();
    await put(device, { first: '0' });
    await Promise.all(Array.from({ length: 8 }, (_, i) => put(device, { [`n${i}`]: `${i}` })));
    expect(Object.keys((await shown(device)).attributes as object)).toHaveLength(9);
  });

  it.each([
    ['NUL', 'a\u0000b'],
    ['half a character', 'lone \ud800'],
    ['100,000 characters', 'x'.repeat(100_000)],
  ])('whatever is in it is answered 200: %s', async (_, text) => {
    const device = await givenDevice();
    expect((await put(device, { [text]: text, note: text })).statusCode).toBe(200);
  });
});
