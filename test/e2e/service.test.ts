// The deployed service over HTTP, its queues and its bucket: the same cases against serverless-offline, MiniStack and LocalStack.
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { DeleteRolePolicyCommand, GetRolePolicyCommand, IAMClient, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import {
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SetQueueAttributesCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  type Client,
  createClient,
  type Deployment,
  type FirmwareUpload,
  lookUpAll,
  type RegisterDevicesBodyDevicesItem as NewDevice,
  registerAll,
  startUpdate,
} from '../../clients/api/src/index.ts';
import { openSecretsManager } from '../../dev/emulators/secrets-manager.ts';
import { deploy } from '../../ops/deploy.ts';
import { redrive } from '../../ops/redrive.ts';
import { openTarget, type Target } from '../support/e2e-target.ts';
import { unless } from '../support/emulator-gaps.ts';

const SCOOTERS = 40;
const fleet: NewDevice[] = Array.from({ length: SCOOTERS }, (_, index) => ({
  ...{ kind: 'scooter', external_id: `S-${String(index + 1).padStart(5, '0')}`, version: index % 2 === 0 ? (1 as const) : (2 as const) },
}));

let target: Target;
let api: Client;
let s3: S3Client;
let sqs: SQSClient;

beforeAll(async () => {
  target = await openTarget({ scooters: SCOOTERS, cabinets: 0, install_seconds: 0.2, seed: 7 });
  api = createClient({ url: target.api_url, token: target.token });
  const credentials = { accessKeyId: target.access_key_id, secretAccessKey: target.secret_access_key };
  s3 = new S3Client({ endpoint: target.s3.endpoint, region: target.region, credentials, forcePathStyle: true });
  sqs = new SQSClient({ endpoint: target.sqs.endpoint, region: target.region, credentials });
  await registerAll(api, fleet);
}, 300_000);
afterAll(async () => {
  s3?.destroy();
  sqs?.destroy();
  await target?.stop();
});

const sha256Of = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const waitFor = <T>(work: () => Promise<T>, timeout = 60_000) => vi.waitFor(work, { timeout, interval: 150 });
const queueUrl = (id: string) => target.sqs.queue_urls[id] ?? '';

const reserve = async (version: string, bytes: Uint8Array, hardware_type = 'vega_mcu', filename = 'firmware.bin') => {
  const request = { hardware_type, version, filename, comment: 'end to end', size_bytes: bytes.length, sha256: sha256Of(bytes) };
  const { upload, ...firmware } = (await api.uploadFirmware(request)) as FirmwareUpload;
  if (!upload) throw new Error(`${version} is there already`);
  return { ...firmware, upload };
};
const put = async (url: string, headers: Record<string, string>, bytes: Uint8Array<ArrayBuffer>) => {
  const { 'content-length': _, ...others } = headers; // fetch gives the true one
  return (await fetch(url, { method: 'PUT', headers: others, body: bytes })).status;
};
const available = async (version: string, hardware_type?: string, filename?: string) => {
  const bytes = new Uint8Array(randomBytes(5_000));
  const { id, upload } = await reserve(version, bytes, hardware_type, filename);
  expect(await put(upload.url, upload.headers, bytes)).toBe(200);
  await waitFor(async () => expect((await api.getFirmware(id)).status).toBe('available'));
  return { id, bytes };
};
const depthOf = async (id: string): Promise<number> => {
  const { Attributes = {} } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl: queueUrl(id), AttributeNames: ['All'] }));
  const { ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible, ApproximateNumberOfMessagesDelayed } = Attributes;
  return [ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible, ApproximateNumberOfMessagesDelayed].reduce(
    (sum, text) => sum + Number(text ?? 0),
    0,
  );
};
/** Messages that fail come back after a second instead of minutes, and go to the dead-letter queue after two tries. */
const withImpatientQueue = async (id: string, work: () => Promise<void>) => {
  const QueueUrl = queueUrl(id);
  const { Attributes = {} } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }));
  const redrivePolicy = JSON.parse(Attributes['RedrivePolicy'] ?? '{}') as { deadLetterTargetArn: string };
  const set = (VisibilityTimeout: string, policy: object) =>
    sqs.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: { VisibilityTimeout, RedrivePolicy: JSON.stringify(policy) } }));
  await set('1', { ...redrivePolicy, maxReceiveCount: 2 });
  try {
    await work();
  } finally {
    await set(Attributes['VisibilityTimeout'] ?? '174', redrivePolicy);
  }
};
const expectDefined = <T>(value: T | undefined): T => {
  if (value === undefined) throw new Error('It is not there');
  return value;
};
const roleOf = (name: string) => target.deployed?.roles[name] ?? '';
const changeSimulator = (behaviour: Record<string, unknown>) =>
  fetch(`${target.simulator_url}/simulator/behaviour`, {
    method: 'PATCH',
    headers: { authorization: `Bearer ${target.simulator_token}`, 'content-type': 'application/json' },
    body: JSON.stringify(behaviour),
  });

