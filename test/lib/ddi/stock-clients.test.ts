// What rauc-hawkbit-updater does and expects, as its own tests have it; SWUpdate itself is run in test/e2e.
import { createHash, randomBytes } from 'node:crypto';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../../dev/stack/free-port.ts';
import { createHandler as createDownloadHandler } from '../../../functions/iot-download/handler.ts';
import { createDatabase } from '../../../lib/db/database.ts';
import { createAuthenticateDevice } from '../../../lib/ddi/authenticate-device.ts';
import { createS3 } from '../../../lib/ports/s3-client.ts';
import { createS3Storage } from '../../../lib/ports/s3-storage.ts';
import { cancelUpdate } from '../../../lib/update/walk/control-update.ts';
import { createTestDatabase } from '../../support/database.ts';
import { createDevicesThatPoll, linkedIn, type PollingDevice } from '../../support/devices-that-poll.ts';
import { actor, silentLog } from '../../support/fixtures.ts';
import { startLocalS3 } from '../../support/local-s3.ts';

const { db, takeStatements } = await createTestDatabase();
const ddi = createDevicesThatPoll(db);
const { clock } = ddi;

describe('a bundle that is streamed or resumed', () => {
  const bundle = randomBytes(10_000);
  let cabinet: PollingDevice;
  let ask: (method?: 'GET' | 'HEAD', headers?: Record<string, string>) => Promise<Response>;

  beforeAll(async () => {
    const bucket = 'bundles';
    const s3 = await startLocalS3({ bucket });
    const storage = createS3Storage({ bucket, now: () => new Date(), s3: createS3(s3.options) });
    const key = 'firmwares/cabinet/1.0/bundle.raucb';
    const { VersionId: version_id = '' } = await s3.client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: bundle }));
    const given = await ddi.givenTaken();
    cabinet = given.cabinet;
    await db
      .updateTable('firmwares')
      .set({ object_key: key, file_link: storage.toLink({ key, version_id }) })
      .where('id', '=', given.firmware.id)
      .execute();
    const access = { tenants: ['default'], gatewayTokenSha256: null, selfRegistration: false };
    const authenticate = createAuthenticateDevice({ db, now: clock.now, access });
    const handler = createDownloadHandler({ db, storage, authenticate, log: silentLog, now: clock.now });
    const parameters = { softwareModuleId: String(given.firmware.id), filename: 'bundle.raucb' };
    ask = async (method = 'GET', headers = {}) => {
      const path = '/softwaremodules/{softwareModuleId}/artifacts/{filename}';
      const answer = await ddi.send(handler, method, path, cabinet, {}, parameters);
      expect(answer.statusCode).toBe(302);
      // As libcurl follows: to another host, and without the Authorization header.
      return fetch(answer.headers['location'] ?? '', { method, headers });
    };
  });

  it('is as long as the deployment says, and can be asked for in parts', async () => {
    const head = await ask('HEAD');
    expect([head.status, head.headers.get('content-length'), head.headers.get('accept-ranges')]).toEqual([200, '10000', 'bytes']);
  });

  it('comes in parts that make up the whole, each by a link of its own, and none costs a write', async () => {
    const parts: Buffer[] = [];
    takeStatements();
    for (let from = 0; from < bundle.length; from += 3_000) {
      const part = await ask('GET', { range: `bytes=${from}-${from + 2_999}` });
      expect(part.status).toBe(206);
      parts.push(Buffer.from(await part.arrayBuffer()));
    }
    expect(Buffer.concat(parts).equals(bundle)).toBe(true);
    const statements = takeStatements();
    expect(statements).toHaveLength(8);
    expect(statements.join('\n')).not.toMatch(/\b(INSERT|UPDATE|DELETE)\b(?! _)/);
  });

  it('goes on after an interruption where it was, and begins anew after a restart, with the same bytes', async () => {
    const rest = await ask('GET', { range: 'bytes=6000-' });
    expect([rest.status, rest.headers.get('content-range')]).toEqual([206, 'bytes 6000-9999/10000']);
    expect(Buffer.from(await rest.arrayBuffer()).equals(bundle.subarray(6_000))).toBe(true);
    const whole = Buffer.from(await (await ask()).arrayBuffer());
    expect(createHash('sha1').update(whole).digest('hex')).toBe(createHash('sha1').update(bundle).digest('hex'));
  });

  it('is not sent from behind its end', async () => {
    expect((await ask('GET', { range: 'bytes=10000-' })).status).toBe(416);
  });
});

