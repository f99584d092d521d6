import { type ExecutionEvent, isAtWork } from '../update/execution.ts';
import type { ReportedExecution } from '../update/move-executions.ts';
import type { Report } from './confirmation.ts';
import { isPlausible } from './device-clock.ts';

/** What a report is held against beside its execution. */
export interface Heard {
  /** When the report came. */
  received_dt: Date;
  /** When the device was registered. */
  registered_dt: Date;
}

/** An execution as it stands when a report is judged: the ones before it in its batch have been taken. */
export type Standing = Pick<
  ReportedExecution,
  'wanted_version' | 'queued_dt' | 'sent_dt' | 'installed_dt' | 'phase' | 'attempt' | 'retries' | 'is_unanswered'
>;

type Said = Pick<Report, 'status' | 'version' | 'occurred_dt' | 'execution_id' | 'attempt' | 'source'>;

/**
 * The command that a report which names its execution cannot be older than: without one before it the last one, else only the request
 * itself is certain. undefined: the report may be about anything.
 */
export const askedBefore = ({ execution_id }: Pick<Report, 'execution_id'>, execution: Standing | undefined): Date | undefined => {
  if (execution_id === undefined || !execution || !hasCommand(execution)) return undefined;
  return isFirstTry(execution) && execution.sent_dt ? execution.sent_dt : execution.queued_dt;
};

const isFirstTry = ({ retries }: Standing): boolean => retries === 0;

/** Whether the device has its last command, for all that is known: not while another try waits. */
const hasCommand = ({ phase, is_unanswered, sent_dt }: Standing): boolean =>
  sent_dt !== null && (isAtWork(phase) || (is_unanswered && phase !== 'ended'));

/**
 * Whether a report is about the command that the device was given last. It may say so (`attempt`); else it has to be later than that command
 * was sent, but for the first one, before which nobody could name the execution. A time that cannot be right counts as the moment in which
 * the report came.
 */
const isAboutLastTry = (said: Said, execution: Standing, heard: Heard): boolean => {
  const { occurred_dt, execution_id, attempt, source } = said;
  const isNamedFirst = execution_id !== undefined && attempt === undefined && isFirstTry(execution);
  // The backend may say so of a device before it is asked; a device that polls has to have come for it.
  if (isNamedFirst && (source !== 'feedback' || hasCommand(execution))) return true;
  const { sent_dt } = execution;
  if (sent_dt === null || !hasCommand(execution)) return false;
  if (attempt !== undefined) return attempt === execution.attempt;
  return occurred_dt >= sent_dt || !isPlausible({ ...said, ...heard, asked_dt: askedBefore(said, execution) });
};

const isDone = ({ status, version }: Said, { wanted_version }: Standing): boolean => status === 'SUCCEEDED' && version === wanted_version;

/** Whether a device says itself that it has done what it was asked for last: nothing known is newer than that. */
export const isAnswer = (said: Said, execution: Standing, heard: Heard): boolean =>
  said.source !== 'observation' && isDone(said, execution) && hasCommand(execution) && isAboutLastTry(said, execution, heard);

const eventOfStatus = {
  SUCCEEDED: 'mismatched',
  FAILED: 'failed',
  REJECTED: 'declined',
  IN_PROGRESS: 'started',
  INSTALLED: 'installed',
  CANCELED: 'canceled',
  CANCEL_REFUSED: 'cancel_refused',
} as const satisfies Record<Report['status'], ExecutionEvent>;

/**
 * What a report means for the execution it is about; undefined: nothing.
 *
 * A device that runs the version wanted needs nothing more, whenever it says so. Everything else counts only for the try it is about: what
 * is said of an earlier one, again or late, is no answer to the last command.
 */
export const eventOf = (
  said: Said,
  execution: Standing,
  heard: Heard,
  /** Whether the device runs the version that the report names, for all that is known after it. */
  isCurrent: boolean,
  /** The version that the device was known to run before this report; undefined: none. */
  before: string | undefined,
): ExecutionEvent | undefined => {
  const { status, version, source, occurred_dt, execution_id } = said;
  if (isDone(said, execution)) return isCurrent ? 'proven' : undefined;
  // A device that was asked may not have begun: only its own word can end an execution without the version wanted.
  if (source === 'observation') return undefined;
  if (source === 'config_data') {
    // A device tells its version whenever it likes: another one is an answer only after it has said that it is done.
    if (execution.installed_dt === null || occurred_dt < execution.installed_dt) return undefined;
    // Nor while it may not have been restarted yet (rauc-hawkbit-updater closes before): until the deadline, which is the judge of it.
    if (before === undefined || version === before) return undefined;
  }
  // It ends nothing, and its command may be one whose answer is missing.
  if (status === 'IN_PROGRESS' && execution_id !== undefined) return 'started';
  return isAboutLastTry(said, execution, heard) ? eventOfStatus[status] : undefined;
};
