import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import type { Command, CommandResult, Confirmation, DeviceVersions } from '../../../dev/simulator/contract.ts';
import { createFleet, decide, seededRandom } from '../../../dev/simulator/fleet.ts';
import { type SimulatorOptions, startSimulator } from '../../../dev/simulator/server.ts';

const root = join(import.meta.dirname, '../../..');
const file = randomBytes(200_000);
const sha256 = createHash('sha256').update(file).digest('hex');

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Serves the firmware and counts how often it is fetched. */
async function fileServer(listener: RequestListener = (_, response) => response.end(file)) {
  const downloads = { count: 0 };
  const url = await serve((request, response) => {
    downloads.count += 1;
    listener(request, response);
  });
  return { url: `${url}/firmware.bin?signature=secret`, downloads };
}

/** Takes reports as the updater would; `answer` says with which status. */
async function updater(answer: (call: number) => number = () => 200) {
  const calls: { authorization: string | undefined; status: number; confirmations: Confirmation[] }[] = [];
  const url = await serve(async (request, response) => {
    const { confirmations } = JSON.parse(await bodyOf(request)) as { confirmations: Confirmation[] };
    const status = answer(calls.length + 1);
    calls.push({ authorization: request.headers.authorization, status, confirmations });
    response.writeHead(status).end('{}');
  });
  const reports = () => calls.filter(({ status }) => status === 200).flatMap(({ confirmations }) => confirmations);
  return { url, calls, reports };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

async function start(options: SimulatorOptions = {}) {
  const simulator = await startSimulator({ token: 't0ken', install_seconds: 0.01, flush_ms: 5, retry_ms: 5, ...options });
  cleanups.push(() => simulator.close());
  return simulator;
}

let lastExecution = 0;
const command = (fields: Partial<Command> & { url: string }) => ({
  execution_id: ++lastExecution,
  attempt: 1,
  external_id: 'S-00001',
  hardware_type: 'vega_mcu',
  version: '2.0.0',
  sha256,
  size_bytes: file.length,
  expires_dt: '2099-01-01T00:00:00.000Z',
  manifest: 'unsigned',
  ...fields,
});

async function call(simulator: { url: string }, method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(simulator.url + path, {
    method,
    headers: { authorization: 'Bearer t0ken', 'idempotency-key': 'a-key', 'content-type': 'application/json', ...headers },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  return { status: response.status, headers: response.headers, body: JSON.parse(await response.text()) };
}

async function send(simulator: { url: string }, commands: unknown[]): Promise<CommandResult[]> {
  const { status, body } = await call(simulator, 'POST', '/v1/firmware-commands', { commands });
  expect(status).toBe(200);
  return body.results;
}

async function runs(simulator: { url: string }, externalId = 'S-00001', hardwareType = 'vega_mcu', kind = 'scooter') {
  const { body } = await call(simulator, 'POST', '/v1/firmware-versions', { kind, external_ids: [externalId] });
  return (body.devices as DeviceVersions[])[0]?.firmwares.find((firmware) => firmware.hardware_type === hardwareType);
}

const ids = (count: number) => Array.from({ length: count }, (_, index) => `S-${String(index + 1).padStart(5, '0')}`);

/** A simulator that reports, with a file to install. */
async function setup(options: SimulatorOptions = {}) {
  const [firmware, receiver] = await Promise.all([fileServer(), updater()]);
  const simulator = await start({ updater_url: receiver.url, updater_token: 'updater-token', ...options });
  const idle = () => vi.waitFor(() => expect(simulator.progress()).toMatchObject({ installing: 0, reports: { pending: 0 } }), 5000);
  return { simulator, receiver, idle, ...firmware };
}

describe('POST /v1/firmware-commands', () => {
  it('200: an accepted command makes the device download the file, install it and report', async () => {
    const { simulator, receiver, idle, url, downloads } = await setup();
    expect(await send(simulator, [command({ url, execution_id: 901 })])).toEqual([{ execution_id: 901, outcome: 'accepted' }]);
    await idle();
    expect(receiver.reports()).toEqual([
      {
        kind: 'scooter',
        external_id: 'S-00001',
        hardware_type: 'vega_mcu',
        version: '2.0.0',
        status: 'SUCCEEDED',
        occurred_dt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        execution_id: 901,
        attempt: 1,
      },
    ]);
    expect(receiver.calls[0]?.authorization).toBe('Bearer updater-token');
    expect(await runs(simulator)).toMatchObject({ version: '2.0.0', since_dt: receiver.reports()[0]?.occurred_dt });
    expect(await runs(simulator, 'S-00001', 'vega_gsm')).toMatchObject({ version: '1.0.0' });
    expect(downloads.count).toBe(1);
  });

  it('200: cabinets too', async () => {
    const { simulator, receiver, idle, url } = await setup();
    await send(simulator, [command({ url, kind: 'cabinet', external_id: 'C-0020', hardware_type: 'cabinet' })]);
    await idle();
    expect(receiver.reports()).toMatchObject([{ kind: 'cabinet', external_id: 'C-0020', status: 'SUCCEEDED' }]);
    expect(await runs(simulator, 'C-0020', 'cabinet', 'cabinet')).toMatchObject({ version: '2.0.0' });
  });

  it('200: one result per command, in order; unknown devices, components that are not fitted and expired commands are rejected', async () => {
    const { simulator, url } = await setup();
    const results = await send(simulator, [
      command({ url, execution_id: 911, external_id: 'S-99999' }),
      command({ url, execution_id: 912, hardware_type: 'cabinet' }),
      command({ url, execution_id: 913, expires_dt: '2020-01-01T00:00:00Z' }),
      command({ url, execution_id: 914 }),
      command({ url, execution_id: 915, external_id: 'C-0001' }),
    ]);
    expect(results).toEqual([
      { execution_id: 911, outcome: 'rejected', reason: 'unknown device' },
      { execution_id: 912, outcome: 'rejected', reason: 'the device has no cabinet' },
      { execution_id: 913, outcome: 'rejected', reason: 'the command has expired' },
      { execution_id: 914, outcome: 'accepted' },
      { execution_id: 915, outcome: 'rejected', reason: 'unknown device' },
    ]);
  });

  it('200: a repeated command, also twice in one call, is answered as before and commands the device once', async () => {
    const { simulator, receiver, idle, url, downloads } = await setup();
    const [once_, rejected] = [command({ url, execution_id: 921 }), command({ url, execution_id: 922, external_id: 'S-99999' })];
    const first = await send(simulator, [once_, rejected, once_]);
    await Promise.all(Array.from({ length: 10 }, () => send(simulator, [{ ...once_, url: `${url}&signed=anew` }])));
    await idle();
    expect(await send(simulator, [once_, rejected, once_])).toEqual(first);
    await idle();
    expect(downloads.count).toBe(1);
    expect(receiver.reports()).toHaveLength(1);
    expect(simulator.commands()).toMatchObject({ commands: 16, duplicate_commands: 14 });
  });

  it('200: a higher attempt is a new command', async () => {
    const { simulator, receiver, idle, url } = await setup();
    await send(simulator, [command({ url, execution_id: 931, attempt: 1 })]);
    await send(simulator, [command({ url, execution_id: 931, attempt: 2 })]);
    await idle();
    expect(receiver.reports()).toHaveLength(2);
    expect(simulator.commands()).toMatchObject({ commands: 2, duplicate_commands: 0 });
  });

  it('200: a device installs one thing after the other, in the order it was told', async () => {
    const { simulator, receiver, idle, url } = await setup();
    simulator.change({ install_seconds: 0.2 });
    await send(simulator, [command({ url, version: '2.0.0' })]);
    simulator.change({ install_seconds: 0 });
    await send(simulator, [command({ url, version: '3.0.0' }), command({ url, version: '4.0.0' })]);
    await idle();
    expect(receiver.reports().map(({ version }) => version)).toEqual(['2.0.0', '3.0.0', '4.0.0']);
    expect(await runs(simulator)).toMatchObject({ version: '4.0.0' });
  });

  it('400: names every wrong field and accepts nothing', async () => {
    const { simulator, url, downloads } = await setup();
    const commands = [command({ url }), { ...command({ url }), sha256: 'abc', size_bytes: 0, expires_dt: 'soon', kind: 'boat' }];
    const answer = await call(simulator, 'POST', '/v1/firmware-commands', { commands });
    expect(answer.status).toBe(400);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(answer.body).toMatchObject({ status: 400, code: 'request.invalid' });
    expect(answer.body.errors.map(({ field }: { field: string }) => field).sort()).toEqual([
      'body.commands.1.expires_dt',
      'body.commands.1.kind',
      'body.commands.1.sha256',
      'body.commands.1.size_bytes',
    ]);
    expect(simulator.commands()).toMatchObject({ commands: 0, calls: [{ count: 2, status: 400 }] });
    expect(downloads.count).toBe(0);
  });

  it.each([
    ['no JSON', '{'],
    ['no commands', { commands: [] }],
    ['101 commands', { commands: Array.from({ length: 101 }, () => command({ url: 'http://127.0.0.1/' })) }],
    ['a link that is none', { commands: [command({ url: 'file:///etc/passwd' })] }],
  ])('400: %s', async (_, body) => {
    const simulator = await start();
    expect(await call(simulator, 'POST', '/v1/firmware-commands', body)).toMatchObject({ status: 400 });
  });

  it('400: without an Idempotency-Key', async () => {
    const simulator = await start();
    const body = { commands: [command({ url: 'http://127.0.0.1/' })] };
    expect(await call(simulator, 'POST', '/v1/firmware-commands', body, { 'idempotency-key': '' })).toMatchObject({ status: 400 });
    expect(simulator.commands().commands).toBe(0);
  });

  it('401: without the token, on every route', async () => {
    const simulator = await start();
    for (const [method, path] of [
      ['POST', '/v1/firmware-commands'],
      ['POST', '/v1/firmware-versions'],
      ['GET', '/v1/devices'],
      ['GET', '/simulator/behaviour'],
      ['PATCH', '/simulator/behaviour'],
      ['GET', '/simulator/commands'],
    ] as const) {
      const body = method === 'GET' ? undefined : {};
      expect(await call(simulator, method, path, body, { authorization: 'Bearer other' })).toMatchObject({ status: 401 });
    }
  });

  it('404, 405 and 413', async () => {
    const simulator = await start();
    expect(await call(simulator, 'GET', '/v1/nothing')).toMatchObject({ status: 404 });
    const wrongMethod = await call(simulator, 'DELETE', '/v1/devices');
    expect([wrongMethod.status, wrongMethod.headers.get('allow')]).toEqual([405, 'GET']);
    expect(await call(simulator, 'POST', '/v1/firmware-commands', `"${'x'.repeat(2 * 1024 * 1024)}"`)).toMatchObject({ status: 413 });
  });
});

describe('POST /v1/firmware-versions and GET /v1/devices', () => {
  it('200: every component of the devices it knows, each device once, and the ids it does not know', async () => {
    const simulator = await start({ now: () => new Date('2026-11-24T10:00:00Z') });
    const { body } = await call(simulator, 'POST', '/v1/firmware-versions', { external_ids: ['S-00002', 'S-0002', 'S-01001', 'S-00002'] });
    expect(body.unknown).toEqual(['S-0002', 'S-01001']);
    expect(body.devices).toHaveLength(1);
    expect(body.devices[0]).toMatchObject({ external_id: 'S-00002', version: 2 });
    expect(body.devices[0].firmwares).toEqual(
      ['vega_mcu', 'vega_gsm', 'audio_lock', 'audio_locate', 'audio_unlock', 'audio_battery_low'].map((hardware_type) => ({
        hardware_type,
        version: '1.0.0',
        since_dt: '2026-01-05T00:00:00.000Z',
        observed_dt: '2026-11-24T10:00:00.000Z',
      })),
    );
  });

  it('200: pages lead through all devices, each once', async () => {
    const simulator = await start({ scooters: 7, cabinets: 3 });
    const items: unknown[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const { body } = await call(simulator, 'GET', `/v1/devices?limit=4${cursor && `&cursor=${cursor}`}`);
      items.push(...body.items);
      cursor = body.next_cursor;
    }
    expect(items).toHaveLength(10);
    expect(items.slice(0, 2)).toEqual([
      { kind: 'scooter', external_id: 'S-00001', version: 1 },
      { kind: 'scooter', external_id: 'S-00002', version: 2 },
    ]);
    expect(items.at(-1)).toEqual({ kind: 'cabinet', external_id: 'C-0003', version: null });
    expect(new Set(items.map((item) => JSON.stringify(item))).size).toBe(10);
  });

  it.each(['limit=0', 'limit=1001', 'limit=x', 'cursor=bogus'])('400: %s', async (query) => {
    expect(await call(await start(), 'GET', `/v1/devices?${query}`)).toMatchObject({ status: 400 });
  });
});

describe('downloads', () => {
  const failing = async (listener: RequestListener, fields: Partial<Command> = {}) => {
    const { simulator, receiver, idle } = await setup();
    const { url, downloads } = await fileServer(listener);
    await send(simulator, [command({ url, ...fields })]);
    await idle();
    expect(await runs(simulator)).toMatchObject({ version: '1.0.0' });
    expect(receiver.reports()).toMatchObject([{ status: 'FAILED', version: '1.0.0' }]);
    return { detail: receiver.reports()[0]?.detail, tries: downloads.count };
  };

  it('other bytes of the same size: FAILED, and the version stays', async () => {
    const { detail, tries } = await failing((_, response) => response.end(Buffer.alloc(file.length)));
    expect(detail).toContain(`sha256 mismatch: expected ${sha256}`);
    expect(tries).toBe(1);
  });

  it('too few and too many bytes: FAILED', async () => {
    expect((await failing((_, response) => response.end(file.subarray(1)))).detail).toBe(
      'not trusted: size mismatch: expected 200000 bytes, got 199999',
    );
    expect((await failing((_, response) => response.end(Buffer.concat([file, file])))).detail).toContain('got more');
  });

  it('a file that cannot be had: FAILED after 3 tries, with a detail that holds no link', async () => {
    const refused = await failing((_, response) => response.writeHead(403).end('no'));
    expect(refused).toEqual({ tries: 3, detail: 'download failed after 3 tries: HTTP 403' });
    const broken = await failing((request) => request.socket.destroy());
    expect(broken.tries).toBe(3);
    expect(broken.detail).not.toContain('signature');
  });

  it('a file that can be had at the third try is installed', async () => {
    const { simulator, receiver, idle } = await setup();
    const { url, downloads } = await fileServer((_, response) => {
      if (downloads.count < 3) response.writeHead(500).end();
      else response.end(file);
    });
    await send(simulator, [command({ url })]);
    await idle();
    expect(receiver.reports()).toMatchObject([{ status: 'SUCCEEDED' }]);
  });

  it('at most 50 at once', async () => {
    const { simulator, receiver, idle } = await setup();
    const open: (() => void)[] = [];
    let [held, most] = [true, 0];
    const { url } = await fileServer((_, response) => {
      open.push(() => response.end(file));
      most = Math.max(most, open.length);
      if (!held) open.shift()?.();
    });
    for (let start = 0; start < 200; start += 100)
      await send(
        simulator,
        ids(200)
          .slice(start, start + 100)
          .map((external_id) => command({ url, external_id })),
      );
    await vi.waitFor(() => expect(open).toHaveLength(50));
    held = false;
    for (const release of open.splice(0)) release();
    await idle();
    expect(receiver.reports()).toHaveLength(200);
    expect(most).toBe(50);
  });
});

describe('behaviour', () => {
  it('failure_rate 1: every device reports FAILED with a detail and keeps its version', async () => {
    const { simulator, receiver, idle, url } = await setup({ failure_rate: 1 });
    await send(
      simulator,
      ids(20).map((external_id) => command({ url, external_id })),
    );
    await idle();
    expect(receiver.reports()).toHaveLength(20);
    for (const report of receiver.reports())
      expect(report).toMatchObject({ status: 'FAILED', version: '1.0.0', detail: expect.stringMatching(/.{10}/) });
    expect(await runs(simulator)).toMatchObject({ version: '1.0.0' });
  });

  it('deferral_rate 1: every command is deferred with a reason and a time, and no device is commanded', async () => {
    const { simulator, idle, url, downloads } = await setup({ deferral_rate: 1 });
    const results = await send(
      simulator,
      ids(50).map((external_id) => command({ url, external_id })),
    );
    const times = results.map((result) => (result.outcome === 'deferred' ? result.retry_after_seconds : 0));
    expect(Math.min(...times)).toBe(5);
    expect(Math.max(...times)).toBe(15);
    expect(results.every((result) => result.outcome === 'deferred' && result.reason.length > 5)).toBe(true);
    await idle();
    expect(downloads.count).toBe(0);
  });

  it('a deferred command stays deferred until its time has come, then it is considered anew', async () => {
    const clock = { now: Date.parse('2026-11-24T10:00:00Z') };
    const options = { deferral_rate: 1, deferral_min_seconds: 60, deferral_max_seconds: 60, now: () => new Date(clock.now) };
    const { simulator, receiver, idle, url } = await setup(options);
    const deferred = command({ url });
    expect(await send(simulator, [deferred])).toMatchObject([{ outcome: 'deferred', retry_after_seconds: 60 }]);
    simulator.change({ deferral_rate: 0 });
    clock.now += 59_500;
    expect(await send(simulator, [deferred])).toMatchObject([{ outcome: 'deferred', retry_after_seconds: 1 }]);
    expect(simulator.commands().duplicate_commands).toBe(1);
    clock.now += 500;
    expect(await send(simulator, [deferred])).toMatchObject([{ outcome: 'accepted' }]);
    await idle();
    expect(receiver.reports()).toHaveLength(1);
    expect(simulator.commands().duplicate_commands).toBe(1);
  });

  it('rejection_rate 1: every command is rejected with a reason', async () => {
    const { simulator, url } = await setup({ rejection_rate: 1 });
    expect(await send(simulator, [command({ url })])).toMatchObject([{ outcome: 'rejected', reason: expect.stringMatching(/.{5}/) }]);
  });

  it('lie_rate 1: devices report SUCCEEDED, name the old version and run it', async () => {
    const { simulator, receiver, idle, url, downloads } = await setup({ lie_rate: 1 });
    await send(simulator, [command({ url })]);
    await idle();
    expect(receiver.reports()).toMatchObject([{ status: 'SUCCEEDED', version: '1.0.0' }]);
    expect(await runs(simulator)).toMatchObject({ version: '1.0.0' });
    expect(downloads.count).toBe(1);
  });

  it('silent_rate 1: nothing is reported; about half of the devices did install', async () => {
    const { simulator, receiver, idle, url, downloads } = await setup({ silent_rate: 1 });
    await send(
      simulator,
      ids(100).map((external_id) => command({ url, external_id })),
    );
    await idle();
    const { body } = await call(simulator, 'POST', '/v1/firmware-versions', { external_ids: ids(100) });
    const installed = (body.devices as DeviceVersions[]).filter(({ firmwares }) => firmwares[0]?.version === '2.0.0').length;
    expect(installed).toBeGreaterThan(30);
    expect(installed).toBeLessThan(70);
    expect(downloads.count).toBe(100);
    expect(receiver.calls).toEqual([]);
  });

  it('report_progress: IN_PROGRESS with the old version comes first', async () => {
    const { simulator, receiver, idle, url } = await setup({ report_progress: true });
    await send(simulator, [command({ url })]);
    await idle();
    expect(receiver.reports()).toMatchObject([
      { status: 'IN_PROGRESS', version: '1.0.0' },
      { status: 'SUCCEEDED', version: '2.0.0' },
    ]);
  });

  it('installation times: the median as asked for, none above four times that', () => {
    const { device, behaviour, someCommand } = rules({ install_seconds: 6 });
    const times = Array.from({ length: 2000 }, (_, index) => {
      const decision = decide(someCommand, device, behaviour, seededRandom(1, index), new Date());
      return decision.outcome === 'accepted' ? decision.plan.install_ms : Number.NaN;
    }).sort((a, b) => a - b);
    expect(times[1000]).toBeGreaterThan(5500);
    expect(times[1000]).toBeLessThan(6500);
    expect(times.at(-1)).toBeLessThanOrEqual(24_000);
    expect(times.at(-1)).toBeGreaterThan(18_000);
  });

  it('rates are met, and the same seed decides the same', () => {
    const { device, behaviour, someCommand } = rules({ failure_rate: 0.2, rejection_rate: 0.1 });
    const decisions = (seed: number) =>
      Array.from({ length: 2000 }, (_, index) => decide(someCommand, device, behaviour, seededRandom(seed, index), new Date()));
    const rejected = decisions(1).filter(({ outcome }) => outcome === 'rejected').length;
    const failed = decisions(1).filter((decision) => decision.outcome === 'accepted' && decision.plan.fate === 'fails').length;
    expect(rejected / 2000).toBeCloseTo(0.1, 1);
    expect(failed / (2000 - rejected)).toBeCloseTo(0.2, 1);
    expect(decisions(1)).toEqual(decisions(1));
    expect(decisions(1)).not.toEqual(decisions(2));
  });

  it('PATCH /simulator/behaviour changes what is named and refuses what is wrong', async () => {
    const simulator = await start();
    expect(await call(simulator, 'PATCH', '/simulator/behaviour', { failure_rate: 0.5, outage: '503' })).toMatchObject({ status: 200 });
    const { body } = await call(simulator, 'GET', '/simulator/behaviour');
    expect(body).toMatchObject({ failure_rate: 0.5, outage: '503', lie_rate: 0, install_seconds: 0.01 });
    const wrong = await call(simulator, 'PATCH', '/simulator/behaviour', { failure_rate: 2, seed: 3, deferral_max_seconds: 'x' });
    expect(wrong.status).toBe(400);
    expect(JSON.stringify(wrong.body.errors)).toMatch(/failure_rate.*deferral_max_seconds.*seed/);
    expect(await call(simulator, 'PATCH', '/simulator/behaviour', { deferral_max_seconds: 4 })).toMatchObject({ status: 400 });
    expect((await call(simulator, 'GET', '/simulator/behaviour')).body).toEqual(body);
  });

  it.each(['503', '429', '500'] as const)(
    'outage %s: every /v1 call is answered so, no device is commanded, and it ends',
    async (outage) => {
      const { simulator, url } = await setup({ outage });
      const once_ = command({ url });
      const answer = await call(simulator, 'POST', '/v1/firmware-commands', { commands: [once_] });
      expect(answer).toMatchObject({ status: Number(outage), body: { status: Number(outage) } });
      expect(Number(answer.headers.get('retry-after')) > 0).toBe(outage !== '500');
      expect(await call(simulator, 'GET', '/v1/devices')).toMatchObject({ status: Number(outage) });
      expect(simulator.commands()).toMatchObject({ commands: 0, calls: [{ count: 1, status: Number(outage) }] });
      await call(simulator, 'PATCH', '/simulator/behaviour', { outage: 'off' });
      expect(await send(simulator, [once_])).toMatchObject([{ outcome: 'accepted' }]);
    },
  );

  it('outage hang: no answer until the caller gives up, and close() does not wait for it', async () => {
    const { simulator, url } = await setup({ outage: 'hang' });
    const post = (signal: AbortSignal) =>
      fetch(`${simulator.url}/v1/firmware-commands`, {
        method: 'POST',
        headers: { authorization: 'Bearer t0ken', 'idempotency-key': 'a' },
        body: JSON.stringify({ commands: [command({ url })] }),
        signal,
      });
    await expect(post(AbortSignal.timeout(100))).rejects.toThrow(/timeout/i);
    expect(simulator.commands()).toMatchObject({ commands: 0, calls: [{ count: 1, status: 0 }] });
    const hanging = expect(post(AbortSignal.timeout(5000))).rejects.toThrow('fetch failed');
    await vi.waitFor(() => expect(simulator.commands().calls).toHaveLength(2));
    await simulator.close();
    await hanging;
  });

  it('slow_ms: the answer comes late, the work does not', async () => {
    const { simulator, receiver, url } = await setup({ slow_ms: 300 });
    const started = performance.now();
    const answer = send(simulator, [command({ url })]).then(() => performance.now() - started);
    await vi.waitFor(() => expect(receiver.reports()).toHaveLength(1), { interval: 5 });
    expect(await answer).toBeGreaterThanOrEqual(295);
  });
});

describe('reports', () => {
  it('are sent again until the updater accepts them', async () => {
    const { simulator, idle, url } = await setup();
    const receiver = await updater((call) => [503, 500, 401, 403, 408, 429][call - 1] ?? 200);
    let renewed = 0;
    simulator.reportTo(`${receiver.url}/`, async () => `token-${++renewed}`);
    await send(simulator, [command({ url })]);
    await idle();
    expect(receiver.calls.map(({ status }) => status)).toEqual([503, 500, 401, 403, 408, 429, 200]);
    expect(receiver.calls.at(-1)?.authorization).toBe('Bearer token-7');
    expect(receiver.reports()).toHaveLength(1);
    expect(simulator.progress().reports).toEqual({ pending: 0, delivered: 1, dropped: 0 });
  });

  it('are dropped with a log line after another 4xx, and later ones still go', async () => {
    const logged: unknown[] = [];
    const { simulator, idle, url } = await setup({ log: (fields) => logged.push(fields['msg']) });
    const receiver = await updater((call) => (call === 1 ? 400 : 200));
    simulator.reportTo(receiver.url, 'a');
    await send(simulator, [command({ url })]);
    await idle();
    await send(simulator, [command({ url })]);
    await idle();
    expect(simulator.progress().reports).toEqual({ pending: 0, delivered: 1, dropped: 1 });
    expect(logged).toContain('reports.dropped');
  });

  it('wait while there is no updater, and then go in calls of at most 1,000, one call at a time', async () => {
    const simulator = await start({ scooters: 1200, install_seconds: 0 });
    const { url } = await fileServer();
    const tiny = Buffer.from('tiny');
    const tinyUrl = await fileServer((_, response) => response.end(tiny));
    const fields = { url: tinyUrl.url, size_bytes: 4, sha256: createHash('sha256').update(tiny).digest('hex') };
    for (let start = 0; start < 1200; start += 100)
      await send(
        simulator,
        ids(1200)
          .slice(start, start + 100)
          .map((external_id) => command({ ...fields, external_id })),
      );
    await vi.waitFor(() => expect(simulator.progress()).toMatchObject({ installing: 0, reports: { pending: 1200 } }), 20_000);
    let [open, most] = [0, 0];
    const sizes: number[] = [];
    const receiver = await serve(async (request, response) => {
      open += 1;
      most = Math.max(most, open);
      sizes.push(JSON.parse(await bodyOf(request)).confirmations.length);
      setTimeout(() => {
        open -= 1;
        response.end('{}');
      }, 20);
    });
    simulator.reportTo(receiver, 'a');
    await send(simulator, [command({ url })]);
    await vi.waitFor(() => expect(simulator.progress()).toMatchObject({ installing: 0, reports: { pending: 0 } }), 5000);
    expect(sizes[0]).toBe(1000);
    expect(sizes.reduce((sum, size) => sum + size)).toBe(1201);
    expect(most).toBe(1);
  }, 30_000);
});

describe('journal', () => {
  const temporary = () => {
    const folder = mkdtempSync(join(tmpdir(), 'simulator-'));
    cleanups.push(() => rmSync(folder, { recursive: true }));
    return join(folder, 'deeper', 'journal.jsonl');
  };

  it('after a crash: what was installed stays, what was under way goes on, reports that are owed are sent, each once', async () => {
    const journal = temporary();
    const { url } = await fileServer();
    const before = await updater();
    const first = await start({ journal, updater_url: before.url, updater_token: 'a' });
    const [done, owed, underWay, rejected] = [
      command({ url, external_id: 'S-00001' }),
      command({ url, external_id: 'S-00002' }),
      command({ url, external_id: 'S-00003' }),
      command({ url, external_id: 'S-99999' }),
    ];
    await send(first, [done, rejected]);
    await vi.waitFor(() => expect(first.progress().reports).toMatchObject({ pending: 0, delivered: 1 }));
    first.reportTo('http://127.0.0.1:9', 'a');
    await send(first, [owed]);
    await vi.waitFor(() => expect(first.progress()).toMatchObject({ installing: 0, reports: { pending: 1 } }));
    first.change({ install_seconds: 3600 });
    await send(first, [underWay]);
    const results = await send(first, [done, owed, underWay, rejected]);
    await first.close();
    expect(statSync(journal).mode & 0o777).toBe(0o600);
    // The plan of the one under way took an hour; a crash does not change plans, so the test does.
    writeFileSync(journal, readFileSync(journal, 'utf8').replaceAll(/"install_ms":\d{6,}/g, '"install_ms":1'));
    appendFileSync(journal, '{"type":"finished","at":"2026-11-24T10:0');

    const after = await updater();
    const second = await start({ journal, updater_url: after.url, updater_token: 'a' });
    await vi.waitFor(() => expect(second.progress()).toMatchObject({ installing: 0, reports: { pending: 0, delivered: 2 } }), 5000);
    expect(after.reports().map(({ external_id }) => external_id)).toEqual(['S-00002', 'S-00003']);
    for (const externalId of ['S-00001', 'S-00002', 'S-00003']) expect(await runs(second, externalId)).toMatchObject({ version: '2.0.0' });
    expect(await runs(second, 'S-00001')).toMatchObject({ since_dt: before.reports()[0]?.occurred_dt });
    expect(await send(second, [done, owed, underWay, rejected])).toEqual(results);
    await second.close();

    const third = await start({ journal, updater_url: after.url, updater_token: 'a' });
    expect(third.progress()).toEqual({ installing: 0, reports: { pending: 0, delivered: 0, dropped: 0 } });
    expect(await runs(third, 'S-00003')).toMatchObject({ version: '2.0.0' });
  });

  it('a kill -9 in the middle of installations loses none of them', async () => {
    const journal = temporary();
    const [{ url }, receiver] = await Promise.all([fileServer(), updater()]);
    const options = ['--token', 't0ken', '--install-seconds', '0.4', '--journal', journal, '--quiet'];
    const first = await simulatorProcess(options);
    const commands = ids(40).map((external_id) => command({ url, external_id }));
    await send(first, commands);
    await vi.waitFor(() => expect(readFileSync(journal, 'utf8').match(/"finished"/g)?.length).toBeGreaterThan(5), 5000);
    first.process.kill('SIGKILL');
    await once(first.process, 'exit');
    const finished = readFileSync(journal, 'utf8').match(/"finished"/g)?.length;
    expect(finished).toBeLessThan(40);

    const second = await simulatorProcess([...options, '--updater-url', receiver.url, '--updater-token', 'a']);
    await vi.waitFor(() => expect(receiver.reports()).toHaveLength(40), 10_000);
    expect(new Set(receiver.reports().map(({ external_id }) => external_id)).size).toBe(40);
    expect(await send(second, commands)).toEqual(commands.map(({ execution_id }) => ({ execution_id, outcome: 'accepted' })));
    second.process.kill('SIGTERM');
    await once(second.process, 'exit');
  }, 30_000);

  it('refuses a journal that is broken before its last line, and leaves it as it is', async () => {
    const journal = join(temporary(), '..', '..', 'broken.jsonl');
    writeFileSync(journal, 'nonsense\n{"type":"reported","at":"","keys":[],"how":"delivered"}\n');
    await expect(startSimulator({ journal })).rejects.toThrow('broken.jsonl:1: not a line of a simulator journal');
    expect(readFileSync(journal, 'utf8')).toMatch(/^nonsense\n/);
  });
});

describe('close', () => {
  it('ends downloads, installations and reports under way, and may be called twice', async () => {
    const { url } = await fileServer((_, response) => {
      response.write(file.subarray(0, 10)); // and never more
    });
    const receiver = await updater(() => 503);
    const { url: good } = await fileServer();
    const simulator = await start({ updater_url: receiver.url, updater_token: 'a' });
    await send(simulator, [command({ url: good })]);
    await vi.waitFor(() => expect(receiver.calls.length).toBeGreaterThan(1));
    simulator.change({ install_seconds: 3600 });
    await send(simulator, [command({ url, external_id: 'S-01000' })]);
    await send(
      simulator,
      ids(100).map((external_id) => command({ url: good, external_id })),
    );
    const timers = () => process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;
    await vi.waitFor(() => expect(timers()).toBeGreaterThan(100), 5000);
    await Promise.all([simulator.close(), simulator.close()]);
    expect(timers()).toBeLessThan(20);
    await expect(fetch(simulator.url)).rejects.toThrow('fetch failed');
  });
});

describe('lib/ports/scooters-backend.openapi.yaml', () => {
  const document = parse(readFileSync(join(root, 'lib/ports/scooters-backend.openapi.yaml'), 'utf8'));
  const methods = ['get', 'post', 'put', 'patch', 'delete'];
  const operations = Object.entries<Record<string, Operation>>(document.paths).flatMap(([path, item]) =>
    methods.flatMap((method) => (item[method] ? [{ route: `${method.toUpperCase()} ${path}`, operation: item[method] }] : [])),
  );
  interface Operation {
    requestBody?: { content: { 'application/json': { example: unknown } } };
    responses: Record<string, { content: { 'application/json': { schema: { $ref: string }; example: unknown } } }>;
  }

  /** A schema of the document as a zod schema. */
  const schemaOf = ($ref: string) => {
    const text = JSON.stringify({ $ref, $defs: document.components.schemas }).replaceAll('#/components/schemas/', '#/$defs/');
    return z.fromJSONSchema(JSON.parse(text));
  };

  it('names the routes that the simulator has, and no others', async () => {
    const simulator = await start();
    expect(operations.map(({ route }) => route).sort()).toEqual([...simulator.routes].sort());
  });

  it.each(operations)(
    '$route: the examples are valid, and the simulator answers the example as the schema says',
    async ({ route, operation }) => {
      const simulator = await start();
      const [method = '', path = ''] = route.split(' ');
      const answer = await call(simulator, method, path, operation.requestBody?.content['application/json'].example);
      expect(answer.status).toBe(200);
      const response = operation.responses['200']?.content['application/json'];
      const schema = schemaOf(response?.schema.$ref ?? '');
      expect(schema.safeParse(answer.body).error).toBeUndefined();
      expect(schema.safeParse(response?.example).error).toBeUndefined();
      expect(schema.safeParse({}).success).toBe(false);
    },
  );

  it('describes each outcome and each problem as the simulator answers it', async () => {
    const results = schemaOf('#/components/schemas/FirmwareCommandResults');
    for (const rate of ['deferral_rate', 'rejection_rate', 'failure_rate'] as const) {
      const simulator = await start({ [rate]: 1 });
      const body = { results: await send(simulator, [command({ url: 'http://127.0.0.1:9/' })]) };
      expect(results.safeParse(body).error).toBeUndefined();
    }
    const simulator = await start();
    const problem = schemaOf('#/components/schemas/Problem');
    for (const [method, path] of [...operations.map(({ route }) => route.split(' ')), ['GET', '/v1/devices?limit=0']]) {
      const answer = await call(simulator, method ?? '', path ?? '', method === 'GET' ? undefined : {});
      if (answer.status !== 200) expect(problem.safeParse(answer.body).error).toBeUndefined();
    }
  });

  it.each([
    ['FirmwareCommand', 'body.commands.0', '/v1/firmware-commands', (value: unknown) => ({ commands: [value] })],
    ['FirmwareVersionsQuery', 'body', '/v1/firmware-versions', (value: unknown) => value],
  ] as const)('%s: the simulator requires the fields that the file requires', async (name, prefix, path, wrap) => {
    const { errors } = (await call(await start(), 'POST', path, wrap({}))).body as { errors: { field: string }[] };
    const required = document.components.schemas[name].required.map((field: string) => `${prefix}.${field}`);
    expect(errors.map(({ field }) => field).sort()).toEqual(required.sort());
  });
});

describe('npm run simulator', () => {
  it('--help names every option', async () => {
    const { code, stdout } = await run(['--help']);
    expect(code).toBe(0);
    const simulator = await start();
    const names = [
      ...Object.keys(simulator.behaviour()),
      'host',
      'port',
      'token',
      'scooters',
      'cabinets',
      'seed',
      'journal',
      'updater_url',
    ];
    for (const name of names) expect(stdout).toContain(`--${name.replaceAll('_', '-')}`);
  });

  it.each([
    [['--bogus'], '--bogus'],
    [['--port', 'x'], '--port must be a number'],
    [['--failure-rate', '2'], '--failure-rate'],
    [['--outage', 'maybe'], '--outage'],
    [['--scooters', '1.5'], '--scooters'],
    [['--updater-url', 'http://127.0.0.1:9'], '--updater-token'],
  ])('%j: exits with 2 and says what is wrong', async (args, message) => {
    const { code, stderr } = await run(args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });

  it('prints its address and the token it made up, answers, and Ctrl-C stops it', async () => {
    const simulator = await simulatorProcess(['--scooters', '3', '--cabinets', '1']);
    const token = /token: (\S+)/.exec(simulator.stdout())?.[1];
    const { body } = await call(simulator, 'GET', '/v1/devices', undefined, { authorization: `Bearer ${token}` });
    expect(body.items).toHaveLength(4);
    simulator.process.kill('SIGINT');
    expect(await once(simulator.process, 'exit')).toEqual([0, null]);
  });
});

function rules(changes: Partial<SimulatorOptions>) {
  const device = createFleet({ scooters: 1, cabinets: 0 }).at(0);
  const none = { failure_rate: 0, deferral_rate: 0, silent_rate: 0, lie_rate: 0, rejection_rate: 0, slow_ms: 0, install_seconds: 6 };
  const rest = { deferral_min_seconds: 5, deferral_max_seconds: 15, outage: 'off' as const, report_progress: false };
  const someCommand = { kind: 'scooter' as const, ...command({ url: 'http://127.0.0.1/' }) };
  return { device, behaviour: { ...none, ...rest, ...changes }, someCommand };
}

function spawnSimulator(args: string[]) {
  const child: ChildProcess = spawn(process.execPath, [join(root, 'dev/simulator/main.ts'), ...args], {
    env: { PATH: process.env['PATH'] },
  });
  const output = { stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk) => {
    output.stdout += chunk;
  });
  child.stderr?.on('data', (chunk) => {
    output.stderr += chunk;
  });
  cleanups.push(() => child.kill('SIGKILL'));
  return { child, output };
}

async function run(args: string[]) {
  const { child, output } = spawnSimulator(args);
  const [code] = await once(child, 'close');
  return { code, ...output };
}

async function simulatorProcess(args: string[]) {
  const { child, output } = spawnSimulator(args);
  const url = await vi.waitFor(() => {
    const [, found] = /simulator: (http:\S+)[\s\S]*stops it/.exec(output.stdout) ?? [];
    if (!found) throw new Error(`not started: ${output.stderr}`);
    return found;
  }, 10_000);
  return { url, process: child, stdout: () => output.stdout };
}
