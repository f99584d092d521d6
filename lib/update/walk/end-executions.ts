import type { Trx } from '../../db/database.ts';
import { reasons } from '../execution.ts';
import { heardSince, type Outages } from '../outage.ts';
import type { LockedUpdate } from '../update-queries.ts';
import { isEnded, isRunning } from '../update-status.ts';
import { cancelExecutions, maximumCanceledByStep } from './cancel-queries.ts';
import { expireExecutions } from './deadline-queries.ts';

/** A device that keeps saying that it is at work is given up after this many times the deadline. */
const longestProgress = 10;

/**
 * Ends what is overdue. The time in the queue counts from the start of the update, or for devices that were taken in later from that moment, without
 * the time in which the update was paused. No deadline runs while devices could not be heard (outage.ts).
 */
export const expireOverdue = async (
  trx: Trx,
  update: LockedUpdate,
  started_dt: Date | null,
  { outages, pauses }: Outages,
  now: Date,
): Promise<void> => {
  const { id, status, queued_minutes, in_progress_minutes, number_of_retries, retry_failure_types, paused_seconds } = update;
  // Only the release before pauses were noted as intervals wrote `paused_seconds`.
  const queuedBefore = heardSince(now, queued_minutes * 60 + paused_seconds, [...outages, ...pauses]);
  await expireExecutions(
    trx,
    id,
    {
      // What still waits in an update that was stopped is canceled.
      queuedBefore: started_dt !== null && isRunning(status) && started_dt <= queuedBefore ? queuedBefore : null,
      sentBefore: heardSince(now, in_progress_minutes * 60, outages),
      givenUpBefore: heardSince(now, in_progress_minutes * 60 * longestProgress, outages),
      in_progress_minutes,
      mayRetry: !isEnded(status),
      number_of_retries,
      retry_failure_types,
    },
    now,
  );
};

const reasonOfEnd = ({ status, firmware_status, cancels_all }: LockedUpdate): string => {
  if (status === 'CANCELED' || cancels_all) return reasons.updateCanceled;
  return firmware_status === 'withdrawn' ? reasons.firmwareWithdrawn : reasons.updateAborted;
};

/** Ends waiting executions of a stopped update, one batch per step, and answers whether others are left. */
export const cancelWaiting = async (trx: Trx, update: LockedUpdate, now: Date): Promise<boolean> => {
  const which = update.cancels_all ? 'all' : 'unasked';
  const cancel = { update_id: update.id, which, reason: reasonOfEnd(update), limit: maximumCanceledByStep, now } as const;
  return (await cancelExecutions(trx, cancel)).isMore;
};
