import { describe, expect, it } from 'vitest';
import { freePort } from '../../dev/stack/free-port.ts';
import { createHandler } from '../../functions/issue-device-token/handler.ts';
import { createHandler as createRegisterHandler } from '../../functions/register-devices/handler.ts';
import { createDatabase } from '../../lib/db/database.ts';
import type { AdvanceMessage } from '../../lib/update/messages.ts';
import { createTestDatabase } from '../support/database.ts';
import { givenDevices, silentLog, TestClock } from '../support/fixtures.ts';
import { call, createIdentity, createRecordingLog } from '../support/http.ts';
import { InMemoryQueue } from '../support/in-memory-queue.ts';

const { db } = await createTestDatabase();
const identity = await createIdentity();
const clock = new TestClock();
const token = await identity.token({ subject: 'operator@example.org', scopes: ['devices:write'] });
const deps = { db, authenticate: identity.authenticate, log: silentLog, now: clock.now };
const handler = createHandler(deps);

const issue = (kind: string, external_id: string, more: object = {}) =>
  call<{ token: string; code: string }>(handler, {
    method: 'POST',
    path: '/v1/devices/{kind}/{external_id}/token',
    pathParameters: { kind, external_id },
    token,
    ...more,
  });
const register = (devices: object[], more: object = {}) =>
  call<{ created: number; tokens?: { kind: string; external_id: string; token: string }[] }>(
    createRegisterHandler({ ...deps, advances: new InMemoryQueue<AdvanceMessage>() }),
    {
      method: 'PUT',
      path: '/v1/devices',
      token,
      body: { devices, ...more },
    },
  );
const stored = (external_id: string) =>
  db
    .selectFrom('iot_devices as i')
    .innerJoin('devices as d', 'd.id', 'i.device_id')
    .select(['i.token_sha256', 'i.token_created_by', 'i.token_created_dt'])
    .where('d.external_id', '=', external_id)
    .executeTakeFirst();

describe('POST /v1/devices/{kind}/{external_id}/token', () => {
  it('201: 256 random bits, of which only a hash is stored', async () => {
    const [cabinet = ''] = await givenDevices(db, 1, { kind: 'cabinet' });
    const { statusCode, headers, body } = await issue('cabinet', cabinet);
    expect(statusCode).toBe(201);
    expect(body.token).toMatch(/^[\w-]{43}$/);
    expect(headers['cache-control']).toBe('no-store');
    const row = await stored(cabinet);
    expect(row).toMatchObject({ token_created_by: 'operator@example.org', token_created_dt: clock.now() });
    expect(row?.token_sha256).toHaveLength(32);
    expect(JSON.stringify(await db.selectFrom('iot_devices').selectAll().execute())).not.toContain(body.token);
  });

  it('201: every token is another one, and takes the place of the one before', async () => {
    const [cabinet = ''] = await givenDevices(db, 1, { kind: 'cabinet' });
    const first = await issue('cabinet', cabinet);
    const before = await stored(cabinet);
    const second = await issue('cabinet', cabinet);
    expect(second.body.token).not.toBe(first.body.token);
    expect((await stored(cabinet))?.token_sha256).not.toEqual(before?.token_sha256);
  });

  it('201: no line of the log holds a token', async () => {
    const [cabinet = ''] = await givenDevices(db, 1, { kind: 'cabinet' });
    const log = createRecordingLog();
    const { body } = await call<{ token: string }>(createHandler({ ...deps, log }), {
      method: 'POST',
      path: '/v1/devices/{kind}/{external_id}/token',
      pathParameters: { kind: 'cabinet', external_id: cabinet },
      token,
    });
    expect(log.lines.length).toBeGreaterThan(0);
    expect(log.lines.join('\n')).not.toContain(body.token);
  });

  it('400: another kind of device', async () => {
    expect(await issue('bicycle', 'x')).toMatchObject({ statusCode: 400, body: { code: 'request.invalid' } });
  });

  it('401 and 403: without a token, and with one that may only read', async () => {
    const [cabinet = ''] = await givenDevices(db, 1, { kind: 'cabinet' });
    expect(await issue('cabinet', cabinet, { token: undefined })).toMatchObject({ statusCode: 401 });
    expect(await issue('cabinet', cabinet, { token: await identity.token({ scopes: ['read', 'devices:report'] }) })).toMatchObject({
      statusCode: 403,
    });
    expect(await stored(cabinet)).toBeUndefined();
  });

  it('404: a device that nobody has registered', async () => {
    expect(await issue('cabinet', 'nobody')).toMatchObject({ statusCode: 404, body: { code: 'device.not_found' } });
  });

  it('409: a scooter that is reached through scooters-backend', async () => {
    const [scooter = ''] = await givenDevices(db, 1);
    expect(await issue('scooter', scooter)).toMatchObject({ statusCode: 409, body: { code: 'device.not_iot' } });
    expect(await stored(scooter)).toBeUndefined();
  });

  it('503: the database is down', async () => {
    const down = createDatabase({ url: `postgres://x:x@127.0.0.1:${await freePort()}/x`, maxConnections: 1 });
    const answer = await call(createHandler({ ...deps, db: down }), {
      method: 'POST',
      path: '/v1/devices/{kind}/{external_id}/token',
      pathParameters: { kind: 'cabinet', external_id: 'C-1' },
      token,
    });
    expect(answer).toMatchObject({ statusCode: 503, body: { code: 'database.unavailable' } });
    await down.destroy();
  });
});

describe('PUT /v1/devices with issue_tokens', () => {
  it('200: a token for each device that polls and has none, and for no other', async () => {
    const [known = ''] = await givenDevices(db, 1, { kind: 'cabinet' });
    await issue('cabinet', known);
    const before = await stored(known);
    const devices = [
      { kind: 'cabinet', external_id: known },
      { kind: 'cabinet', external_id: 'C-new' },
      { kind: 'scooter', external_id: 'S-own-iot' },
      { kind: 'scooter', external_id: 'S-carried', version: 1 },
    ];
    const { body } = await register(devices, { issue_tokens: true });
    expect(body.tokens?.map(({ kind, external_id }) => `${kind} ${external_id}`)).toEqual(['cabinet C-new', 'scooter S-own-iot']);
    expect(new Set(body.tokens?.map(({ token }) => token)).size).toBe(2);
    expect(await stored(known)).toEqual(before);
    expect(await stored('S-carried')).toBeUndefined();
    expect((await register(devices, { issue_tokens: true })).body.tokens).toEqual([]);
  });

  it('200: none is made unless asked for', async () => {
    const { body } = await register([{ kind: 'cabinet', external_id: 'C-quiet' }]);
    expect(body).toEqual({ created: 1, changed: 0, unchanged: 0 });
    expect(await stored('C-quiet')).toBeUndefined();
  });
});
