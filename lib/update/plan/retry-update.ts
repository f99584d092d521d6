import type { Db } from '../../db/database.ts';
import { DomainError } from '../../errors.ts';
import { wakeUpdate } from '../reach/wake-update.ts';
import { findRetryable } from '../shown-update-queries.ts';
import type { Update } from '../update.ts';
import { lockUpdate } from '../update-queries.ts';
import { UpdateRequest } from '../update-request.ts';
import { requestedCanary } from './canary.ts';
import { type RequestUpdateDeps, requestUpdate } from './request-update.ts';

export interface RetryUpdate {
  comment: string;
  idempotency_key: string | undefined;
  created_by: string;
  request_id: string;
}

/**
 * Tries the failed devices of an ended update again: a new update, which refers to the old one and has the same settings.
 *
 * @throws `update.not_found`, `update.not_ended`, and what `requestUpdate` throws; `update.nothing_eligible` when nothing has failed.
 */
export async function retryUpdate(deps: RequestUpdateDeps & { db: Db }, id: number, { comment, ...request }: RetryUpdate): Promise<Update> {
  const old = await findRetryable(deps.db, id, deps.now());
  if (!old) throw new DomainError('update.not_found', `There is no update ${id}`);
  if (!old.finished_dt) {
    await deps.db.transaction().execute(async (trx) => {
      const locked = await lockUpdate(trx, id);
      if (locked) await wakeUpdate(trx, deps.advances, locked, deps.now());
    });
    throw new DomainError('update.not_ended', `Update ${id} has not ended: it is ${old.status}`);
  }
  const { rollout, abort, timeouts, retry, window, ignore_window, allow_downgrade, force, unknown_version } = old;
  const settings = UpdateRequest.parse({
    firmware_id: old.firmware_id,
    targets: { filter: { kind: old.kind, failed_in_update_id: id } },
    rollout,
    canary: old.canary && requestedCanary(old.canary),
    abort,
    timeouts,
    retry,
    window,
    ignore_window,
    allow_downgrade,
    force,
    unknown_version,
    comment: comment || `Retry of update ${id}`,
  });
  return requestUpdate(deps, { ...settings, ...request, retry_of_update_id: id });
}