describe('a path or method that is no route', () => {
  it('404 and 405: is answered with a problem document, also by what answers without any function', async () => {
    const ask = (method: string, path: string) => fetch(`${target.api_url}${path}`, { method });
    for (const [method, path] of [
      ['GET', '/v1/nothing'],
      ['POST', '/v1/health/x'],
      ['DELETE', '/v1/updates'],
    ] as const) {
      const response = await ask(method, path);
      const problem = (await response.json()) as { code: string; status: number; request_id: string };
      expect(response.headers.get('content-type')).toContain('application/problem+json');
      expect(problem.request_id).toBeTruthy();
      // API Gateway does not tell a method that a path does not take from a path that there is not.
      const isLocal = target.deployed === undefined && method === 'DELETE';
      expect([response.status, problem.code], `${method} ${path}`).toEqual(
        isLocal ? [405, 'route.method_not_allowed'] : [404, 'route.not_found'],
      );
      if (isLocal) expect(response.headers.get('allow')?.split(', ')).toEqual(expect.arrayContaining(['GET', 'POST']));
    }
  });
});

describe('the console', () => {
  it('is a page beside the API, with its policy, and with a style and a script that are found from it', async () => {
    const page = await fetch(`${target.api_url}/console`);
    const html = await page.text();
    expect(page.status, html.slice(0, 500)).toBe(200);
    expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'");
    const links = [...html.matchAll(/ (?:src|href)="(console\/[^"]+)"/g)].map(([, link = '']) => link);
    expect(links.map((link) => link.split('.').at(-1)).toSorted()).toEqual(['css', 'js']);
    for (const link of links) {
      const asset = await fetch(new URL(link, page.url));
      expect(asset.status, link).toBe(200);
      expect(asset.headers.get('content-type')).toMatch(/^text\/(css|javascript); charset=utf-8$/);
      expect((await asset.text()).length).toBeGreaterThan(1_000);
    }
  });
});

describe('an upload', () => {
  it('takes exactly the promised bytes, once, and is registered by the event of S3', async () => {
    const bytes = new Uint8Array(randomBytes(5_000));
    const { id, upload } = await reserve('1.0.0', bytes);
    const other = Uint8Array.from(bytes);
    other[0] = (other[0] ?? 0) ^ 1;
    expect(await put(upload.url, upload.headers, other)).toBe(400);
    expect(await put(upload.url, upload.headers, bytes.slice(1))).toBe(403);
    expect(await put(upload.url.replace('1.0.0', '1.0.1'), upload.headers, bytes)).toBe(403);
    expect(
      await put(
        upload.url.replace(/.$/, (last) => (last === '0' ? '1' : '0')),
        upload.headers,
        bytes,
      ),
    ).toBe(403);
    expect((await api.getFirmware(id)).status).toBe('awaiting_upload');
    expect(await put(upload.url, upload.headers, bytes)).toBe(200);
    expect(await put(upload.url, upload.headers, bytes)).toBe(412);
    const firmware = await waitFor(async () => {
      const found = await api.getFirmware(id);
      expect(found.status).toBe('available');
      return found;
    });
    const download = await fetch(firmware.download_url ?? '');
    expect(Buffer.from(await download.arrayBuffer()).equals(Buffer.from(bytes))).toBe(true);
  });

  unless('no expiry of links', 'and a download by a link that has expired are refused', async () => {
    const anHourAgo = new Date(Date.now() - 3_700_000);
    const options = { expiresIn: 3_600, signingDate: anHourAgo };
    const object = { Bucket: target.s3.bucket, Key: 'firmwares/vega_mcu/1.0.2/firmware.bin' };
    expect((await fetch(await getSignedUrl(s3, new PutObjectCommand(object), options), { method: 'PUT', body: 'x' })).status).toBe(403);
    expect((await fetch(await getSignedUrl(s3, new GetObjectCommand(object), options))).status).toBe(403);
  });
});

