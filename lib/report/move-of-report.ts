import { type ExecutionEvent, type Move, moveOf, reasons } from '../update/execution.ts';
import type { ExecutionMove, ReportedExecution } from '../update/move-executions.ts';
import { isEnded } from '../update/update-status.ts';
import type { Report } from './confirmation.ts';
import { describeMismatch } from './mismatch.ts';

/** An execution after the move that earlier reports of the same batch have led to. */
export const standingAfter = (execution: ReportedExecution, made: ExecutionMove | undefined): ReportedExecution => {
  if (!made) return execution;
  const { to, status = execution.status, event } = made.move;
  const standing = { ...execution, phase: to, status };
  if (event !== 'retried') return standing;
  return { ...standing, attempt: execution.attempt + 1, retries: execution.retries + 1, is_unanswered: false };
};

/**
 * The move that a report leads to, from the execution's stored state, including what earlier reports of the batch have done; undefined: no
 * move, or none beyond theirs.
 */
export const moveOfReport = (
  execution: ReportedExecution,
  before: ExecutionMove | undefined,
  { event, ...report }: Pick<Report, 'version' | 'detail'> & { event: ExecutionEvent },
  now: Date,
): ExecutionMove | undefined => {
  const standing = standingAfter(execution, before);
  const next = moveOf({ ...standing, may_retry: !isEnded(standing.update_status) }, event, now);
  if (!next || (next.from === next.to && (next.status ?? standing.status) === standing.status)) return undefined;
  // If an earlier report of the batch led to another try, that try has not been sent and is no longer needed.
  const earlier = before?.move.event === 'retried' ? undefined : before?.move;
  const move: Move = { ...earlier, ...next, from: execution.phase };
  if (event === 'canceled') move.reason = reasonOfCancel(standing);
  return { id: execution.id, move, detail: detailOf(standing, event, report) };
};

/** The detail of a move. For a device that says it is done but runs another version: the two versions, and then its own words. */
const detailOf = (
  { wanted_version }: ReportedExecution,
  event: ExecutionEvent,
  { version, detail }: Pick<Report, 'version' | 'detail'>,
): string | null => {
  const mismatch = event === 'mismatched' && version !== null ? describeMismatch(wanted_version, version) : null;
  return [mismatch, detail].filter((text) => text).join('\n') || null;
};

/** Why an execution was canceled. A device that stops without being asked has a reason of its own. */
const reasonOfCancel = ({ phase, update_status }: ReportedExecution): string => {
  if (phase !== 'canceling') return reasons.deviceCanceled;
  return update_status === 'CANCELED' ? reasons.updateCanceled : reasons.updateAborted;
};
