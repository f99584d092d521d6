import * as z from 'zod/mini';
import { addSeconds } from '../clock.ts';

export const executionStatuses = ['QUEUED', 'IN_PROGRESS', 'SUCCEEDED', 'FAILED', 'TIMED_OUT', 'REJECTED', 'CANCELED', 'REMOVED'] as const;
export type ExecutionStatus = (typeof executionStatuses)[number];
/** How many executions have each status. */
export const ExecutionCounts = z.object({
  QUEUED: z.int(),
  IN_PROGRESS: z.int(),
  SUCCEEDED: z.int(),
  FAILED: z.int(),
  TIMED_OUT: z.int(),
  REJECTED: z.int(),
  CANCELED: z.int(),
  REMOVED: z.int(),
} satisfies Record<ExecutionStatus, unknown>);
/** Zero of each status: a query answers only the statuses that occur. */
export const noCounts = () => Object.fromEntries(executionStatuses.map((status) => [status, 0])) as Record<ExecutionStatus, number>;

export const isUnfinished = (status: ExecutionStatus): boolean => status === 'QUEUED' || status === 'IN_PROGRESS';

/**
 * The phase of an execution: the service acts by it, while the status is what API users see. The phase also says which columns are set;
 * PostgreSQL checks this (`update_executions_phase_check`):
 *
 * | phase     | status                  | meaning                                                                        |
 * | --------- | ----------------------- | ------------------------------------------------------------------------------ |
 * | waiting   | QUEUED, or another try  | nobody has it: it waits for its turn, and not before `next_attempt_dt`         |
 * | released  | QUEUED, or another try  | it is in a chunk that nobody has taken to the backend (`dispatch_id`)          |
 * | calling   | QUEUED, or another try  | a call to the backend about it has begun (`sent_dt`), and has no answer yet    |
 * | offered   | QUEUED, or another try  | a device that polls is shown it at its next poll (`dispatch_id`)               |
 * | asked     | IN_PROGRESS             | the device is asked, and may be at work (`sent_dt`)                            |
 * | canceling | IN_PROGRESS             | the same, and a device that polls is shown that it should stop                 |
 * | installed | IN_PROGRESS             | the device says that it has installed it (`installed_dt`); not yet proof       |
 * | ended     | any other               | nothing changes it any more (`finished_dt`)                                    |
 */
export const phases = ['waiting', 'released', 'calling', 'offered', 'asked', 'canceling', 'installed', 'ended'] as const;
export type Phase = (typeof phases)[number];

/** The device is asked, and its deadline runs. */
export const isAtWork = (phase: Phase): boolean =>
  phase === 'calling' || phase === 'asked' || phase === 'canceling' || phase === 'installed';

/**
 * What can happen to an execution:
 *
 * | event            | meaning                                                      | told by                                  |
 * | ---------------- | ------------------------------------------------------------ | ---------------------------------------- |
 * | released         | the pace lets it be handed to the backend                    | advance-update                           |
 * | claimed          | its chunk is taken to the backend, once more after a crash   | dispatch-update                          |
 * | withheld         | its chunk is put back without a call                         | dispatch-update                          |
 * | accepted         | the backend took the command                                 | dispatch-update                          |
 * | deferred         | the backend cannot take it yet                               | dispatch-update                          |
 * | unanswered       | whether the backend took it is not known                     | dispatch-update                          |
 * | refused          | the backend says that this device cannot be updated          | dispatch-update                          |
 * | offered          | a device that polls may take it                              | advance-update                           |
 * | unclaimed        | the device has not come for it: others get its place         | advance-update, control-update           |
 * | taken            | the device has come for it: it has been asked                | iot-deployment                           |
 * | started          | the device is installing                                     | a confirmation                           |
 * | installed        | the device says that it has installed it                     | iot-feedback                             |
 * | proven           | the device was seen running the version wanted               | a confirmation, an observation           |
 * | mismatched       | the device says it is done, but runs another version         | a confirmation, a deadline               |
 * | failed           | the installation failed                                      | a confirmation                           |
 * | declined         | the device will not install                                  | a confirmation                           |
 * | overdue          | a deadline has passed                                        | advance-update                           |
 * | retried          | another try, in place of an end that the update tries again  | whoever tells the end                    |
 * | cancel_requested | it is not wanted any more, and the device is at work         | control-update, advance-update           |
 * | cancel_refused   | the device was asked to stop, and goes on                    | iot-feedback                             |
 * | canceled         | the admin, a stop rule, a withdrawal or a newer update ends it, or the device has stopped | control-update, advance-update, request-update, iot-feedback |
 * | removed          | its device is retired, or its hardware does not fit any more | edit-fleet, advance-update               |
 */
