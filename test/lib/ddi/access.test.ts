import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../../dev/stack/free-port.ts';
import { createHandler as createDeploymentHandler } from '../../../functions/iot-deployment/handler.ts';
import { routes as every } from '../../../functions/routes.ts';
import { createDatabase } from '../../../lib/db/database.ts';
import { createToken, hashToken } from '../../../lib/ddi/device-token.ts';
import { issueDeviceToken } from '../../../lib/ddi/issue-device-token.ts';
import { DomainError } from '../../../lib/errors.ts';
import { deviceScope } from '../../../lib/http/route.ts';
import { createTestDatabase } from '../../support/database.ts';
import { createDevicesThatPoll, type PollingDevice } from '../../support/devices-that-poll.ts';
import { actor } from '../../support/fixtures.ts';
import { type Call, createIdentity } from '../../support/http.ts';
import type { ProblemBody } from '../../support/update-api.ts';

const { db } = await createTestDatabase();
const ddi = createDevicesThatPoll(db);
const identity = await createIdentity();

type Options = NonNullable<Parameters<typeof ddi.poll>[1]>;
type Route = (device: PollingDevice, actionId: number, softwareModuleId: number, options?: Options) => Promise<{ statusCode: number }>;

const feedback = { body: { status: { execution: 'closed', result: { finished: 'failure' } } } };
/** Every route; those about an action with whether it is about one. */
const routes: [string, boolean, Route][] = [
  ['poll', false, (device, _, __, options) => ddi.poll(device, options)],
  ['configData', false, (device, _, __, options) => ddi.configData(device, {}, { body: { data: { cabinet_version: 'x' } }, ...options })],
  ['deploymentBase', true, (device, id, _, options) => ddi.deployment(device, id, options)],
  ['feedback', true, (device, id, _, options) => ddi.feedback(device, id, 'closed', 'failure', [], { ...feedback, ...options })],
  ['cancelAction', true, (device, id, _, options) => ddi.cancelAction(device, id, options)],
  [
    'feedback to cancelAction',
    true,
    (device, id, _, options) => ddi.cancelFeedback(device, id, 'closed', 'success', { ...feedback, ...options }),
  ],
  ['installedBase', true, (device, id, _, options) => ddi.installed(device, id, options)],
  ['artifact', true, (device, _, module, options) => ddi.download(device, module, 'firmware.bin', 'GET', options)],
  ['artifact by HEAD', true, (device, _, module, options) => ddi.download(device, module, 'firmware.bin', 'HEAD', options)],
];

let mine: Awaited<ReturnType<typeof ddi.givenTaken>>;
let others: Awaited<ReturnType<typeof ddi.givenTaken>>;
let installed: Awaited<ReturnType<typeof ddi.givenTaken>>;
let snapshot: () => Promise<unknown>;

beforeAll(async () => {
  mine = await ddi.givenTaken();
  others = await ddi.givenTaken();
  installed = await ddi.givenTaken();
  await ddi.feedback(installed.cabinet, installed.id, 'closed', 'success');
  await ddi.configData(installed.cabinet, { cabinet_version: installed.firmware.version });
  // What is asked to stop, too: cancelAction is then about something.
  await db.updateTable('update_executions').set({ cancellation: 'requested' }).where('id', '=', others.id).execute();
  snapshot = async () => [
    await db.selectFrom('update_executions').selectAll().orderBy('id').execute(),
    await db.selectFrom('device_firmwares').selectAll().orderBy('device_id').execute(),
    await db.selectFrom('iot_devices').selectAll().orderBy('device_id').execute(),
    await db.selectFrom('devices').selectAll().orderBy('id').execute(),
  ];
});

it('every route of devices is tried below', () => {
  expect(routes).toHaveLength(every.filter(({ scope }) => scope === deviceScope).length);
});