describe('the deployment', () => {
  it('is to be installed at once: no maintenanceWindow, and never skip, which SWUpdate reports as a success', async () => {
    const { cabinet, id } = await ddi.givenOffered();
    const { download, update, ...rest } = (await ddi.deployment(cabinet, id)).body.deployment;
    expect({ download, update, others: Object.keys(rest) }).toEqual({ download: 'forced', update: 'forced', others: ['chunks'] });
  });

  it('is one chunk with one file, by one address that is the same in both links', async () => {
    const { cabinet, id } = await ddi.givenOffered();
    const { chunks } = (await ddi.deployment(cabinet, id)).body.deployment;
    expect(chunks.map(({ artifacts }) => artifacts.length)).toEqual([1]);
    const links = chunks[0]?.artifacts[0]?._links;
    expect(links?.download).toEqual(links?.['download-http']);
  });

  it('is taken, reported and proven through the tenant DEFAULT, which the client has built in', async () => {
    const { cabinet, firmware, id } = await ddi.givenOffered();
    const tenant = 'DEFAULT';
    expect((await ddi.poll(cabinet, { tenant })).body._links.deploymentBase?.href).toMatch(
      /\/DEFAULT\/controller\/v1\/.*\/deploymentBase\/\d+$/,
    );
    const { body } = await ddi.deployment(cabinet, id, { tenant });
    expect(body.deployment.chunks[0]?.artifacts[0]?._links.download.href).toContain('/DEFAULT/controller/v1/');
    expect((await ddi.download(cabinet, firmware.id, 'firmware.bin', 'GET', { tenant })).statusCode).toBe(302);
    expect((await ddi.feedback(cabinet, id, 'closed', 'success', [], { tenant })).statusCode).toBe(200);
    expect((await ddi.configData(cabinet, { cabinet_version: firmware.version }, { tenant })).statusCode).toBe(200);
    expect(await ddi.execution(id)).toMatchObject({ status: 'SUCCEEDED' });
  });
});

describe('progress', () => {
  it.each([
    ['steps', { finished: 'none', progress: { cnt: 3, of: 7 } }],
    ['steps that are no numbers', { finished: 'none', progress: { cnt: 'three', of: null } }],
    ['no result', undefined],
    ['a result of its own', { finished: 'installing' }],
  ])('with %s is a sign of work, and keeps the words that come with it', async (_, result) => {
    const { cabinet, id } = await ddi.givenTaken();
    clock.advance(20);
    const body = { id: String(id), status: { execution: 'proceeding', result, details: ['60% Copying image'], code: 12 } };
    expect((await ddi.feedback(cabinet, id, 'proceeding', 'none', [], { body })).statusCode).toBe(200);
    expect(await ddi.execution(id)).toMatchObject({ status: 'IN_PROGRESS', progress_dt: clock.now(), detail: '60% Copying image' });
  });

  it('comes hundredfold: the last words count, and the execution stays as it is', async () => {
    const { cabinet, id } = await ddi.givenTaken();
    for (let percent = 0; percent <= 100; percent += 5) {
      expect((await ddi.feedback(cabinet, id, 'proceeding', 'none', [`${percent}% Installing`])).statusCode).toBe(200);
    }
    expect(await ddi.execution(id)).toMatchObject({ status: 'IN_PROGRESS', detail: '100% Installing', attempt: 1 });
  });
});

describe('a file that does not have the checksum announced', () => {
  it('is a failure in the words of the client; the file is not to be had any more, and nothing is known to be installed', async () => {
    const { cabinet, firmware, id } = await ddi.givenTaken();
    await ddi.feedback(cabinet, id, 'proceeding', 'none', ['Starting download']);
    const words = ['Software: Release invalid checksum: 0f…, expected 3a…'];
    expect((await ddi.feedback(cabinet, id, 'closed', 'failure', words)).statusCode).toBe(200);
    expect(await ddi.execution(id)).toMatchObject({
      ...{ status: 'FAILED', reason: 'DEVICE_FAILED' },
      detail: 'Software: Release invalid checksum: 0f…, expected 3a…\nStarting download',
    });
    expect((await ddi.download(cabinet, firmware.id, 'firmware.bin')).statusCode).toBe(404);
    expect(await ddi.runs(cabinet)).toBeUndefined();
  });

  it('is tried again where the update grants it: the same action is offered once more, after its wait', async () => {
    const { cabinet, id, message } = await ddi.givenTaken({ retry: { number_of_retries: 1 } });
    await ddi.feedback(cabinet, id, 'closed', 'failure', ['checksum']);
    expect(linkedIn(await ddi.poll(cabinet))).toEqual({ configData: true });
    clock.advance(61);
    await ddi.step(message);
    expect(linkedIn(await ddi.poll(cabinet))).toMatchObject({ deploymentBase: id });
    expect((await ddi.deployment(cabinet, id)).statusCode).toBe(200);
  });
});

