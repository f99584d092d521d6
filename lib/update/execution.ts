import * as z from 'zod/mini';
import { Timestamp } from '../firmware/firmware.ts';

export const executionStatuses = ['QUEUED', 'IN_PROGRESS', 'SUCCEEDED', 'FAILED', 'TIMED_OUT', 'REJECTED', 'CANCELED', 'REMOVED'] as const;
export type ExecutionStatus = (typeof executionStatuses)[number];
/** Of each status none; what a query does not mention. */
export const noCounts = () => Object.fromEntries(executionStatuses.map((status) => [status, 0])) as Record<ExecutionStatus, number>;

/** Statuses of an execution that has not ended. */
export const unfinishedStatuses = ['QUEUED', 'IN_PROGRESS'] as const satisfies readonly ExecutionStatus[];

export const isUnfinished = (status: ExecutionStatus): boolean => status === 'QUEUED' || status === 'IN_PROGRESS';

/**
 * What can happen to an execution:
 *
 * | event      | meaning                                                | told by                      |
 * | ---------- | ------------------------------------------------------ | ---------------------------- |
 * | accepted   | the backend took the command                           | dispatch-update              |
 * | deferred   | the backend cannot take it yet, or cannot be reached   | dispatch-update              |
 * | refused    | the backend says that this device cannot be updated    | dispatch-update              |
 * | started    | the device is installing                               | a confirmation               |
 * | proven     | the device was seen running the version wanted         | a confirmation, an observation |
 * | mismatched | the device says it is done, but runs another version   | a confirmation, a deadline   |
 * | failed     | the installation failed                                | a confirmation               |
 * | declined   | the device will not install                            | a confirmation               |
 * | overdue    | a deadline has passed                                  | advance-update               |
 * | canceled   | the admin, a stop rule or a withdrawal ends it, or the device that was asked to stop has stopped | control-update, advance-update, iot-feedback |
 *
 * and to one of a device that polls, whose finer states are told in device-work.ts:
 *
 * | event            | meaning                                                      | told by                        |
 * | ---------------- | ------------------------------------------------------------ | ------------------------------ |
 * | offered          | the device is shown it at its next poll                      | advance-update                 |
 * | unclaimed        | the device has not come for it: others get its place         | advance-update                 |
 * | taken            | the device has come for it: it has been asked                | iot-deployment                 |
 * | installed        | the device says that it has installed it; not yet proof      | iot-feedback                   |
 * | cancel_requested | it is not wanted any more, and the device is at work         | control-update, advance-update |
 * | cancel_refused   | the device was asked to stop, and goes on                    | iot-feedback                   |
 */
export const executionEvents = [
  'accepted',
  'deferred',
  'refused',
  'started',
  'proven',
  'mismatched',
  'failed',
  'declined',
  'overdue',
  'canceled',
  'offered',
  'unclaimed',
  'taken',
  'installed',
  'cancel_requested',
  'cancel_refused',
] as const;
export type ExecutionEvent = (typeof executionEvents)[number];

/** Ends of an execution that a retry may undo before they happen. */
export const failureTypes = ['FAILED', 'TIMED_OUT', 'REJECTED'] as const;
export type FailureType = (typeof failureTypes)[number];

export interface Transition {
  to: ExecutionStatus;
  /**
   * - `wait`: released again when its next attempt is due;
   * - `retry`: if the update grants another try for this end, the execution stays IN_PROGRESS and waits, else it ends as `to`;
   * - `offer`: the device may take it, and has its place of the pace and of `maximum_in_progress` until it does or has not come;
   * - `prove`: the version of the device is wanted, until the deadline, which counts anew;
   * - `stop`: the device is asked to stop;
   * - `go_on`: the device is not asked to stop again.
   */
  effect?: 'wait' | 'retry' | 'offer' | 'prove' | 'stop' | 'go_on';
  reason?: string;
}

/** Why an execution is in its status; DEFERRED and RETRY are followed by a text. */
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
  deviceCanceled: 'DEVICE_CANCELED',
  awaitingProof: 'AWAITING_PROOF',
  cancelRequested: 'CANCEL_REQUESTED',
  cancelRefused: 'CANCEL_REFUSED',
} as const;