describe.each(routes)('%s', (_, isAboutAction, route) => {
  const refused = async (options: Options, device = mine.cabinet) => {
    const before = await snapshot();
    const answer = await route(device, others.id, others.firmware.id, options);
    expect(await snapshot()).toEqual(before);
    return answer;
  };
  const own = () => `cabinet.${mine.cabinet.external_id}`;
  const other = () => `cabinet.${others.cabinet.external_id}`;

  it('401: another device’s name with one’s own token', async () => {
    expect(await refused({ controllerId: other() })).toMatchObject({ statusCode: 401, body: { code: 'auth.device_refused' } });
  });

  it('401: the same words for an unknown device, a wrong token, a wrong tenant, another scheme and no header', async () => {
    const token = `TargetToken ${mine.cabinet.token}`;
    const cases: Options[] = [
      { controllerId: 'cabinet.nobody' },
      { controllerId: 'bicycle.C-1' },
      { controllerId: own().replace('cabinet', 'scooter') },
      { controllerId: `${own()}%00` },
      { authorization: `TargetToken ${createToken()}` },
      { authorization: `TargetToken ${others.cabinet.token}` },
      { authorization: 'TargetToken ' },
      { authorization: `TargetToken ${mine.cabinet.token.slice(0, -1)}` },
      { authorization: `TargetToken ${hashToken(mine.cabinet.token).toString('hex')}` },
      { authorization: `Bearer ${mine.cabinet.token}` },
      { authorization: `Bearer ${await identity.token()}` },
      { authorization: `GatewayToken ${mine.cabinet.token}` },
      { authorization: `GatewayToken ${randomBytes(32).toString('base64url')}` },
      { authorization: token, tenant: 'another' },
      { authorization: token, tenant: 'default%20' },
      { authorization: token, tenant: '' },
      { authorization: '' },
    ];
    const answers = [];
    for (const options of cases) answers.push(await refused(options));
    const [first] = answers;
    for (const answer of answers) {
      expect(answer).toMatchObject({ statusCode: 401, headers: { 'www-authenticate': 'TargetToken' } });
      expect({ ...answer, headers: {}, body: { ...(answer as { body?: object }).body, request_id: '' } }).toEqual({
        ...first,
        headers: {},
        body: { ...(first as { body?: object }).body, request_id: '' },
      });
    }
  });

  it('503: the database is down', async () => {
    const down = createDatabase({ url: `postgres://x:x@127.0.0.1:${await freePort()}/x`, maxConnections: 1 });
    const lost = createDevicesThatPoll(down);
    const [name] = routes.find(([, , each]) => each === route) ?? [];
    const same: Record<string, () => Promise<unknown>> = {
      poll: () => lost.poll(mine.cabinet),
      configData: () => lost.configData(mine.cabinet, {}),
      deploymentBase: () => lost.deployment(mine.cabinet, mine.id),
      feedback: () => lost.feedback(mine.cabinet, mine.id, 'proceeding'),
      cancelAction: () => lost.cancelAction(mine.cabinet, mine.id),
      'feedback to cancelAction': () => lost.cancelFeedback(mine.cabinet, mine.id, 'proceeding'),
      installedBase: () => lost.installed(mine.cabinet, mine.id),
      artifact: () => lost.download(mine.cabinet, mine.firmware.id, 'firmware.bin'),
      'artifact by HEAD': () => lost.download(mine.cabinet, mine.firmware.id, 'firmware.bin', 'HEAD'),
    };
    expect(await same[name ?? '']?.()).toMatchObject({ statusCode: 503, headers: { 'retry-after': '16' } });
    await down.destroy();
  });

  if (isAboutAction)
    it('404: another device’s action with one’s own name and token, as for one that is nobody’s', async () => {
      expect(await refused({})).toMatchObject({ statusCode: 404, body: { code: 'execution.not_found' } });
      const before = await snapshot();
      const answer = await route(mine.cabinet, 2_000_000_000, 2_000_000_000);
      expect(answer).toMatchObject({ statusCode: 404, body: { code: 'execution.not_found' } });
      expect(await snapshot()).toEqual(before);
    });

  if (isAboutAction)
    it('400: an action that can be none', async () => {
      expect((await route(mine.cabinet, -1, -1)).statusCode).toBe(400);
      expect((await route(mine.cabinet, 3_000_000_000, 3_000_000_000)).statusCode).toBe(400);
    });
});

describe('installedBase', () => {
  it('404 for what another device has installed', async () => {
    expect((await ddi.installed(installed.cabinet, installed.id)).statusCode).toBe(200);
    expect((await ddi.installed(mine.cabinet, installed.id)).statusCode).toBe(404);
  });
});

describe('the tenant', () => {
  it('is compared without case, may be one of several, and links keep it as the device has it', async () => {
    const several = createDevicesThatPoll(db, { tenants: ['fleet_1', 'DEFAULT'] });
    const [cabinet] = await several.givenPolling();
    if (!cabinet) throw new Error('no device');
    for (const tenant of ['DEFAULT', 'default', 'Default', 'fleet_1', 'FLEET_1']) {
      const { statusCode, body } = await several.poll(cabinet, { tenant });
      expect(statusCode).toBe(200);
      expect(body._links.configData?.href).toBe(`http://updates.test/${tenant}/controller/v1/cabinet.${cabinet.external_id}/configData`);
    }
    for (const tenant of ['another', 'fleet', 'fleet_1,DEFAULT', 'DEFAULT,']) {
      expect((await several.poll(cabinet, { tenant })).statusCode).toBe(401);
    }
  });
});

