// The typed client against servers that answer as a service does that is away, pages, or refuses.
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { openAsBlob } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  ApiProblem,
  ApiUnreachable,
  all,
  createClient,
  startUpdate,
  UploadRefused,
  uploadFirmware,
  watchUpdate,
} from '../../clients/api/src/index.ts';
import { startScriptedServer } from '../support/scripted-server.ts';

type Answer = { status: number; body?: unknown; headers?: Record<string, string>; text?: string };

/** Answers one after the other; the last one again and again. */
const serviceThatAnswers = async (...answers: Answer[]) => {
  const server = await startScriptedServer((response, count) => {
    const { status, body, text, headers } = answers[Math.min(count, answers.length) - 1] ?? { status: 500 };
    response.writeHead(status, { 'content-type': text === undefined ? 'application/json' : 'text/html', ...headers });
    response.end(text ?? (body === undefined ? '' : JSON.stringify(body)));
  });
  return { ...server, client: createClient({ url: server.url, token: 'secret' }) };
};
const away: Answer = { status: 503, headers: { 'retry-after': '0' }, body: { code: 'database.unavailable', detail: 'away' } };
const empty: Answer = { status: 200, body: { items: [], next_cursor: null } };

describe('a request', () => {
  it('carries the token, which may be made anew for each', async () => {
    const { requests, url } = await serviceThatAnswers(empty);
    let made = 0;
    const client = createClient({
      url,
      token: async () => {
        made += 1;
        return `token-${made}`;
      },
    });
    await client.listUpdates();
    await client.listUpdates();
    expect(requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer token-1', 'Bearer token-2']);
  });

  it('writes parameters so that nothing in them changes the address', async () => {
    const { client, requests } = await serviceThatAnswers(empty);
    await client.listFirmwares({ hardware_type: 'a&b=c', version: '1/2?3' });
    await client.getScooter('../updates/1');
    expect(requests.map(({ path }) => path)).toEqual([
      '/v1/firmwares?hardware_type=a%26b%3Dc&version=1%2F2%3F3',
      '/v1/scooters/..%2Fupdates%2F1',
    ]);
  });

  it('is repeated after 503 as Retry-After says, and says so', async () => {
    const { url, requests } = await serviceThatAnswers(away, { ...away, status: 429 }, empty);
    const retries: number[] = [];
    const client = createClient({ url, onRetry: ({ seconds }) => retries.push(seconds) });
    expect(await client.listUpdates()).toEqual({ items: [], next_cursor: null });
    expect(requests).toHaveLength(3);
    expect(retries).toEqual([0, 0]);
  });

  it('is not repeated more often than was said', async () => {
    const { url, requests } = await serviceThatAnswers(away);
    await expect(createClient({ url, attempts: 2 }).listUpdates()).rejects.toMatchObject({ status: 503, code: 'database.unavailable' });
    expect(requests).toHaveLength(2);
  });

  it('that could do something twice is not repeated: POST without an Idempotency-Key', async () => {
    const { client, requests } = await serviceThatAnswers(away);
    await expect(client.pauseUpdate(1, {})).rejects.toThrow(ApiProblem);
    expect(requests).toHaveLength(1);
    await expect(startUpdate(client, { firmware_id: 1, targets: { filter: { kind: 'scooter' } } })).rejects.toThrow(ApiProblem);
    const keys = requests.slice(1).map(({ headers }) => headers['idempotency-key']);
    expect(keys).toHaveLength(4);
    expect(new Set(keys).size).toBe(1);
  });

  it('that is refused is an error with code, wrong fields and the id of the request', async () => {
    const errors = [{ in: 'body', path: 'version', message: 'is too long' }];
    const body = { code: 'request.invalid', detail: 'One field is wrong', errors };
    const { client, requests } = await serviceThatAnswers({ status: 400, body, headers: { 'x-request-id': 'abc' } });
    const error = await client.listUpdates().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ApiProblem);
    expect(error).toMatchObject({ status: 400, code: 'request.invalid', requestId: 'abc', errors });
    expect((error as Error).message).not.toContain('secret');
    expect(requests).toHaveLength(1);
  });

  it('that a gateway answers with a page is an error all the same', async () => {
    const { client } = await serviceThatAnswers({ status: 502, text: '<h1>Bad gateway</h1>' });
    await expect(client.listUpdates()).rejects.toMatchObject({ status: 502, code: 'unknown' });
  });

  it('that is answered without a body is done, or refused, whatever the content type says', async () => {
    const { client } = await serviceThatAnswers({ status: 204 }, { status: 404 });
    expect(await client.deleteHardwareType('cabinet_fan')).toBeUndefined();
    await expect(client.deleteHardwareType('cabinet_fan')).rejects.toMatchObject({ status: 404, code: 'unknown' });
  });

  it('to an address where nobody listens says so', async () => {
    const gone = createServer().listen(0, '127.0.0.1');
    await once(gone, 'listening');
    const { port } = gone.address() as AddressInfo;
    gone.close();
    await once(gone, 'close');
    const client = createClient({ url: `http://127.0.0.1:${port}`, attempts: 1 });
    await expect(client.listUpdates()).rejects.toThrow(ApiUnreachable);
  });

  it('ends with the reason of the signal, also while it waits for a repetition', async () => {
    const { url } = await serviceThatAnswers({ ...away, headers: { 'retry-after': '30' } });
    const controller = new AbortController();
    const client = createClient({ url, signal: controller.signal, onRetry: () => controller.abort(new Error('enough')) });
    await expect(client.listUpdates()).rejects.toThrow('enough');
  });
});

