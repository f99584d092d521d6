import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { JSONWebKeySet } from 'jose';
import { z } from 'zod';
import type { Root } from './author-verifier.ts';
import { type Backend, createBackend } from './backend.ts';
import { Behaviour } from './behaviour.ts';
import { CommandsRequest, DevicesQuery, invalid, Kind, Problem, parse, VersionsRequest } from './contract.ts';
import { authenticate, findRoute, readJson, sendJson, sendProblem } from './http.ts';
import type { Token } from './reporter.ts';

export type { Behaviour } from './behaviour.ts';
export type { Token } from './reporter.ts';

export interface SimulatorOptions extends Partial<Behaviour> {
  /** 0, the default, is any free port. */
  port?: number | undefined;
  host?: string | undefined;
  /** The bearer token every call must carry; made up when absent. */
  token?: string | undefined;
  scooters?: number | undefined;
  cabinets?: number | undefined;
  /** With the same seed, ids and rates the decisions are the same. */
  seed?: number | undefined;
  /** The keys with which devices check the manifests of commands; without them they check none. */
  manifest_keys?: JSONWebKeySet | undefined;
  /** Which authors devices believe; without it the service's word is enough. */
  author_root?: Root | undefined;
  /** File that makes the simulator survive a kill -9; without it everything is in memory. */
  journal?: string | undefined;
  /** Where reports go; may come later through `reportTo`. Both or neither. */
  updater_url?: string | undefined;
  updater_token?: Token | undefined;
  now?: (() => Date) | undefined;
  log?: ((fields: Record<string, unknown>) => void) | undefined;
  /** Pause between two calls that report, 250 by default. */
  flush_ms?: number | undefined;
  /** First delay after a failed report or download, 250 by default; it doubles. */
  retry_ms?: number | undefined;
}

/** A call to POST /v1/firmware-commands. A `status` of 0 is a call that was left hanging. */
export interface CommandCall {
  at: string;
  count: number;
  status: number;
}

export type Simulator = Awaited<ReturnType<typeof startSimulator>>;

const FleetOptions = z.object({
  scooters: z.int().min(0).max(9_999_999).default(1000),
  cabinets: z.int().min(0).max(9_999_999).default(20),
  seed: z.int().default(1),
});

/** The record of calls forgets the oldest beyond this. */
const maximumCalls = 10_000;
const retryAfterSeconds = '2';

interface Call {
  request: IncomingMessage;
  url: URL;
  params: string[];
  /** The JSON body, for methods that have one. */
  body: unknown;
}
/** What is answered, by "METHOD /path". */
type Routes = Record<string, (call: Call) => unknown>;

/** The contract: these meet outages and slowness, and are what lib/ports/scooters-backend.openapi.yaml describes. */
const contractOf = (backend: Backend): Routes => ({
  'POST /v1/firmware-commands': ({ request, body }) => {
    requireIdempotencyKey(request);
    return { results: backend.commands(parse(CommandsRequest, body, 'body').commands) };
  },
  'POST /v1/firmware-versions': ({ request, body }) => {
    requireIdempotencyKey(request);
    const { kind, external_ids } = parse(VersionsRequest, body, 'body');
    return backend.versions(kind, external_ids);
  },
  'GET /v1/devices': ({ url }) => {
    const { cursor, limit } = parse(DevicesQuery, Object.fromEntries(url.searchParams), 'query');
    const { items, next } = backend.page(cursor === undefined ? 0 : fromCursor(cursor), limit);
    return { items, next_cursor: next === undefined ? null : toCursor(next) };
  },
});

/** For tests and people. */
const controlsOf = (backend: Backend, commandLog: () => unknown): Routes => ({
  'GET /simulator/behaviour': () => backend.behaviour(),
  'PATCH /simulator/behaviour': ({ body }) => {
    try {
      return backend.change(body);
    } catch (error) {
      throw error instanceof z.ZodError ? invalid(error, 'body') : error;
    }
  },
  'GET /simulator/commands': () => commandLog(),
  'GET /simulator/progress': () => backend.progress(),
  'GET /simulator/devices/{kind}/{external_id}': ({ params: [kind, externalId = ''] }) => {
    const device = backend.device(parse(Kind, kind, 'path'), externalId);
    if (!device) throw new Problem(404, 'device.not_found', 'There is no such device.');
    return device;
  },
});

