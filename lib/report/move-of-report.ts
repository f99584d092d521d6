import { type ExecutionEvent, type Move, moveOf, reasons } from '../update/execution.ts';
import type { ExecutionMove, ReportedExecution } from '../update/move-executions.ts';
import { isEnded } from '../update/update-status.ts';
import type { Report } from './confirmation.ts';
import { describeMismatch } from './mismatch.ts';

/** An execution as it stands after the move that the reports before have made of it in the same batch. */
export const standingAfter = (execution: ReportedExecution, made: ExecutionMove | undefined): ReportedExecution => {
  if (!made) return execution;
  const { to, status = execution.status, event } = made.move;
  const standing = { ...execution, phase: to, status };
  if (event !== 'retried') return standing;
  return { ...standing, attempt: execution.attempt + 1, retries: execution.retries + 1, is_unanswered: false };
};

/**
 * The move that a report makes of an execution, from where it is stored to where it leads beyond the move before; undefined: none, or one that
 * has been made.
 */
export const moveOfReport = (
  execution: ReportedExecution,
  before: ExecutionMove | undefined,
  event: ExecutionEvent,
  report: Pick<Report, 'version' | 'detail'>,
  now: Date,
): ExecutionMove | undefined => {
  const standing = standingAfter(execution, before);
  const next = moveOf({ ...standing, may_retry: !isEnded(standing.update_status) }, event, now);
  if (!next || (next.from === next.to && (next.status ?? standing.status) === standing.status)) return undefined;
  // Another try that is needed no more was none.
  const earlier = before?.move.event === 'retried' ? undefined : before?.move;
  const move: Move = { ...earlier, ...next, from: execution.phase };
  if (event === 'canceled') move.reason = reasonOfCancel(standing);
  return { id: execution.id, move, detail: detailOf(standing, event, report) };
};

/** Of a device that says it is done and runs another version: which of the two it is, and then its own words. */
const detailOf = (
  { wanted_version }: ReportedExecution,
  event: ExecutionEvent,
  { version, detail }: Pick<Report, 'version' | 'detail'>,
): string | null => {
  const mismatch = event === 'mismatched' && version !== null ? describeMismatch(wanted_version, version) : null;
  return [mismatch, detail].filter((text) => text).join('\n') || null;
};

/** A device that stops without having been asked to has reasons of its own. */
const reasonOfCancel = ({ phase, update_status }: ReportedExecution): string => {
  if (phase !== 'canceling') return reasons.deviceCanceled;
  return update_status === 'CANCELED' ? reasons.updateCanceled : reasons.updateAborted;
};