/** From any unfinished status: a device can be faster than the answer of the backend. */
const endings = {
  refused: { to: 'REJECTED', effect: 'retry', reason: reasons.backendRejected },
  started: { to: 'IN_PROGRESS' },
  proven: { to: 'SUCCEEDED' },
  mismatched: { to: 'FAILED', effect: 'retry', reason: reasons.versionMismatch },
  failed: { to: 'FAILED', effect: 'retry', reason: reasons.deviceFailed },
  declined: { to: 'REJECTED', effect: 'retry', reason: reasons.deviceRejected },
  canceled: { to: 'CANCELED' },
} as const satisfies Partial<Record<ExecutionEvent, Transition>>;

/**
 * The state machine: state × event → state and effect. Forward only (design.md G3): QUEUED before it was asked, IN_PROGRESS since, then
 * an end that nothing changes; a retry is another attempt of an execution IN_PROGRESS. A missing entry changes nothing.
 */
export const transitions: Readonly<Record<ExecutionStatus, Partial<Readonly<Record<ExecutionEvent, Transition>>>>> = {
  QUEUED: {
    ...endings,
    accepted: { to: 'IN_PROGRESS' },
    deferred: { to: 'QUEUED', effect: 'wait', reason: reasons.deferred },
    overdue: { to: 'TIMED_OUT', reason: reasons.queuedTooLong },
    offered: { to: 'QUEUED', effect: 'offer' },
    unclaimed: { to: 'QUEUED', effect: 'wait' },
    taken: { to: 'IN_PROGRESS' },
  },
  IN_PROGRESS: {
    ...endings,
    accepted: { to: 'IN_PROGRESS' },
    deferred: { to: 'IN_PROGRESS', effect: 'wait', reason: reasons.deferred },
    overdue: { to: 'TIMED_OUT', effect: 'retry', reason: reasons.notConfirmed },
    // Another try, as each of these three.
    offered: { to: 'IN_PROGRESS', effect: 'offer' },
    unclaimed: { to: 'IN_PROGRESS', effect: 'wait' },
    taken: { to: 'IN_PROGRESS' },
    installed: { to: 'IN_PROGRESS', effect: 'prove', reason: reasons.awaitingProof },
    cancel_requested: { to: 'IN_PROGRESS', effect: 'stop', reason: reasons.cancelRequested },
    cancel_refused: { to: 'IN_PROGRESS', effect: 'go_on', reason: reasons.cancelRefused },
  },
  SUCCEEDED: {},
  FAILED: {},
  TIMED_OUT: {},
  REJECTED: {},
  CANCELED: {},
  REMOVED: {},
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

/** The wait before a retry doubles each time: what hindered the last try is likely still there a moment later. */
export const retryDelaySeconds = (retries: number): number => Math.min(longestRetryMinutes, firstRetryMinutes * 2 ** retries) * 60;

/** The words of others in a form and length that PostgreSQL stores: it has no place for NUL and half characters. */
export const storableText = (text: string, maximumLength: number): string =>
  text.slice(0, maximumLength).replaceAll('\u0000', '').toWellFormed();

export const Execution = z
  .object({
    id: z.int(),
    update_id: z.int(),
    kind: z.string(),
    external_id: z.string(),
    status: z.enum(executionStatuses),
    reason: z.nullable(z.string()),
    detail: z.nullable(z.string()).check(z.meta({ description: 'What the device or the backend said' })),
    attempt: z.int(),
    retries: z.int(),
    is_canary: z.boolean(),
    queued_dt: Timestamp,
    sent_dt: z.nullable(Timestamp),
    finished_dt: z.nullable(Timestamp),
    next_attempt_dt: z.nullable(Timestamp),
    late_success_dt: z
      .nullable(Timestamp)
      .check(z.meta({ description: 'When the version wanted was seen after the execution had ended otherwise' })),
  })
  .register(z.globalRegistry, { id: 'Execution' });
export type Execution = z.infer<typeof Execution>;

/** An execution among a device's own past. */
export const DeviceExecution = z
  .extend(Execution, { hardware_type: z.string(), firmware_id: z.int(), firmware_version: z.string() })
  .register(z.globalRegistry, { id: 'DeviceExecution' });
export type DeviceExecution = z.infer<typeof DeviceExecution>;
