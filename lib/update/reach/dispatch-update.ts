import { addSeconds, type Clock } from '../../clock.ts';
import type { Db } from '../../db/database.ts';
import type { ManifestFacts, SignManifest } from '../../firmware/manifest.ts';
import type { Log } from '../../log.ts';
import {
  type Backend,
  type BackendCall,
  BackendRefusal,
  BackendUnavailable,
  type CommandOutcome,
  type FirmwareCommand,
} from '../../ports/backend.ts';
import { oddItemSeconds } from '../../ports/backend-answers.ts';
import type { Storage } from '../../ports/storage.ts';
import { UnderWay } from '../../walk.ts';
import { grantsRetry, reasons, retryDelaySeconds, storableText } from '../execution.ts';
import type { DispatchMessage } from '../messages.ts';
import { afterCall, mayCall } from './backend-gate.ts';
import {
  type ClaimedCommand,
  changeGate,
  claimDispatch,
  type DispatchOutcome,
  deferredReason,
  findDispatch,
  firstVerificationMinutes,
  getGate,
  recordDispatch,
} from './dispatch-queries.ts';

export interface DispatchUpdateDeps {
  db: Db;
  backend: Pick<Backend, 'sendCommands' | 'findVersions'>;
  storage: Pick<Storage, 'fromLink' | 'signDownload'>;
  signManifest: SignManifest;
  log: Log;
  now: Clock;
}

/** As long as the function itself may run: a chunk whose call began longer ago has nobody working on it. */
export const leaseSeconds = 29;
/** What recording the answer may take; the call to the backend gets the rest of the function's time. */
const reservedMilliseconds = 4_000;
const longestCallMilliseconds = 20_000;
/** A backend in trouble is asked about one device: one that hangs over it must not delay the next try, and so the return to the pace. */
const longestProbeMilliseconds = 5_000;
/** Wait of a device that the backend's answer left out. */
const forgottenSeconds = 5;

/**
 * Hands one chunk to the backend by one call and stores each command's outcome. A backend that is down, slow or overloaded costs no
 * device anything: its executions wait and are released again when the gate lets them.
 *
 * @throws {@link UnderWay}, `database.unavailable`: the message has to come again.
 */
export async function dispatchUpdate(
  deps: DispatchUpdateDeps,
  { dispatch_id }: DispatchMessage,
  remainingMilliseconds: number,
): Promise<void> {
  const { db, now } = deps;
  const began = now();
  const claimed = await claimDispatch(db, dispatch_id, began, leaseSeconds);
  if (!claimed) {
    const dispatch = await findDispatch(db, dispatch_id);
    if (!dispatch || dispatch.answered_dt) return;
    throw new UnderWay(`Dispatch ${dispatch_id} is being sent`);
  }
  const [first] = claimed;
  const gate = await getGate(db);
  if (!first || !mayCall(gate, claimed.length, began)) {
    return recordDispatch(db, dispatch_id, [], { now: now(), wasCalled: false, error: null, next_verification_dt: null });
  }

  const isProbe = gate.failures > 0;
  const call = {
    idempotencyKey: `dispatch-${dispatch_id}`,
    requestId: first.request_id,
    timeoutMilliseconds: Math.max(
      1,
      Math.min(isProbe ? longestProbeMilliseconds : longestCallMilliseconds, remainingMilliseconds - reservedMilliseconds),
    ),
  };
  const trouble = isProbe ? await findTrouble(deps, first, call) : undefined;
  const { outcomes, error } = trouble ? { outcomes: [], error: trouble } : await callBackend(deps, claimed, call);
  const answered = now();
  if (error) deps.log.warn('backend did not take a chunk', { dispatch_id, commands: claimed.length, error });
  const isAccepted = outcomes.some(({ outcome }) => outcome === 'accepted');
  await recordDispatch(db, dispatch_id, outcomes, {
    now: answered,
    wasCalled: !trouble,
    error: error?.message ?? null,
    next_verification_dt: isAccepted ? addSeconds(answered, firstVerificationMinutes(first.in_progress_minutes) * 60) : null,
  });

  const result = {
    isTaken: !(error instanceof BackendUnavailable),
    latencyMilliseconds: answered.getTime() - began.getTime(),
    retryAfterSeconds: error instanceof BackendUnavailable ? error.retryAfterSeconds : undefined,
    began,
    now: answered,
  };
  if (afterCall(gate, result) !== gate) await changeGate(db, (current) => afterCall(current, result));
}

/**
 * Whether a backend that was in trouble still is, by a question that nobody has to act upon: an outage costs no device a command that
 * may or may not have been taken.
 */
const findTrouble = async (
  { backend }: DispatchUpdateDeps,
  { kind, external_id }: ClaimedCommand,
  call: BackendCall,
): Promise<BackendUnavailable | undefined> => {
  try {
    await backend.findVersions(kind, [external_id], { ...call, idempotencyKey: `probe-${call.idempotencyKey}` });
    return undefined;
  } catch (error) {
    if (error instanceof BackendUnavailable) return error;
    // It answers, if only to refuse.
    if (error instanceof BackendRefusal) return undefined;
    throw error;
  }
};

