import type * as z from 'zod/mini';
import type { Scope } from './authenticate.ts';

type Shape = z.ZodMiniObject | undefined;

/**
 * One operation of the API. `endpoint` checks exactly what the OpenAPI document says, because both read this definition.
 *
 * A route is defined in `functions/<name>/routes.ts`, apart from the handler, so that the document needs no handler's dependencies.
 */
export interface Route<
  Path extends Shape = Shape,
  Query extends Shape = Shape,
  Headers extends Shape = Shape,
  Body extends z.ZodMiniType | undefined = z.ZodMiniType | undefined,
> {
  /** The operation's name in generated clients: a verb and its object in camel case; unique, and never changed. */
  operationId: string;
  method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** As in serverless.yml, for example `/v1/firmwares/{id}`. */
  path: string;
  summary: string;
  description?: string;
  tag: 'Firmwares' | 'Assemblies' | 'Devices' | 'Fleet' | 'Updates' | 'Device protocol' | 'Service';
  /** The scope that a JWT needs; `device`: the token of a device, which permits only its own work; null: open to everybody. */
  scope: Scope | typeof deviceScope | null;
  pathParameters?: Path;
  query?: Query;
  headers?: Headers;
  body?: Body;
  /** Longer bodies are refused with 413 before they are parsed. Default {@link defaultMaximumBodyBytes}. */
  maximumBodyBytes?: number;
  /** By status. */
  responses: Readonly<Record<number, RouteResponse>>;
  /** Problem statuses beside those that every route can answer. */
  problems?: readonly number[];
}

export interface RouteResponse {
  description: string;
  /** `null` for an answer that is not JSON. */
  body: z.ZodMiniType | null;
  /** Its content type where it is not JSON. */
  contentTypes?: readonly string[];
  /** What the `Location` header leads to; missing: the answer has no such header. */
  location?: string;
}

export const deviceScope = 'device';

export const defaultMaximumBodyBytes = 64 * 1024;

type Parsed<T> = T extends z.ZodMiniType ? z.output<T> : undefined;

export interface RouteRequest<R extends Route> {
  path: Parsed<R['pathParameters']>;
  query: Parsed<R['query']>;
  headers: Parsed<R['headers']>;
  body: Parsed<R['body']>;
  requestId: string;
  /** The address at which this caller reaches the API, without a slash at the end; absolute links in answers begin with it. */
  apiUrl: string;
}

/** Keeps the literal types of a route's schemas. */
export const defineRoute = <const R extends Route>(route: R): R => route;
