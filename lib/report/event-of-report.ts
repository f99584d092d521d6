import { type ExecutionEvent, isAtWork } from '../update/execution.ts';
import type { ReportedExecution } from '../update/move-executions.ts';
import type { Report } from './confirmation.ts';
import { isPlausible } from './device-clock.ts';

/** Times with which a report is compared, in addition to those of its execution. */
export interface Heard {
  /** When the report came. */
  received_dt: Date;
  /** When the device was registered. */
  registered_dt: Date;
}

/** An execution when a report is judged: the earlier reports of the same batch have been applied to it. */
export type Standing = Pick<
  ReportedExecution,
  'wanted_version' | 'queued_dt' | 'sent_dt' | 'installed_dt' | 'phase' | 'attempt' | 'retries' | 'is_unanswered'
>;

type Said = Pick<Report, 'status' | 'version' | 'occurred_dt' | 'execution_id' | 'attempt' | 'source'>;

/**
 * The earliest time that a report can have if it names its execution: the time of the command, if there was only one, else the time of the
 * update's request. undefined: the report may be about anything.
 */
export const askedBefore = ({ execution_id }: Pick<Report, 'execution_id'>, execution: Standing | undefined): Date | undefined => {
  if (execution_id === undefined || !execution || !hasCommand(execution)) return undefined;
  return isFirstTry(execution) && execution.sent_dt ? execution.sent_dt : execution.queued_dt;
};

const isFirstTry = ({ retries }: Standing): boolean => retries === 0;

/** Whether the device has its last command, as far as is known; not while another try waits. */
const hasCommand = ({ phase, is_unanswered, sent_dt }: Standing): boolean =>
  sent_dt !== null && (isAtWork(phase) || (is_unanswered && phase !== 'ended'));

/**
 * Whether a report is about the last command that the device got. The report may say so (`attempt`); otherwise it has to be later than that
 * command. If that was the first command, naming the execution is enough, because the command is what first tells the device its id. A time that cannot be right
 * counts as the moment when the report came.
 */
const isAboutLastTry = (said: Said, execution: Standing, heard: Heard): boolean => {
  const { occurred_dt, execution_id, attempt, source } = said;
  const isNamedFirst = execution_id !== undefined && attempt === undefined && isFirstTry(execution);
  // The backend may report about an execution before the command is noted as sent; a device that polls must have taken its offer.
  if (isNamedFirst && (source !== 'feedback' || hasCommand(execution))) return true;
  const { sent_dt } = execution;
  if (sent_dt === null || !hasCommand(execution)) return false;
  if (attempt !== undefined) return attempt === execution.attempt;
  return occurred_dt >= sent_dt || !isPlausible({ ...said, ...heard, asked_dt: askedBefore(said, execution) });
};

const isDone = ({ status, version }: Said, { wanted_version }: Standing): boolean => status === 'SUCCEEDED' && version === wanted_version;

/** Whether a device says that it has done what it was asked for last. Then nothing that is known is newer than this report. */
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

/** What the device is known to run. */
export interface KnownToRun {
  /** Whether it runs the version that the report names, by all that is known after the report. */
  isCurrent: boolean;
  /** The version that it was known to run before this report; undefined: none. */
  before: string | undefined;
}

/**
 * What a report means for the execution it is about; undefined: nothing.
 *
 * Proof that the device runs the version wanted counts whenever it comes. Everything else counts only if it is about the last try: a report
 * about an earlier try that comes again, or late, is no answer to the last command.
 */
export const eventOf = (said: Said, execution: Standing, heard: Heard, { isCurrent, before }: KnownToRun): ExecutionEvent | undefined => {
  const { status, version, source, occurred_dt, execution_id } = said;
  if (isDone(said, execution)) return isCurrent ? 'proven' : undefined;
  // A device that was asked may not have begun yet, so an observation of another version ends nothing; only the device's own word does.
  if (source === 'observation') return undefined;
  if (source === 'config_data') {
    // A device tells its version at any time: another version is an answer only after the device has said that it is done.
    if (execution.installed_dt === null || occurred_dt < execution.installed_dt) return undefined;
    // The old version is no answer either: the device may not have restarted yet (rauc-hawkbit-updater closes before). The deadline decides.
    if (before === undefined || version === before) return undefined;
  }
  // IN_PROGRESS ends nothing, so it counts even if the backend's answer to the command is missing.
  if (status === 'IN_PROGRESS' && execution_id !== undefined) return 'started';
  return isAboutLastTry(said, execution, heard) ? eventOfStatus[status] : undefined;
};