describe('an update', () => {
  it('goes through the queues to the backend and comes back as confirmations: every scooter runs the new version', async () => {
    const { id: firmware_id } = await available('2.0.0');
    const { id } = await startUpdate(api, { firmware_id, targets: { filter: { kind: 'scooter' } }, comment: '' });
    await waitFor(async () => expect((await api.getUpdate(id)).status).toBe('COMPLETED'), 120_000);
    expect((await api.getUpdate(id)).counts).toMatchObject({ SUCCEEDED: SCOOTERS, FAILED: 0, TIMED_OUT: 0 });
    const devices = await lookUpAll(
      api,
      'scooter',
      fleet.map(({ external_id }) => external_id),
    );
    expect(new Set(devices.map(({ firmwares }) => firmwares.find(({ hardware_type }) => hardware_type === 'vega_mcu')?.version))).toEqual(
      new Set(['2.0.0']),
    );
  }, 180_000);

  unless(
    'no address of the API',
    'reaches a device that polls, and leads it to its file, whatever that is called: a per cent sign is decoded once',
    async () => {
      const external_id = 'C-PER-CENT';
      await api.registerDevices({ devices: [{ kind: 'cabinet', external_id }] });
      const { token } = await api.issueDeviceToken('cabinet', external_id, {});
      const ask = async (url: string) => {
        const response = await fetch(url, { headers: { authorization: `TargetToken ${token}` }, redirect: 'manual' });
        return { status: response.status, location: response.headers.get('location'), text: await response.text() };
      };
      const filename = '50%41 a+b.bin';
      const { id: firmware_id, bytes } = await available('50.41', 'cabinet', filename);
      const { id } = await startUpdate(api, { firmware_id, targets: { kind: 'cabinet', external_ids: [external_id] }, canary: null });
      const deployment = await waitFor(async () => {
        const poll = await ask(`${target.ddi_url}/default/controller/v1/cabinet.${external_id}`);
        const { _links } = JSON.parse(poll.text) as { _links: { deploymentBase?: { href: string } } };
        return JSON.parse((await ask(expectDefined(_links.deploymentBase).href)).text) as Deployment;
      });
      const [artifact] = expectDefined(deployment.deployment.chunks[0]).artifacts;
      expect(artifact?.filename).toBe(filename);
      const download = await ask(expectDefined(artifact)._links.download.href);
      expect(download).toMatchObject({ status: 302, location: expect.any(String) });
      const file = await fetch(download.location ?? '');
      expect(Buffer.from(await file.arrayBuffer()).equals(Buffer.from(bytes))).toBe(true);
      // It says no more: its update would go on until its deadline.
      await api.cancelUpdate(id, { force: true });
    },
    120_000,
  );

  it('waits while the backend is down, and goes on by itself when it is back', async () => {
    const { id: firmware_id } = await available('2.1.0');
    await changeSimulator({ outage: '503' });
    const { id } = await startUpdate(api, { firmware_id, targets: { external_ids: ['S-00001', 'S-00002'], kind: 'scooter' }, comment: '' });
    await waitFor(async () => expect((await api.getUpdate(id)).status).toBe('IN_PROGRESS'));
    await new Promise((resolve) => setTimeout(resolve, 3_000)); // long enough for a command to have been refused
    expect((await api.getUpdate(id)).counts).toMatchObject({ SUCCEEDED: 0, FAILED: 0 });
    await changeSimulator({ outage: 'off' });
    await waitFor(async () => expect((await api.getUpdate(id)).counts).toMatchObject({ SUCCEEDED: 2 }), 120_000);
  }, 180_000);

  it('is told by a confirmation what a device runs, also when nobody asked', async () => {
    const token = await target.tokenFor({ subject: 'scooters-backend', scopes: ['devices:report'] });
    const backend = createClient({ url: target.api_url, token });
    const report = { external_id: 'S-00003', hardware_type: 'vega_gsm', version: '7.7', status: 'SUCCEEDED' as const };
    await backend.confirmVersions({ confirmations: [{ ...report, occurred_dt: new Date().toISOString() }] });
    const device = await api.getScooter('S-00003');
    expect(device.firmwares).toContainEqual(expect.objectContaining({ hardware_type: 'vega_gsm', version: '7.7' }));
  });
});