describe('a token', () => {
  it('is worth nothing when another one has been made', async () => {
    const [cabinet] = await ddi.givenPolling();
    if (!cabinet) throw new Error('no device');
    expect((await ddi.poll(cabinet)).statusCode).toBe(200);
    const { token } = await issueDeviceToken(ddi.deps, cabinet, actor);
    expect((await ddi.poll(cabinet)).statusCode).toBe(401);
    expect((await ddi.poll({ ...cabinet, token })).statusCode).toBe(200);
  });

  it('lets nobody in when the device is reached through scooters-backend now', async () => {
    const [scooter] = await ddi.givenPolling(1, { kind: 'scooter' });
    if (!scooter) throw new Error('no device');
    expect((await ddi.poll(scooter)).statusCode).toBe(200);
    await db.updateTable('devices').set({ channel: 'telematics' }).where('external_id', '=', scooter.external_id).execute();
    expect((await ddi.poll(scooter)).statusCode).toBe(401);
  });
});

describe('a gateway', () => {
  const gatewayToken = createToken();
  const open = createDevicesThatPoll(db, { gatewayTokenSha256: hashToken(gatewayToken) });
  const registering = createDevicesThatPoll(db, { gatewayTokenSha256: hashToken(gatewayToken), selfRegistration: true });
  const authorization = `GatewayToken ${gatewayToken}`;
  const unknown = { kind: 'cabinet', external_id: 'C-self', token: '' } as const;
  const isRegistered = async () =>
    (await db.selectFrom('devices').select('channel').where('external_id', '=', 'C-self').executeTakeFirst())?.channel;

  it('speaks for every device that polls, one at a time, if gateways are allowed', async () => {
    const { cabinet, id, firmware } = await open.givenTaken();
    expect((await open.poll({ ...cabinet, token: '' }, { authorization })).statusCode).toBe(200);
    expect((await open.deployment({ ...cabinet, token: '' }, others.id, { authorization })).statusCode).toBe(404);
    expect((await open.deployment({ ...cabinet, token: '' }, id, { authorization })).statusCode).toBe(200);
    expect((await open.configData(cabinet, { cabinet_version: firmware.version }, { authorization })).statusCode).toBe(200);
    expect((await open.poll(cabinet, { authorization: `TargetToken ${gatewayToken}` })).statusCode).toBe(401);
    expect((await open.poll(cabinet, { authorization: `GatewayToken ${createToken()}` })).statusCode).toBe(401);
  });

  it('is refused for a device that is not registered, unless it may register it', async () => {
    expect((await open.poll(unknown, { authorization })).statusCode).toBe(401);
    expect(await isRegistered()).toBeUndefined();
    expect((await registering.poll(unknown, { authorization: `TargetToken ${gatewayToken}` })).statusCode).toBe(401);
    expect(await isRegistered()).toBeUndefined();
    const answers = await Promise.all([1, 2, 3].map(() => registering.poll(unknown, { authorization })));
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200]);
    expect(await isRegistered()).toBe('iot');
  });
});