/** Starts a simulated scooters-backend with its fleet. Rejects when the port is taken or an option is wrong. */
export async function startSimulator(options: SimulatorOptions = {}) {
  const { host = '127.0.0.1', token = randomBytes(24).toString('base64url'), now = () => new Date(), log = () => {} } = options;
  const backend = createBackend({
    ...FleetOptions.parse(options),
    behaviour: Behaviour.parse(options),
    journal: options.journal,
    manifestKeys: options.manifest_keys,
    authorRoot: options.author_root,
    now,
    log,
    flushMs: options.flush_ms ?? 250,
    retryMs: options.retry_ms ?? 250,
  });
  const calls: CommandCall[] = [];
  const commandLog = () => ({ calls: [...calls], ...backend.counts() });

  const contract = contractOf(backend);
  const controls = controlsOf(backend, commandLog);

  async function answer(request: IncomingMessage, record: { count: number }): Promise<unknown> {
    authenticate(request, token);
    const url = new URL(request.url ?? '/', 'http://simulator');
    const { route, params } = findRoute({ ...contract, ...controls }, request.method ?? '', url.pathname);
    const body = request.method === 'GET' ? undefined : await readJson(request);
    record.count = countOf(body);
    const call = { request, url, params, body };
    const control = controls[route];
    if (control) return control(call);
    const { outage, slow_ms } = backend.behaviour();
    if (outage === 'hang') return hanging;
    if (outage !== 'off') throw outages[outage]();
    try {
      return contract[route]?.(call);
    } finally {
      if (slow_ms > 0) await backend.sleep(slow_ms);
    }
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const at = now().toISOString();
    const started = performance.now();
    const record = { count: 0 };
    const [body, problem] = await answer(request, record).then(
      (value) => [value, undefined] as const,
      (error: unknown) => [undefined, error instanceof Problem ? error : unexpected(error, log)] as const,
    );
    const status = body === hanging ? 0 : (problem?.status ?? 200);
    const path = request.url?.split('?')[0];
    if (request.method === 'POST' && path === '/v1/firmware-commands') {
      calls.push({ at, count: record.count, status });
      if (calls.length > maximumCalls) calls.shift();
    }
    const ms = Math.round(performance.now() - started);
    log({ msg: 'call', method: request.method, path, status, ms, request_id: request.headers['x-request-id'] });
    if (status === 0 || response.destroyed) return;
    if (problem) sendProblem(response, problem);
    else sendJson(response, 200, body, { 'content-type': 'application/json' });
  }

  const server = createServer((request, response) => void handle(request, response));
  try {
    server.listen(options.port ?? 0, host);
    await once(server, 'listening');
  } catch (error) {
    backend.close();
    throw error;
  }
  if (options.updater_url !== undefined && options.updater_token !== undefined)
    backend.reportTo(options.updater_url, options.updater_token);
  let closing: Promise<void> | undefined;

  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${(server.address() as AddressInfo).port}`,
    token,
    /** The routes of the contract, as "METHOD /path". */
    routes: Object.keys(contract),
    /** Sends reports there from now on, also those that have waited. */
    reportTo: backend.reportTo,
    behaviour: backend.behaviour,
    change: (change: Partial<Behaviour>) => backend.change(change),
    commands: commandLog,
    device: backend.device,
    progress: backend.progress,
    /** Stops at once: calls, downloads, installations and reports under way end where they are, as in a crash. */
    close(): Promise<void> {
      closing ??= new Promise((resolve) => {
        backend.close();
        server.close(() => resolve());
        server.closeAllConnections();
      });
      return closing;
    },
  };
}

const hanging = Symbol('no answer');

const outages = {
  '503': () => new Problem(503, 'unavailable', 'The backend is not available.', { headers: { 'retry-after': retryAfterSeconds } }),
  '429': () => new Problem(429, 'too_many_requests', 'Too many calls.', { headers: { 'retry-after': retryAfterSeconds } }),
  '500': () => new Problem(500, 'internal', 'Something went wrong.'),
};

function unexpected(error: unknown, log: (fields: Record<string, unknown>) => void): Problem {
  log({ msg: 'call.failed', error: String(error) });
  return outages['500']();
}

function requireIdempotencyKey(request: IncomingMessage) {
  const key = request.headers['idempotency-key'];
  if (typeof key !== 'string' || key.length < 1 || key.length > 255) {
    const errors = [{ field: 'headers.idempotency-key', message: 'must be 1 to 255 characters' }];
    throw new Problem(400, 'request.invalid', 'The Idempotency-Key header is missing or too long.', { errors });
  }
}

const countOf = (body: unknown): number => {
  const commands = (body as { commands?: unknown } | null | undefined)?.commands;
  return Array.isArray(commands) ? commands.length : 0;
};

const toCursor = (index: number) => Buffer.from(String(index)).toString('base64url');

function fromCursor(cursor: string): number {
  const index = Buffer.from(cursor, 'base64url').toString();
  if (/^\d{1,8}$/.test(index)) return Number(index);
  throw new Problem(400, 'request.invalid', 'The cursor is none of ours.', {
    errors: [{ field: 'query.cursor', message: 'unknown cursor' }],
  });
}
