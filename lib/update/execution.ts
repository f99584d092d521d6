import * as z from 'zod';
import { Timestamp } from '../firmware/firmware.ts';

export const executionStatuses = ['QUEUED', 'IN_PROGRESS', 'SUCCEEDED', 'FAILED', 'TIMED_OUT', 'REJECTED', 'CANCELED', 'REMOVED'] as const;
export type ExecutionStatus = (typeof executionStatuses)[number];

/** Statuses of an execution that has not ended. */
export const unfinishedStatuses = ['QUEUED', 'IN_PROGRESS'] as const satisfies readonly ExecutionStatus[];

export const isUnfinished = (status: ExecutionStatus): boolean => status === 'QUEUED' || status === 'IN_PROGRESS';

/**
 * What can happen to an execution:
 *
 * | event            | meaning                                                        |
 * | ---------------- | -------------------------------------------------------------- |
 * | accepted         | the backend took the command                                   |
 * | deferred         | the backend cannot take it yet, or could not be reached         |
 * | refused          | the backend says that this device cannot be updated            |
 * | started          | the device reports that it is installing                       |
 * | proven           | the device was seen running the version wanted                 |
 * | mismatched       | the device says it is done, but runs another version           |
 * | failed           | the device reports that the installation failed                |
 * | declined         | the device reports that it will not install                    |
 */
export type ExecutionEvent = 'accepted' | 'deferred' | 'refused' | 'started' | 'proven' | 'mismatched' | 'failed' | 'declined';

/**
 * The state machine (design.md G3: forward only). A missing entry means that the event changes nothing; finished states have none.
 * A device can be faster than the answer of the backend, so that its reports are also taken while the execution is still QUEUED.
 */
export const transitions: Readonly<Record<ExecutionStatus, Partial<Readonly<Record<ExecutionEvent, ExecutionStatus>>>>> = {
  QUEUED: {
    accepted: 'IN_PROGRESS',
    deferred: 'QUEUED',
    refused: 'REJECTED',
    started: 'IN_PROGRESS',
    proven: 'SUCCEEDED',
    mismatched: 'FAILED',
    failed: 'FAILED',
    declined: 'REJECTED',
  },
  IN_PROGRESS: { proven: 'SUCCEEDED', mismatched: 'FAILED', failed: 'FAILED', declined: 'REJECTED' },
  SUCCEEDED: {},
  FAILED: {},
  TIMED_OUT: {},
  REJECTED: {},
  CANCELED: {},
  REMOVED: {},
};

/** Why an execution is in its status. DEFERRED is followed by the backend's own text. */
export const reasons = {
  alreadyOnTarget: 'ALREADY_ON_TARGET',
  deferred: 'DEFERRED',
  versionMismatch: 'VERSION_MISMATCH',
  deviceFailed: 'DEVICE_FAILED',
  deviceRejected: 'DEVICE_REJECTED',
  backendRejected: 'BACKEND_REJECTED',
  backendRefused: 'BACKEND_REFUSED',
} as const;

export const Execution = z
  .object({
    id: z.int(),
    update_id: z.int(),
    kind: z.string(),
    external_id: z.string(),
    status: z.enum(executionStatuses),
    reason: z.string().nullable(),
    detail: z.string().nullable().meta({ description: 'What the device or the backend said' }),
    attempt: z.int(),
    queued_dt: Timestamp,
    sent_dt: Timestamp.nullable(),
    finished_dt: Timestamp.nullable(),
    next_attempt_dt: Timestamp.nullable(),
  })
  .meta({ id: 'Execution' });
export type Execution = z.infer<typeof Execution>;
