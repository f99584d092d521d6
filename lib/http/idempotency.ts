import { createHash } from 'node:crypto';
import * as z from 'zod/mini';

/** The header that identifies a request which is sent again because its answer was lost. */
export const IdempotencyHeaders = z.object({
  'idempotency-key': z
    .optional(z.string().check(z.regex(/^[\x21-\x7e]{1,255}$/, 'must have 1 to 255 visible ASCII characters')))
    .check(z.meta({ description: 'Chosen by the caller, for example a UUID; remembered for as long as what it started' })),
});

/** Hashes a request after its defaults are filled in, with sorted keys, so that the way in which a caller writes it does not matter. */
export const hashOf = (request: unknown): string => createHash('sha256').update(JSON.stringify(request, sortKeys)).digest('hex');

const sortKeys = (_key: string, value: unknown): unknown =>
  value !== null && typeof value === 'object' && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value;

/** Reads a kept answer from its JSON; times become dates again. undefined for null: the answer was not kept. */
export const readAnswer = <Answer>(json: string | null): Answer | undefined =>
  json === null
    ? undefined
    : (JSON.parse(json, (key, value: unknown) => (key.endsWith('_dt') && typeof value === 'string' ? new Date(value) : value)) as Answer);