describe('the file', () => {
  it('302: a fresh link for the method that asked, and no write', async () => {
    const { cabinet, firmware } = await ddi.givenTaken();
    const object = ddi.deps.storage.put('firmwares/x', Buffer.from('the file'));
    await db
      .updateTable('firmwares')
      .set({ file_link: ddi.deps.storage.toLink(object) })
      .where('id', '=', firmware.id)
      .execute();
    const before = await snapshot();
    const get = await ddi.download(cabinet, firmware.id, 'firmware.bin');
    const head = await ddi.download(cabinet, firmware.id, 'firmware.bin', 'HEAD');
    expect([get.statusCode, head.statusCode]).toEqual([302, 302]);
    expect(ddi.deps.storage.download(get.headers['location'] ?? '')).toEqual({ status: 200, bytes: Buffer.from('the file') });
    expect(ddi.deps.storage.download(head.headers['location'] ?? '', 'HEAD')).toEqual({ status: 200 });
    expect(await snapshot()).toEqual(before);
  });

  it('404: another name of the file, a withdrawn firmware, and after the execution has ended', async () => {
    const { cabinet, firmware, id } = await ddi.givenTaken();
    expect((await ddi.download(cabinet, firmware.id, 'other.bin')).statusCode).toBe(404);
    await db.updateTable('firmwares').set({ status: 'withdrawn' }).where('id', '=', firmware.id).execute();
    expect((await ddi.download(cabinet, firmware.id, 'firmware.bin')).statusCode).toBe(404);
    await db.updateTable('firmwares').set({ status: 'available' }).where('id', '=', firmware.id).execute();
    expect((await ddi.download(cabinet, firmware.id, 'firmware.bin')).statusCode).toBe(302);
    await ddi.feedback(cabinet, id, 'closed', 'failure');
    expect((await ddi.download(cabinet, firmware.id, 'firmware.bin')).statusCode).toBe(404);
  });

  it('503: S3 is down', async () => {
    const { cabinet, firmware } = await ddi.givenTaken();
    ddi.deps.storage.isDown = true;
    const answers = [
      await ddi.download(cabinet, firmware.id, 'firmware.bin'),
      await ddi.download(cabinet, firmware.id, 'firmware.bin', 'HEAD'),
    ];
    ddi.deps.storage.isDown = false;
    for (const answer of answers) expect(answer).toMatchObject({ statusCode: 503, body: { code: 'storage.unavailable' } });
    // No deadline runs meanwhile.
    const noted = await db.selectFrom('outages').select(['cause', 'began_dt', 'ended_dt']).where('cause', '=', 'storage').execute();
    expect(noted).toEqual([{ cause: 'storage', began_dt: ddi.clock.now(), ended_dt: null }]);
  });

  it('503: the signing keys cannot be read, which is noted: no deadline runs meanwhile, and the device is not asked', async () => {
    const { cabinet, id } = await ddi.givenOffered();
    const signManifest = () => Promise.reject(new DomainError('signing.unavailable', 'The signing keys cannot be read'));
    const handler = createDeploymentHandler({ ...ddi.handlerDeps, signManifest });
    const parameters = { actionId: String(id) };
    const answer = await ddi.send<ProblemBody>(handler, 'GET', '/deploymentBase/{actionId}', cabinet, {}, parameters);
    expect(answer).toMatchObject({ statusCode: 503, body: { code: 'signing.unavailable' } });
    expect(await ddi.execution(id)).toMatchObject({ status: 'QUEUED', phase: 'offered', sent_dt: null });
    const noted = await db.selectFrom('outages').select(['cause', 'began_dt', 'ended_dt']).where('cause', '=', 'signing').execute();
    expect(noted).toEqual([{ cause: 'signing', began_dt: ddi.clock.now(), ended_dt: null }]);
  });

  it.each([
    ['50%41.bin', '50%2541.bin'],
    ['100%.bin', '100%25.bin'],
    ['%.bin', '%25.bin'],
    ['%2541.bin', '%252541.bin'],
    ['a+b c.bin', 'a%2Bb%20c.bin'],
    ['%E0%A4%A.bin', '%25E0%25A4%25A.bin'],
    ['Schloß #1?.swu', 'Schlo%C3%9F%20%231%3F.swu'],
  ])('%s is found by the link that the device is given, however often gateways decode it', async (filename, last) => {
    const { cabinet, firmware, id } = await ddi.givenOffered();
    await db
      .updateTable('firmwares')
      .set({ object_key: `firmwares/cabinet/1.0/${filename}` })
      .where('id', '=', firmware.id)
      .execute();
    const artifact = (await ddi.deployment(cabinet, id)).body.deployment.chunks[0]?.artifacts[0];
    expect(artifact?.filename).toBe(filename);
    expect(artifact?._links.download.href.split('/').at(-1)).toBe(last);
    const parameters = { softwareModuleId: String(firmware.id), filename: last };
    const path = '/softwaremodules/{softwareModuleId}/artifacts/{filename}';
    const ask = async (seen: Partial<Call>) => (await ddi.send(ddi.handlers.download, 'GET', path, cabinet, seen, parameters)).statusCode;
    const decoded = { ...parameters, filename };
    expect({
      'API Gateway (REST) decodes nothing': await ask({}),
      'serverless-offline decodes the parameters': await ask({ seenParameters: decoded }),
      'an emulator decodes the path, too': await ask({ seenParameters: decoded, seenPath: `/x/artifacts/${filename}` }),
    }).toEqual({
      'API Gateway (REST) decodes nothing': 302,
      'serverless-offline decodes the parameters': 302,
      'an emulator decodes the path, too': 302,
    });
    expect((await ddi.download(cabinet, firmware.id, `other-${filename}`)).statusCode).toBe(404);
  });

  it('keeps the ending of a .swu file', async () => {
    const { cabinet, firmware, id } = await ddi.givenOffered();
    await db
      .updateTable('firmwares')
      .set({ object_key: 'firmwares/cabinet/1.0/Cabinet 1.0 ß.swu' })
      .where('id', '=', firmware.id)
      .execute();
    const { body } = await ddi.deployment(cabinet, id);
    const artifact = body.deployment.chunks[0]?.artifacts[0];
    expect(artifact?.filename).toBe('Cabinet 1.0 ß.swu');
    expect(artifact?._links.download.href).toMatch(/\/artifacts\/Cabinet%201\.0%20%C3%9F\.swu$/);
    expect((await ddi.download(cabinet, firmware.id, 'Cabinet 1.0 ß.swu')).statusCode).toBe(302);
  });
});