const callBackend = async (
  deps: DispatchUpdateDeps,
  claimed: readonly ClaimedCommand[],
  call: BackendCall,
): Promise<{ outcomes: DispatchOutcome[]; error?: Error }> => {
  try {
    const results = await deps.backend.sendCommands(await toCommands(deps, claimed), call);
    const byExecution = mostFavourable(results);
    return { outcomes: claimed.map((command) => toOutcome(command, byExecution.get(command.execution_id), deps.now())) };
  } catch (error) {
    if (error instanceof BackendRefusal) {
      return { outcomes: claimed.map((command) => toRefusal(command, error.message, deps.now())), error };
    }
    if (error instanceof BackendUnavailable) {
      // Due at once, behind those whose answer has been missing for longer: the gate decides when the backend is tried again, for all
      // devices together.
      const unknown = { outcome: 'deferred', detail: null, next_attempt_dt: deps.now(), is_answered: false } as const;
      return {
        outcomes: claimed.map(({ execution_id, status_before }) => ({
          execution_id,
          status_before,
          ...unknown,
          reason: deferredReason(error.message),
        })),
        error,
      };
    }
    throw error;
  }
};

/** All commands of a chunk are about one file: its link and its manifest are signed once. */
const toCommands = async (
  { storage, signManifest }: Pick<DispatchUpdateDeps, 'storage' | 'signManifest'>,
  claimed: readonly ClaimedCommand[],
): Promise<FirmwareCommand[]> => {
  const [first] = claimed;
  if (!first) return [];
  const { url, expires_dt } = await storage.signDownload(storage.fromLink(first.file_link));
  const { manifest } = await signManifest(toManifestFacts(first));
  return claimed.map(({ execution_id, attempt, kind, external_id, hardware_type, version, sha256, size_bytes }) => ({
    ...{ execution_id, attempt, kind, external_id, hardware_type, version, sha256, size_bytes },
    ...{ url, expires_dt: expires_dt.toISOString(), manifest },
  }));
};

const toManifestFacts = (command: ClaimedCommand): ManifestFacts => {
  const { hardware_type, version, version_num, size_bytes, sha256, requires, minimum_from_version_num, allow_downgrade } = command;
  return {
    ...{ hardware_type, version, version_num, size_bytes, sha256, requires, minimum_from_version_num, allow_downgrade },
    counter: command.manifest_counter,
  };
};

const favour = ['rejected', 'unclear', 'deferred', 'accepted'] as const satisfies CommandOutcome['outcome'][];

/** By execution. Of outcomes that contradict each other the one that costs no device: what was accepted once is accepted. */
const mostFavourable = (results: readonly CommandOutcome[]): Map<number, CommandOutcome> =>
  new Map(results.toSorted((a, b) => favour.indexOf(a.outcome) - favour.indexOf(b.outcome)).map((result) => [result.execution_id, result]));

const toOutcome = (command: ClaimedCommand, result: CommandOutcome | undefined, now: Date): DispatchOutcome => {
  const { execution_id, status_before } = command;
  switch (result?.outcome) {
    case 'accepted':
      return { execution_id, status_before, outcome: 'accepted', reason: null, detail: null, next_attempt_dt: null, is_answered: true };
    case 'rejected':
      return toRefusal(command, result.reason, now);
    case 'deferred': {
      const next_attempt_dt = addSeconds(now, Math.max(1, result.retry_after_seconds));
      return {
        execution_id,
        status_before,
        outcome: 'deferred',
        reason: deferredReason(result.reason),
        detail: null,
        next_attempt_dt,
        is_answered: true,
      };
    }
    case 'unclear':
    case undefined: {
      // Whether it took it is unknown; asking again is safe. Others are asked in the meantime.
      const reason = deferredReason(result?.reason ?? 'backend gave no outcome');
      return {
        execution_id,
        status_before,
        outcome: 'deferred',
        reason,
        detail: null,
        next_attempt_dt: addSeconds(now, result ? oddItemSeconds : forgottenSeconds),
        is_answered: false,
      };
    }
  }
};

const toRefusal = (command: ClaimedCommand, text: string, now: Date): DispatchOutcome => {
  const { execution_id, status_before, retries } = command;
  const detail = storableText(text, 2_000);
  const reason = reasons.backendRejected;
  if (!grantsRetry(command, retries, 'REJECTED')) {
    return { execution_id, status_before, outcome: 'refused', reason, detail, next_attempt_dt: null, is_answered: true };
  }
  const next_attempt_dt = addSeconds(now, retryDelaySeconds(retries));
  return {
    execution_id,
    status_before,
    outcome: 'retried',
    reason: `${reasons.retry}: ${reason}`,
    detail,
    next_attempt_dt,
    is_answered: true,
  };
};
