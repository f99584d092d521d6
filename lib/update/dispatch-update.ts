import { addSeconds, type Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import type { Log } from '../log.ts';
import { type Backend, BackendRefusal, BackendUnavailable, type CommandOutcome, type FirmwareCommand } from '../ports/backend.ts';
import type { Storage } from '../ports/storage.ts';
import {
  type ClaimedCommand,
  claimDispatch,
  type DispatchOutcome,
  deferredReason,
  findDispatch,
  recordDispatch,
} from './dispatch-queries.ts';
import { reasons } from './execution.ts';
import type { DispatchMessage } from './messages.ts';

export interface DispatchUpdateDeps {
  db: Db;
  backend: Backend;
  storage: Pick<Storage, 'fromLink' | 'signDownload'>;
  log: Log;
  now: Clock;
  /** Between 0 and 1. */
  random: () => number;
}

/** As long as the function itself may run: a chunk whose call began longer ago has nobody working on it. */
const leaseSeconds = 29;
/** What recording the answer may take; the call to the backend gets the rest of the function's time. */
const reservedMilliseconds = 4_000;
const longestCallMilliseconds = 20_000;
/** Wait of a chunk after a call that failed; spread so that chunks do not come back together. */
const unavailableSeconds = { from: 5, to: 15 };

/** A chunk that another delivery of the message is working on: thrown, so that the message stays until that work has ended. */
export class DispatchUnderWay extends Error {
  override readonly name = 'DispatchUnderWay';
}

/**
 * Hands one chunk to the backend by one call and stores each command's outcome. A backend that is down, slow or overloaded costs no
 * device anything: its executions wait and are released again.
 *
 * @throws {@link DispatchUnderWay}, `database.unavailable`: the message has to come again.
 */
export async function dispatchUpdate(
  deps: DispatchUpdateDeps,
  { dispatch_id }: DispatchMessage,
  remainingMilliseconds: number,
): Promise<void> {
  const claimed = await claimDispatch(deps.db, dispatch_id, deps.now(), leaseSeconds);
  if (!claimed) {
    const dispatch = await findDispatch(deps.db, dispatch_id);
    if (!dispatch || dispatch.answered_dt) return;
    throw new DispatchUnderWay(`Dispatch ${dispatch_id} is being sent`);
  }
  const [first] = claimed;
  if (!first) return recordDispatch(deps.db, dispatch_id, [], { now: deps.now(), error: null });

  const { outcomes, error } = await callBackend(deps, claimed, {
    idempotencyKey: `dispatch-${dispatch_id}`,
    requestId: first.request_id,
    timeoutMilliseconds: Math.max(1, Math.min(longestCallMilliseconds, remainingMilliseconds - reservedMilliseconds)),
  });
  if (error) deps.log.warn('backend did not take a chunk', { dispatch_id, commands: claimed.length, error });
  await recordDispatch(deps.db, dispatch_id, outcomes, { now: deps.now(), error: error?.message ?? null });
}

const callBackend = async (
  deps: DispatchUpdateDeps,
  claimed: readonly ClaimedCommand[],
  call: Parameters<Backend['sendCommands']>[1],
): Promise<{ outcomes: DispatchOutcome[]; error?: Error }> => {
  try {
    const results = new Map(
      (await deps.backend.sendCommands(await toCommands(deps.storage, claimed), call)).map((r) => [r.execution_id, r]),
    );
    return { outcomes: claimed.map(({ execution_id }) => toOutcome(deps, execution_id, results.get(execution_id))) };
  } catch (error) {
    if (error instanceof BackendRefusal) {
      const refused = {
        status: 'REJECTED',
        reason: reasons.backendRefused,
        detail: error.message,
        next_attempt_dt: null,
        is_answered: true,
      } as const;
      return { outcomes: claimed.map(({ execution_id }) => ({ execution_id, ...refused })), error };
    }
    if (error instanceof BackendUnavailable) {
      const { from, to } = unavailableSeconds;
      const seconds = Math.max(error.retryAfterSeconds ?? 0, from) + deps.random() * (to - from);
      const waiting = { status: 'QUEUED', reason: deferredReason(error.message), detail: null, is_answered: false } as const;
      const next_attempt_dt = addSeconds(deps.now(), seconds);
      return { outcomes: claimed.map(({ execution_id }) => ({ execution_id, ...waiting, next_attempt_dt })), error };
    }
    throw error;
  }
};

/** Files are few and devices many: each file's link is signed once per chunk. */
const toCommands = async (storage: DispatchUpdateDeps['storage'], claimed: readonly ClaimedCommand[]): Promise<FirmwareCommand[]> => {
  const signed = new Map<string, { url: string; expires_dt: string }>();
  for (const link of new Set(claimed.map(({ file_link }) => file_link))) {
    const { url, expires_dt } = await storage.signDownload(storage.fromLink(link));
    signed.set(link, { url, expires_dt: expires_dt.toISOString() });
  }
  return claimed.map(({ file_link, request_id: _requestId, ...command }) => ({
    ...command,
    ...(signed.get(file_link) as { url: string; expires_dt: string }),
  }));
};

const toOutcome = (deps: DispatchUpdateDeps, execution_id: number, result: CommandOutcome | undefined): DispatchOutcome => {
  const none = { execution_id, reason: null, detail: null, next_attempt_dt: null, is_answered: true };
  switch (result?.outcome) {
    case 'accepted':
      return { ...none, status: 'IN_PROGRESS' };
    case 'rejected':
      return { ...none, status: 'REJECTED', reason: reasons.backendRejected, detail: result.reason.slice(0, 2_000) };
    case 'deferred':
      return {
        ...none,
        status: 'QUEUED',
        reason: deferredReason(result.reason),
        next_attempt_dt: addSeconds(deps.now(), Math.max(1, result.retry_after_seconds)),
      };
    case undefined:
      // The backend forgot it: whether it took it is unknown, and asking again is safe.
      return {
        ...none,
        status: 'QUEUED',
        reason: deferredReason('backend gave no outcome'),
        is_answered: false,
        next_attempt_dt: addSeconds(deps.now(), unavailableSeconds.from),
      };
  }
};
