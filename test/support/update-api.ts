import { createHandler as createControlHandler } from '../../functions/control-update/handler.ts';
import { createHandler as createGetHandler } from '../../functions/get-updates/handler.ts';
import { createHandler as createRequestHandler } from '../../functions/request-update/handler.ts';
import { createHandler as createRetryHandler } from '../../functions/retry-update/handler.ts';
import type { Db } from '../../lib/db/database.ts';
import type { Timeline } from '../../lib/update/timeline.ts';
import type { Update, UpdateDetail } from '../../lib/update/update.ts';
import { silentLog } from './fixtures.ts';
import { type Call, type CallAnswer, call, type Identity } from './http.ts';
import { createSimulatedWalk } from './simulated-walk.ts';

/** What travels: JSON, in which a date is text. */
export type Json<T> = T extends Date
  ? string
  : T extends readonly (infer I)[]
    ? Json<I>[]
    : T extends object
      ? { [K in keyof T]: Json<T[K]> }
      : T;

export interface ProblemBody {
  code: string;
  detail: string;
  errors?: { in: string; path: string; message: string }[];
  [extension: string]: unknown;
}

export interface ControlBody {
  changed: boolean;
  canceled: number;
  update: Json<Update>;
}

type Options = Partial<Pick<Call, 'body' | 'headers' | 'query' | 'token'>>;

/** The routes of updates over an engine in simulated time; every answer is held against the OpenAPI document. */
export const createUpdateApi = async (db: Db, identity: Identity) => {
  const walk = createSimulatedWalk(db);
  const token = await identity.token({ subject: 'admin@example.org' });
  const deps = { ...walk.deps, authenticate: identity.authenticate, log: silentLog };
  const [request, control, retry, get] = [
    createRequestHandler(deps),
    createControlHandler(deps),
    createRetryHandler(deps),
    createGetHandler(deps),
  ];
  const pathOf = (id: number | string) => ({ pathParameters: { id: String(id) } });
  return {
    ...walk,
    token,
    create: <Body = Json<Update>>(body: unknown, options: Options = {}): Promise<CallAnswer<Body>> =>
      call<Body>(request, { method: 'POST', path: '/v1/updates', token, body, ...options }),
    control: <Body = ControlBody>(
      action: 'cancel' | 'pause' | 'resume',
      id: number | string,
      options: Options = {},
    ): Promise<CallAnswer<Body>> =>
      call<Body>(control, { method: 'POST', path: `/v1/updates/{id}/${action}`, ...pathOf(id), token, ...options }),
    changePace: <Body = ControlBody>(id: number | string, body: unknown, options: Options = {}): Promise<CallAnswer<Body>> =>
      call<Body>(control, { method: 'PATCH', path: '/v1/updates/{id}', ...pathOf(id), token, body, ...options }),
    retry: <Body = Json<Update>>(id: number | string, options: Options = {}): Promise<CallAnswer<Body>> =>
      call<Body>(retry, { method: 'POST', path: '/v1/updates/{id}/retry', ...pathOf(id), token, ...options }),
    get: <Body = Json<UpdateDetail>>(id: number | string, options: Options = {}): Promise<CallAnswer<Body>> =>
      call<Body>(get, { method: 'GET', path: '/v1/updates/{id}', ...pathOf(id), token, ...options }),
    timeline: <Body = Json<Timeline>>(id: number | string, query: Record<string, string> = {}): Promise<CallAnswer<Body>> =>
      call<Body>(get, { method: 'GET', path: '/v1/updates/{id}/timeline', ...pathOf(id), query, token }),
    listExecutions: <Body = { items: Record<string, unknown>[]; next_cursor: string | null }>(
      id: number | string,
      query: Record<string, string> = {},
    ): Promise<CallAnswer<Body>> => call<Body>(get, { method: 'GET', path: '/v1/updates/{id}/executions', ...pathOf(id), query, token }),
    listExclusions: <Body = { items: Record<string, unknown>[]; next_cursor: string | null }>(
      id: number | string,
      query: Record<string, string> = {},
    ): Promise<CallAnswer<Body>> => call<Body>(get, { method: 'GET', path: '/v1/updates/{id}/exclusions', ...pathOf(id), query, token }),
    listOfDevice: <Body = { items: Record<string, unknown>[]; next_cursor: string | null }>(
      external_id: string,
      query: Record<string, string> = {},
    ): Promise<CallAnswer<Body>> =>
      call<Body>(get, { method: 'GET', path: '/v1/scooters/{external_id}/updates', pathParameters: { external_id }, query, token }),
  };
};