export const executionEvents = [
  'released',
  'claimed',
  'withheld',
  'accepted',
  'deferred',
  'unanswered',
  'refused',
  'offered',
  'unclaimed',
  'taken',
  'started',
  'installed',
  'proven',
  'mismatched',
  'failed',
  'declined',
  'overdue',
  'retried',
  'cancel_requested',
  'cancel_refused',
  'canceled',
  'removed',
] as const;
export type ExecutionEvent = (typeof executionEvents)[number];

/** The statuses of a failed execution. Instead of ending so, it may get another try. */
export const failureTypes = ['FAILED', 'TIMED_OUT', 'REJECTED'] as const;
export type FailureType = (typeof failureTypes)[number];

/**
 * What a move changes in addition to phase, status and reason; `moved` (move-executions.ts) writes it.
 *
 * - `hand_over`: it becomes part of a chunk or an offer;
 * - `send`: the device counts as asked from now on, unless it was asked before;
 * - `hold_back`: nobody was asked;
 * - `answer`: the outcome of the last command is known. A command that was put off does not count: the next one has the same `attempt`;
 * - `ask_again`: the next command repeats the last one, because the device may be at work on it;
 * - `withdraw`: another device takes its place in the canary;
 * - `go_on`: the device is not asked to stop again;
 * - `retry`: the next command is another one, and one of the tries is used up.
 */
export type Effect = 'hand_over' | 'send' | 'hold_back' | 'answer' | 'ask_again' | 'withdraw' | 'go_on' | 'retry';

export interface Transition {
  to: Phase;
  /** Missing: it stays as it is. */
  status?: ExecutionStatus;
  /** null: the reason is removed. Missing: reason and detail stay as they are. */
  reason?: string | null;
  effect?: Effect;
  /** Instead of this end the update may grant another try (`retried`). */
  mayRetry?: true;
}

/** Why an execution is in its status. DEFERRED, RETRY and HARDWARE_MISMATCH are followed by a colon and a text, SUPERSEDED by the newer update. */
export const reasons = {
  alreadyOnTarget: 'ALREADY_ON_TARGET',
  deferred: 'DEFERRED',
  retry: 'RETRY',
  versionMismatch: 'VERSION_MISMATCH',
  deviceFailed: 'DEVICE_FAILED',
  deviceRejected: 'DEVICE_REJECTED',
  backendRejected: 'BACKEND_REJECTED',
  queuedTooLong: 'QUEUED_TOO_LONG',
  notConfirmed: 'NOT_CONFIRMED',
  updateCanceled: 'UPDATE_CANCELED',
  updateAborted: 'UPDATE_ABORTED',
  firmwareWithdrawn: 'FIRMWARE_WITHDRAWN',
  firmwareLost: 'FIRMWARE_LOST',
  superseded: 'SUPERSEDED',
  deviceRetired: 'RETIRED_DEVICE',
  hardwareMismatch: 'HARDWARE_MISMATCH',
  deviceCanceled: 'DEVICE_CANCELED',
  awaitingProof: 'AWAITING_PROOF',
  cancelRequested: 'CANCEL_REQUESTED',
  cancelRefused: 'CANCEL_REFUSED',
} as const;

/** Possible in every phase except the end: a report of a device can come before the backend's answer, or very late. */
const ends = {
  proven: { to: 'ended', status: 'SUCCEEDED', reason: null },
  mismatched: { to: 'ended', status: 'FAILED', reason: reasons.versionMismatch, mayRetry: true },
  failed: { to: 'ended', status: 'FAILED', reason: reasons.deviceFailed, mayRetry: true },
  declined: { to: 'ended', status: 'REJECTED', reason: reasons.deviceRejected, mayRetry: true },
  canceled: { to: 'ended', status: 'CANCELED', reason: reasons.updateCanceled },
  removed: { to: 'ended', status: 'REMOVED', reason: reasons.deviceRetired },
  retried: { to: 'waiting', status: 'IN_PROGRESS', reason: reasons.retry, effect: 'retry' },
} as const satisfies Partial<Record<ExecutionEvent, Transition>>;

/** For phases in which no device was asked, or the backend did not take the command. */
const queuedEnds = { ...ends, overdue: { to: 'ended', status: 'TIMED_OUT', reason: reasons.queuedTooLong } } as const;
const askedEnds = { ...ends, overdue: { to: 'ended', status: 'TIMED_OUT', reason: reasons.notConfirmed, mayRetry: true } } as const;