describe('a queue', () => {
  it('repeats only those messages of a batch that failed', async () => {
    const { id: firmware_id } = await available('3.0.0');
    await withImpatientQueue('AdvancesQueue', async () => {
      const { id } = await startUpdate(api, { firmware_id, targets: { external_ids: ['S-00004'], kind: 'scooter' }, comment: '' });
      const poison = Array.from({ length: 3 }, (_, index) => `{"no": "message ${index}"}`);
      const Entries = poison.map((MessageBody, index) => ({ Id: String(index), MessageBody }));
      await sqs.send(new SendMessageBatchCommand({ QueueUrl: queueUrl('AdvancesQueue'), Entries }));
      await waitFor(async () => expect(await depthOf('AdvancesDeadLetterQueue')).toBe(3));
      await waitFor(async () => expect((await api.getUpdate(id)).status).toBe('COMPLETED'), 120_000);
      expect(await depthOf('AdvancesDeadLetterQueue')).toBe(3);
      const { Messages = [] } = await sqs.send(
        new ReceiveMessageCommand({ QueueUrl: queueUrl('AdvancesDeadLetterQueue'), MaxNumberOfMessages: 10, VisibilityTimeout: 0 }),
      );
      for (const { Body } of Messages) expect(poison).toContain(Body);
    });
  }, 180_000);

  it('puts a message that cannot be done aside, and does it after its cause is gone and it is redriven', async () => {
    const hardware_type = `type_${randomBytes(4).toString('hex')}`;
    const Key = `firmwares/${hardware_type}/1.0.0/firmware.bin`;
    await withImpatientQueue('RegistrationsQueue', async () => {
      await s3.send(new PutObjectCommand({ Bucket: target.s3.bucket, Key, Body: 'firmware of a type nobody knows' }));
      await waitFor(async () => expect(await depthOf('RegistrationsDeadLetterQueue')).toBe(1));
      const { id } = await available('3.1.0'); // nobody else is held up
      expect((await api.getFirmware(id)).status).toBe('available');
    });
    await api.addHardwareType({
      name: hardware_type,
      device_kind: 'scooter',
      channel: 'telematics',
      scooter_versions: [1, 2],
      max_size_bytes: 1_000_000,
    });
    const from = queueUrl('RegistrationsDeadLetterQueue');
    expect(await redrive(sqs, { from, to: queueUrl('RegistrationsQueue') })).toBe(1);
    await waitFor(async () => {
      const { items } = await api.listFirmwares({ hardware_type });
      expect(items).toMatchObject([{ version: '1.0.0', status: 'available' }]);
    });
    expect(await depthOf('RegistrationsDeadLetterQueue')).toBe(0);
  }, 180_000);
});

describe('a caller', () => {
  const get = (authorization?: string) =>
    fetch(`${target.api_url}/v1/firmwares`, { headers: { ...(authorization !== undefined && { authorization }) } });

  it('without a token, with one that is not ours or has expired: 401 as a problem document', async () => {
    const expired = await target.tokenFor({ subject: 'late', expiresIn: '-1h' });
    const [head, , signature] = target.token.split('.');
    const forged = [head, Buffer.from('{"sub":"me","exp":9999999999,"scope":"read"}').toString('base64url'), signature].join('.');
    for (const authorization of [undefined, 'Bearer x.y.z', 'Basic dXNlcjpwYXNz', `Bearer ${expired}`, `Bearer ${forged}`]) {
      const answer = await get(authorization);
      expect(answer.status).toBe(401);
      expect(answer.headers.get('content-type')).toContain('application/problem+json');
      expect(await answer.json()).toMatchObject({ status: 401, code: expect.stringMatching(/^auth\./) });
    }
  });

  it('without the scope: 403, and nothing changes', async () => {
    const reader = createClient({ url: target.api_url, token: await target.tokenFor({ subject: 'reader', scopes: ['read'] }) });
    await expect(reader.registerDevices({ devices: [{ kind: 'scooter', external_id: 'S-99999', version: 1 }] })).rejects.toMatchObject({
      status: 403,
    });
    await expect(api.getScooter('S-99999')).rejects.toMatchObject({ status: 404 });
  });

  unless('no gateway responses', 'of what is no route: 404 as a problem document, from the gateway itself', async () => {
    const answer = await fetch(`${target.api_url}/v1/nothing`, { headers: { authorization: `Bearer ${target.token}` } });
    expect(answer.status).toBe(404);
    expect(answer.headers.get('content-type')).toContain('application/problem+json');
    expect(await answer.json()).toMatchObject({
      status: 404,
      code: 'route.not_found',
      type: 'urn:scooters-updater:problem:route.not_found',
    });
  });
});