describe('cancel', () => {
  const cancel = async (id: number) => {
    await cancelUpdate(ddi.deps, id, { force: false, reason: null }, actor);
    ddi.deps.advances.take();
  };
  const stages: [string, (cabinet: PollingDevice, id: number) => Promise<unknown>][] = [
    ['when it has asked what to install', async () => {}],
    ['while it downloads', (cabinet, id) => ddi.feedback(cabinet, id, 'proceeding', 'none', ['Starting download'])],
    ['when it has downloaded', (cabinet, id) => ddi.feedback(cabinet, id, 'downloaded', 'none', ['Download complete'])],
    ['while it installs', (cabinet, id) => ddi.feedback(cabinet, id, 'proceeding', 'none', ['60% Installing'])],
  ];

  it.each(stages)('%s, it is asked to stop, the file is not to be had any more, and that it has stopped ends it', async (_, reach) => {
    const { cabinet, firmware, id, update } = await ddi.givenTaken();
    await ddi.configData(cabinet, {});
    await reach(cabinet, id);
    await cancel(update.id);
    expect(linkedIn(await ddi.poll(cabinet))).toEqual({ cancelAction: id });
    expect((await ddi.download(cabinet, firmware.id, 'firmware.bin')).statusCode).toBe(404);
    expect((await ddi.cancelFeedback(cabinet, id, 'closed', 'success')).statusCode).toBe(200);
    expect(await ddi.execution(id)).toMatchObject({ status: 'CANCELED' });
    expect(linkedIn(await ddi.poll(cabinet))).not.toHaveProperty('cancelAction');
  });

  it.each(stages.slice(1))('%s, and it goes on: its end is what it says afterwards', async (_, reach) => {
    const { cabinet, firmware, id, update } = await ddi.givenTaken();
    await reach(cabinet, id);
    await cancel(update.id);
    await ddi.cancelFeedback(cabinet, id, 'closed', 'failure');
    expect(linkedIn(await ddi.poll(cabinet))).toMatchObject({ deploymentBase: id });
    await ddi.feedback(cabinet, id, 'closed', 'success');
    await ddi.configData(cabinet, { cabinet_version: firmware.version });
    expect(await ddi.execution(id)).toMatchObject({ status: 'SUCCEEDED' });
  });
});

describe('after an error', () => {
  it('of any kind the next poll shows the same work, and the same feedback is taken', async () => {
    const { cabinet, id } = await ddi.givenTaken();
    await ddi.configData(cabinet, {});
    const down = createDatabase({ url: `postgres://x:x@127.0.0.1:${await freePort()}/x`, maxConnections: 1 });
    const away = createDevicesThatPoll(down);
    const errors = [
      await ddi.poll(cabinet, { authorization: 'TargetToken wrong' }),
      await ddi.deployment(cabinet, 2_000_000_000),
      await ddi.feedback(cabinet, id, 'dancing'),
      await away.poll(cabinet),
      await away.feedback(cabinet, id, 'closed', 'failure', ['flash error']),
    ];
    await down.destroy();
    expect(errors.map(({ statusCode }) => statusCode)).toEqual([401, 404, 400, 503, 503]);
    expect(linkedIn(await ddi.poll(cabinet))).toEqual({ deploymentBase: id });
    expect((await ddi.feedback(cabinet, id, 'closed', 'failure', ['flash error'])).statusCode).toBe(200);
    expect(await ddi.execution(id)).toMatchObject({ status: 'FAILED', detail: 'flash error' });
  });
});

describe('after a restart', () => {
  it('a client that has closed before it is asked for its attributes until it tells the new version', async () => {
    const { cabinet, firmware, id } = await ddi.givenTaken();
    await ddi.configData(cabinet, { cabinet_version: '0.9' });
    await ddi.feedback(cabinet, id, 'closed', 'success');
    // Polls on before its restart, and once more after it.
    for (const version of ['0.9', '0.9', firmware.version]) {
      clock.advance(5);
      expect(linkedIn(await ddi.poll(cabinet))).toEqual({ configData: true });
      await ddi.configData(cabinet, { cabinet_version: version });
    }
    expect(await ddi.execution(id)).toMatchObject({ status: 'SUCCEEDED' });
    expect(linkedIn(await ddi.poll(cabinet))).toEqual({});
  });

  it('a client that was killed while it was at work finds its work again, and asks for it anew', async () => {
    const { cabinet, id } = await ddi.givenTaken();
    await ddi.feedback(cabinet, id, 'proceeding', 'none', ['Starting download']);
    const before = await ddi.execution(id);
    expect(linkedIn(await ddi.poll(cabinet))).toMatchObject({ deploymentBase: id });
    expect((await ddi.deployment(cabinet, id)).statusCode).toBe(200);
    expect(await ddi.execution(id)).toEqual(before);
  });
});