/**
 * The state machine, and the only place that knows what may happen: phase × event → phase, status, reason and effect. It goes forward only
 * (G3): no event leaves the end, and during another try the execution stays IN_PROGRESS. An event that a phase does not list changes
 * nothing. Code that moves one execution reads this table by {@link moveOf}; SQL that moves many reads it as rows (move-executions.ts).
 */
export const transitions: Readonly<Record<Phase, Partial<Readonly<Record<ExecutionEvent, Transition>>>>> = {
  waiting: {
    ...queuedEnds,
    released: { to: 'released', effect: 'hand_over' },
    offered: { to: 'offered', effect: 'hand_over' },
    // The device is at work on a command that the backend has not answered. The command is sent again all the same, to get that answer.
    started: { to: 'waiting', status: 'IN_PROGRESS' },
  },
  released: {
    ...queuedEnds,
    claimed: { to: 'calling', effect: 'send' },
    withheld: { to: 'waiting', effect: 'hold_back' },
    started: { to: 'released', status: 'IN_PROGRESS' },
  },
  calling: {
    ...askedEnds,
    claimed: { to: 'calling', effect: 'send' },
    withheld: { to: 'waiting', effect: 'hold_back' },
    accepted: { to: 'asked', status: 'IN_PROGRESS', reason: null, effect: 'answer' },
    deferred: { to: 'waiting', reason: reasons.deferred, effect: 'answer' },
    unanswered: { to: 'waiting', reason: reasons.deferred, effect: 'ask_again' },
    refused: { to: 'ended', status: 'REJECTED', reason: reasons.backendRejected, effect: 'answer', mayRetry: true },
    started: { to: 'asked', status: 'IN_PROGRESS', reason: null },
  },
  offered: {
    ...queuedEnds,
    taken: { to: 'asked', status: 'IN_PROGRESS', reason: null, effect: 'send' },
    unclaimed: { to: 'waiting', effect: 'withdraw' },
    started: { to: 'offered', status: 'IN_PROGRESS' },
  },
  asked: {
    ...askedEnds,
    installed: { to: 'installed', reason: reasons.awaitingProof },
    cancel_requested: { to: 'canceling', reason: reasons.cancelRequested },
  },
  canceling: {
    ...askedEnds,
    installed: { to: 'installed', reason: reasons.awaitingProof },
    cancel_refused: { to: 'asked', reason: reasons.cancelRefused, effect: 'go_on' },
  },
  installed: askedEnds,
  ended: {},
};

export interface RetryPolicy {
  number_of_retries: number;
  retry_failure_types: readonly string[];
}

/** Whether an execution gets another try instead of this end. */
export const grantsRetry = ({ number_of_retries, retry_failure_types }: RetryPolicy, retries: number, end: ExecutionStatus): boolean =>
  retries < number_of_retries && retry_failure_types.includes(end);

const firstRetryMinutes = 1;
const longestRetryMinutes = 240;
/** The most retries that an update may ask for. */
export const maximumRetries = 10;

/** The wait before a retry doubles each time: whatever made the last try fail is probably still there a moment later. */
export const retryDelaySeconds = (retries: number): number => Math.min(longestRetryMinutes, firstRetryMinutes * 2 ** retries) * 60;

/** The reason of an execution that is tried again. */
export const retryReason = (end: string): string => `${reasons.retry}: ${end}`;

export interface Movable extends RetryPolicy {
  phase: Phase;
  retries: number;
  /** Whether there may be another try at all: not in an update that has been stopped. */
  may_retry: boolean;
}

/** A transition of one execution, with the text and the times that it writes. */
export interface Move extends Transition {
  from: Phase;
  event: ExecutionEvent;
  /** When it may be asked again; null: at once, or never. */
  next_attempt_dt: Date | null;
}

/**
 * The move that an execution makes on an event. Where the update grants a retry, the move is to another try instead of the end. undefined:
 * the event changes nothing.
 */
export const moveOf = (execution: Movable, event: ExecutionEvent, now: Date): Move | undefined => {
  const { phase: from, retries, may_retry } = execution;
  const transition = transitions[from][event];
  if (!transition) return undefined;
  const { retried } = transitions[from];
  const { status, reason } = transition;
  if (retried && transition.mayRetry && may_retry && status && grantsRetry(execution, retries, status)) {
    const next_attempt_dt = addSeconds(now, retryDelaySeconds(retries));
    return { ...retried, from, event: 'retried', reason: retryReason(reason ?? status), next_attempt_dt };
  }
  return { ...transition, from, event, next_attempt_dt: null };
};

/** Characters. A device's words are cut to 50 lines of 512 characters when they arrive, and twice that may be kept. */
export const longestDetail = 2 * 50 * 513;