it('a list is read page by page, and no page is asked for that nobody reads', async () => {
  const { client, requests } = await serviceThatAnswers(
    { status: 200, body: { items: [{ id: 1 }, { id: 2 }], next_cursor: 'a+b' } },
    { status: 200, body: { items: [{ id: 3 }], next_cursor: null } },
  );
  const ids: number[] = [];
  for await (const { id } of all((page) => client.listUpdates({ status: 'PAUSED', ...page }), 2)) ids.push(id);
  expect(ids).toEqual([1, 2, 3]);
  expect(requests.map(({ path }) => path)).toEqual(['/v1/updates?status=PAUSED&limit=2', '/v1/updates?status=PAUSED&limit=2&cursor=a%2Bb']);
  for await (const _ of all((page) => client.listUpdates(page))) break;
  expect(requests).toHaveLength(3);
});

describe('an upload', () => {
  const bytes = randomBytes(300_000);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const file = async () => {
    const folder = await mkdtemp(join(tmpdir(), 'upload-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    await writeFile(join(folder, 'mcu.bin'), bytes);
    return openAsBlob(join(folder, 'mcu.bin'));
  };
  const firmware = { hardware_type: 'vega_mcu', version: '1.5.0' };
  const reserved = (url: string): Answer => ({
    ...{
      status: 201,
      body: { id: 7, status: 'awaiting_upload', upload: { method: 'PUT', url, headers: { 'x-amz-checksum-sha256': 'x' } } },
    },
  });

  it('sends hash, length and the signed headers, tells its progress, and waits until the file is registered', async () => {
    const storage = await startScriptedServer((response) => void response.writeHead(200).end());
    const { client, requests } = await serviceThatAnswers(reserved(`${storage.url}/put?signed=yes`), {
      status: 200,
      body: { id: 7, status: 'available' },
    });
    const phases = new Map<string, number>();
    const options = { onProgress: ({ phase, bytes: sent }: { phase: string; bytes: number }) => void phases.set(phase, sent) };
    expect(await uploadFirmware(client, firmware, await file(), options)).toMatchObject({ id: 7, status: 'available' });
    expect(JSON.parse(requests[0]?.body ?? '')).toEqual({ ...firmware, size_bytes: 300_000, sha256 });
    const [put] = storage.requests;
    expect(put).toMatchObject({
      method: 'PUT',
      path: '/put?signed=yes',
      headers: { 'content-length': '300000', 'x-amz-checksum-sha256': 'x' },
    });
    // The storage must not see the token: S3 refuses two kinds of proof.
    expect(put?.headers.authorization).toBeUndefined();
    expect(Object.fromEntries(phases)).toEqual({ hashing: 300_000, uploading: 300_000, registering: 0 });
  });

  it('of a file that is there already sends nothing; one that somebody else has put there meanwhile is no failure', async () => {
    const available: Answer = { status: 200, body: { id: 7, status: 'available' } };
    const there = await serviceThatAnswers({ status: 200, body: { id: 7, status: 'available', upload: null } }, available);
    expect(await uploadFirmware(there.client, firmware, await file())).toMatchObject({ id: 7 });
    const storage = await startScriptedServer((response) => void response.writeHead(412).end());
    const { client } = await serviceThatAnswers(reserved(storage.url), available);
    expect(await uploadFirmware(client, firmware, await file())).toMatchObject({ id: 7 });
  });

  it('that the storage or the service refuses says why', async () => {
    const storage = await startScriptedServer(
      (response) => void response.writeHead(400).end('<Error><Message>The bytes differ</Message></Error>'),
    );
    const { client } = await serviceThatAnswers(reserved(storage.url));
    await expect(uploadFirmware(client, firmware, await file())).rejects.toThrow(
      'The file storage refuses the file (400): The bytes differ',
    );
    const rejected: Answer = { status: 200, body: { id: 7, status: 'rejected', reason: 'too large' } };
    const taking = await startScriptedServer((response) => void response.writeHead(200).end());
    const judged = await serviceThatAnswers(reserved(taking.url), rejected);
    await expect(uploadFirmware(judged.client, firmware, await file())).rejects.toThrow(UploadRefused);
  });

  it('ends with the reason of the signal while the storage takes the bytes', async () => {
    const storage = await startScriptedServer(() => {});
    const { client } = await serviceThatAnswers(reserved(storage.url));
    const controller = new AbortController();
    const upload = uploadFirmware(client, firmware, await file(), { signal: controller.signal });
    upload.catch(() => {});
    await vi.waitFor(() => expect(storage.requests).toHaveLength(1), { timeout: 10_000 });
    controller.abort(new Error('enough'));
    await expect(upload).rejects.toThrow('enough');
  });
});

it('a watched update is asked for until its last device has ended', async () => {
  const { client, requests } = await serviceThatAnswers(
    { status: 200, body: { id: 1, status: 'CANCELED', finished_dt: null } },
    { status: 200, body: { id: 1, status: 'CANCELED', finished_dt: '2026-11-26T05:00:00Z' } },
  );
  const seen: (string | null)[] = [];
  for await (const { finished_dt } of watchUpdate(client, 1)) seen.push(finished_dt);
  expect(seen).toEqual([null, '2026-11-26T05:00:00Z']);
  expect(requests).toHaveLength(2);
});

it('a bundle for browsers has nothing of Node in it', async () => {
  const entry = fileURLToPath(new URL('../../clients/api/src/index.ts', import.meta.url));
  const { metafile, outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    platform: 'browser',
    format: 'esm',
    write: false,
    metafile: true,
  });
  expect(Object.keys(metafile.inputs).filter((input) => input.includes('platform'))).toEqual(['clients/api/src/platform-browser.ts']);
  expect(outputFiles[0]?.text).not.toContain('node:');
});
