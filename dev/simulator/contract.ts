import { z } from 'zod';

// lib/ports/scooters-backend.openapi.yaml as schemas. test/dev/simulator/simulator.test.ts checks that both agree.

export const Kind = z.enum(['scooter', 'cabinet']);
export type Kind = z.infer<typeof Kind>;

const ExternalId = z.string().min(1).max(128);

export const Command = z.object({
  execution_id: z.int().min(1).max(2_147_483_647),
  attempt: z.int().min(1).max(2_147_483_647),
  kind: Kind.default('scooter'),
  external_id: ExternalId,
  hardware_type: z.string().min(1).max(64),
  version: z.string().min(1).max(64),
  url: z.url({ protocol: /^https?$/ }).max(8192),
  sha256: z.string().regex(/^[0-9a-f]{64}$/i, 'must be 64 hexadecimal digits'),
  size_bytes: z.int().min(1),
  expires_dt: z.iso.datetime({ offset: true }),
  manifest: z.string().min(1).max(65_536),
});
export type Command = z.infer<typeof Command>;

export const CommandsRequest = z.object({ commands: z.array(Command).min(1).max(100) });

export type Outcome =
  | { outcome: 'accepted' }
  | { outcome: 'deferred'; reason: string; retry_after_seconds: number }
  | { outcome: 'rejected'; reason: string };
export type CommandResult = { execution_id: number } & Outcome;

export const VersionsRequest = z.object({ kind: Kind.default('scooter'), external_ids: z.array(ExternalId).min(1).max(1000) });

export interface DeviceVersions {
  external_id: string;
  version: number | null;
  firmwares: { hardware_type: string; version: string; since_dt: string; observed_dt: string }[];
}

export const DevicesQuery = z.object({
  cursor: z.string().max(64).optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
});

/** What is sent to POST /v1/confirmations of the updater. */
export interface Confirmation {
  kind: Kind;
  external_id: string;
  hardware_type: string;
  version: string;
  status: 'IN_PROGRESS' | 'SUCCEEDED' | 'FAILED' | 'REJECTED';
  occurred_dt: string;
  execution_id: number;
  attempt: number;
  detail?: string;
}

/** An answer with a status other than 200. The message is for the caller. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly errors: { field: string; message: string }[];
  readonly headers: Record<string, string>;

  constructor(
    status: number,
    code: string,
    message: string,
    { errors = [], headers = {} }: { errors?: { field: string; message: string }[]; headers?: Record<string, string> } = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.errors = errors;
    this.headers = headers;
  }
}

/** Parses, or throws a 400 that names every wrong field. */
export function parse<S extends z.ZodType>(schema: S, value: unknown, where: 'body' | 'query' | 'path'): z.output<S> {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw invalid(parsed.error, where);
  return parsed.data;
}

export const invalid = (error: z.ZodError, where: string) =>
  new Problem(400, 'request.invalid', 'The request is not well-formed; nothing was changed.', {
    errors: error.issues.map(({ path, message }) => ({ field: [where, ...path].map(String).join('.'), message })),
  });
