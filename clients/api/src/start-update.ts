import type { Client } from './client.ts';
import type { DryRun, RequestUpdateBody, RequestUpdateHeaders, Update } from './generated.ts';

export type UpdateRequest = Omit<RequestUpdateBody, 'dry_run'>;

/**
 * Requests an update. The key makes it safe to repeat: the same request with the same key is the same update. Without a key of the caller's
 * one is made, for repetitions after a lost answer.
 *
 * @throws ApiProblem, for example `update.nothing_eligible` (422).
 */
export const startUpdate = (
  client: Client,
  request: UpdateRequest,
  { idempotencyKey = crypto.randomUUID(), signal }: { idempotencyKey?: string; signal?: AbortSignal } = {},
): Promise<Update> => {
  const headers: RequestUpdateHeaders = { 'idempotency-key': idempotencyKey };
  return client.requestUpdate({ ...request, dry_run: false }, headers, signal ? { signal } : {}) as Promise<Update>;
};

/** Who would be updated, and why others would not. Changes nothing. */
export const planUpdate = (client: Client, request: UpdateRequest): Promise<DryRun> =>
  client.requestUpdate({ ...request, dry_run: true }) as Promise<DryRun>;