describe('the cloud', () => {
  unless(
    'no IAM',
    'lets a function do nothing that its role does not grant',
    async () => {
      const { endpoint } = target.sqs;
      const iam = new IAMClient({ endpoint, region: target.region, credentials: { accessKeyId: 'test', secretAccessKey: 'test' } });
      const { id: firmware_id } = await available('4.0.0');
      const role = { RoleName: roleOf('request-update'), PolicyName: 'request-update' };
      const { PolicyDocument = '' } = await iam.send(new GetRolePolicyCommand(role));
      const document = JSON.parse(decodeURIComponent(PolicyDocument)) as { Statement: { Action: string[] }[] };
      const Statement = document.Statement.filter(({ Action }) => !Action.includes('sqs:SendMessage'));
      expect(Statement).toHaveLength(document.Statement.length - 1);
      const request = () => startUpdate(api, { firmware_id, targets: { external_ids: ['S-00005'], kind: 'scooter' }, comment: '' });
      await iam.send(new PutRolePolicyCommand({ ...role, PolicyDocument: JSON.stringify({ ...document, Statement }) }));
      try {
        await expect(request()).rejects.toMatchObject({ status: 503, code: 'queue.unavailable' });
      } finally {
        await iam.send(new PutRolePolicyCommand({ ...role, PolicyDocument: JSON.stringify(document) }));
      }
      const { id } = await request();
      await waitFor(async () => expect((await api.getUpdate(id)).status).toBe('COMPLETED'), 120_000);

      // A link is worth what its signer may do.
      const bytes = new Uint8Array(randomBytes(10));
      const { upload } = await reserve('4.1.0', bytes);
      const uploader = { RoleName: roleOf('upload-firmware'), PolicyName: 'upload-firmware' };
      const { PolicyDocument: whole = '' } = await iam.send(new GetRolePolicyCommand(uploader));
      await iam.send(new DeleteRolePolicyCommand(uploader));
      expect(await put(upload.url, upload.headers, bytes)).toBe(403);
      await iam.send(new PutRolePolicyCommand({ ...uploader, PolicyDocument: decodeURIComponent(whole) }));
      expect(await put(upload.url, upload.headers, bytes)).toBe(200);
      iam.destroy();
    },
    180_000,
  );

  unless('no Secrets Manager', 'has the password of the database in a secret, that can be rotated while the service works', async () => {
    const { endpoint } = target.sqs;
    const credentials = { accessKeyId: target.access_key_id, secretAccessKey: target.secret_access_key };
    const url = new URL(target.database_url);
    const name = decodeURIComponent(url.username);
    const admin = new pg.Client({ connectionString: target.database_url });
    await admin.connect();
    const password = randomUUID();
    await admin.query(`ALTER ROLE ${name} PASSWORD '${password}'`);
    await openSecretsManager({ endpoint, region: target.region, credentials })('PutSecretValue', {
      ...{ SecretId: target.deployed?.secrets.database, ClientRequestToken: randomUUID() },
      SecretString: JSON.stringify({ username: name, password }),
    });
    await admin.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = '${name}'`);
    await admin.end();
    expect((await fetch(`${target.api_url}/v1/health`)).status).toBe(200);
    expect(await api.getScooter('S-00001')).toMatchObject({ external_id: 'S-00001' });
  });
});

unless(
  'no deploy',
  'a deploy of what is deployed, with another setting, applies no migration twice and keeps the service up',
  async () => {
    const statuses = new Set<number>();
    const watching = new AbortController();
    const watch = (async () => {
      while (!watching.signal.aborted) statuses.add((await fetch(`${target.api_url}/v1/health`)).status);
    })();
    try {
      const { applied } = await deploy({
        ...{ stage: 'local', args: ['--param', 'logLevel=WARN'], logFile: '/dev/null' },
        env: { ...target.deployed?.settings, PATH: process.env['PATH'], HOME: process.env['HOME'], SLS_AWS_MONITORING_FREQUENCY: '200' },
      });
      expect(applied).toEqual([]);
    } finally {
      watching.abort();
      await watch;
    }
    expect([...statuses]).toEqual([200]);
  },
  180_000,
);

it('leaves nothing behind in the queues but what was put aside', async () => {
  const work = Object.keys(target.sqs.queue_urls).filter((id) => id !== 'AdvancesDeadLetterQueue');
  await waitFor(async () => expect(await Promise.all(work.map(async (id) => [id, await depthOf(id)]))).toEqual(work.map((id) => [id, 0])));
});
