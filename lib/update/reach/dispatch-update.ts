import { addSeconds, type Clock } from '../../clock.ts';
import type { Db } from '../../db/database.ts';
import { type SignManifest, toManifestFacts } from '../../firmware/manifest.ts';
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
import { wordsOfOthers } from '../../words-of-others.ts';
import { afterCall, type BackendGate, gateOfJson, mayCall } from '../backend-gate.ts';
import { changeGate } from '../gate-queries.ts';
import type { DispatchMessage } from '../messages.ts';
import { noteOutage, noteReturn, notingOutages } from '../outage-queries.ts';
import { mayAsk } from '../zone-rules.ts';
import {
  type ClaimedCommand,
  claimDispatch,
  type Dispatch,
  type DispatchOutcome,
  deferredReason,
  findDispatch,
  gatherFailures,
  recordDispatch,
  removeDispatch,
} from './dispatch-queries.ts';
import { leaseSeconds } from './lease.ts';
import { firstVerificationMinutes } from './look-up-queries.ts';

export interface DispatchUpdateDeps {
  db: Db;
  backend: Pick<Backend, 'sendCommands' | 'findVersions'>;
  storage: Pick<Storage, 'fromLink' | 'signDownload'>;
  signManifest: SignManifest;
  /**
   * Whether the firmware's file is still in the storage. If it is lost, the firmware is held back from then on. Without this function nobody
   * checks.
   */
  isFileThere?: (file: { id: number; file_link: string }) => Promise<boolean>;
  log: Log;
  now: Clock;
}

/** What recording the answer may take; the call to the backend gets the rest of the function's time. */
const reservedMilliseconds = 4_000;
const longestCallMilliseconds = 20_000;
/** A backend in trouble is asked about one device. If this question hangs, it must not delay the next one, and so the return to the pace. */
const longestProbeMilliseconds = 5_000;
/** A download takes its time, however short the deadline is. */
const shortestLinkSeconds = 3_600;
/** How long a device waits that the backend's answer did not mention. */
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
  const dispatch = await findDispatch(db, dispatch_id, now(), leaseSeconds);
  if (!dispatch || dispatch.is_answered) return;
  if (dispatch.is_under_way) throw new UnderWay(`Dispatch ${dispatch_id} is being sent`);
  const gate = gateOfJson(dispatch.gate);
  const chunk = dispatch.is_wanted && mayCall(gate, dispatch.commands, now()) ? await takeChunk(deps, dispatch) : undefined;
  if (!chunk) return putBack(deps, dispatch);
  const answer = await askBackend(deps, chunk, gate.failures > 0, remainingMilliseconds);
  await recordAnswer(deps, chunk, answer);
  await learnOfBackend(deps, gate, answer);
}

/** A chunk that this function alone may hand over. */
interface Chunk {
  dispatch: Dispatch;
  commands: readonly [FirmwareCommand & ClaimedCommand, ...(FirmwareCommand & ClaimedCommand)[]];
}

interface BackendAnswer {
  began: Date;
  answered: Date;
  outcomes: DispatchOutcome[];
  /** Whether the commands were sent. */
  wasCalled: boolean;
  error?: Error | undefined;
}

/** undefined: none of its devices can be asked now. */
const takeChunk = async (deps: DispatchUpdateDeps, dispatch: Dispatch): Promise<Chunk | undefined> => {
  const file = { id: dispatch.firmware_id, file_link: dispatch.file_link };
  const isThere = await notingOutages(deps, async () => (await deps.isFileThere?.(file)) ?? true);
  if (!isThere) return undefined;
  // Links are signed before the chunk is taken: if that failed afterwards, the devices of the chunk would wait until its lease ends.
  const shared = await signShared(deps, dispatch);
  const now = deps.now();
  // A window may have closed while the chunk was on its way.
  const openZones = dispatch.zones?.filter((zone) => mayAsk({ ...dispatch, ...zone }, now)).map(({ zone }) => zone) ?? null;
  const claimed = await claimDispatch(deps.db, dispatch.id, { now, leaseSeconds, openZones });
  if (!claimed) throw new UnderWay(`Dispatch ${dispatch.id} is being sent, or not wanted any more`);
  const [first, ...others] = claimed.map((command) => ({ ...shared, ...command }));
  return first && { dispatch, commands: [first, ...others] };
};

/** Asks a backend in trouble first whether it is back, about one device. */
const askBackend = async (
  deps: DispatchUpdateDeps,
  { dispatch, commands }: Chunk,
  isProbe: boolean,
  remainingMilliseconds: number,
): Promise<BackendAnswer> => {
  const longest = Math.min(isProbe ? longestProbeMilliseconds : longestCallMilliseconds, remainingMilliseconds - reservedMilliseconds);
  const call = {
    ...{ idempotencyKey: `dispatch-${dispatch.id}`, requestId: dispatch.request_id },
    timeoutMilliseconds: Math.max(1, longest),
  };
  const began = deps.now();
  const trouble = isProbe ? await findTrouble(deps, commands[0], call) : undefined;
  const answer = trouble ? { outcomes: [], error: trouble } : await callBackend(deps, commands, call);
  return { ...answer, began, answered: deps.now(), wasCalled: !trouble };
};

const recordAnswer = async (
  { db, log }: DispatchUpdateDeps,
  { dispatch: { id, was_called, in_progress_minutes }, commands }: Chunk,
  { answered, outcomes, wasCalled, error }: BackendAnswer,
): Promise<void> => {
  if (error) log.warn('backend did not take a chunk', { dispatch_id: id, commands: commands.length, error });
  await recordDispatch(db, id, outcomes, {
    now: answered,
    wasCalled: wasCalled || was_called,
    error: error?.message ?? null,
    next_verification_dt: wasCalled ? addSeconds(answered, firstVerificationMinutes(in_progress_minutes) * 60) : null,
  });
  if (error) await gatherFailures(db, id, answered);
};

/** What the answer says of the backend, for all updates. */
const learnOfBackend = async ({ db }: DispatchUpdateDeps, gate: BackendGate, { began, answered, error }: BackendAnswer): Promise<void> => {
  const result = {
    isTaken: !(error instanceof BackendUnavailable),
    error: error?.message,
    latencyMilliseconds: answered.getTime() - began.getTime(),
    retryAfterSeconds: error instanceof BackendUnavailable ? error.retryAfterSeconds : undefined,
    began,
    now: answered,
  };
  if (afterCall(gate, result) !== gate) await changeGate(db, (current) => afterCall(current, result));
  await (result.isTaken ? noteReturn(db, ['backend', 'signing', 'storage'], answered) : noteOutage(db, 'backend', began));
};

/**
 * Finds out whether the backend is still in trouble, by a question that changes nothing. A command would be a worse probe: without an
 * answer, nobody would know whether the backend took it.
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
    // A refusal is an answer, too: the backend is back.
    if (error instanceof BackendRefusal) return undefined;
    throw error;
  }
};

/** The executions of the chunk wait again. No device was asked, unless a function died after it had called. */
const putBack = async ({ db, now }: DispatchUpdateDeps, { id, was_called }: Dispatch): Promise<void> => {
  await recordDispatch(db, id, [], { now: now(), wasCalled: was_called, error: null, next_verification_dt: null });
  if (!was_called) await removeDispatch(db, id);
};

const callBackend = async (
  { backend, now }: DispatchUpdateDeps,
  commands: readonly FirmwareCommand[],
  call: BackendCall,
): Promise<{ outcomes: DispatchOutcome[]; error?: Error }> => {
  try {
    const byExecution = mostFavourable(await backend.sendCommands(commands, call));
    return { outcomes: commands.map(({ execution_id }) => toOutcome(execution_id, byExecution.get(execution_id), now())) };
  } catch (error) {
    if (error instanceof BackendRefusal) {
      return { outcomes: commands.map(({ execution_id }) => toRefusal(execution_id, error.message)), error };
    }
    if (error instanceof BackendUnavailable) {
      // They are due at once, behind those whose answer has been missing for longer. The gate decides, for all devices together, when the
      // backend is tried again.
      return { outcomes: commands.map(({ execution_id }) => toUnanswered(execution_id, error.message, now())), error };
    }
    throw error;
  }
};

/** A link is valid until the deadline, because the device may begin its download at any time before. */
const linkSecondsOf = ({ in_progress_minutes }: Dispatch): number => Math.max(shortestLinkSeconds, in_progress_minutes * 60);

/** Signs the link and the manifest once for the whole chunk, whose commands are all about one file. */
const signShared = (deps: DispatchUpdateDeps, dispatch: Dispatch) =>
  notingOutages(deps, async () => {
    const { storage, signManifest } = deps;
    const { hardware_type, version, sha256, size_bytes } = dispatch;
    const { url, expires_dt } = await storage.signDownload(storage.fromLink(dispatch.file_link), 'GET', linkSecondsOf(dispatch));
    const { manifest } = await signManifest(
      toManifestFacts(dispatch, { allow_downgrade: dispatch.allow_downgrade, counter: dispatch.manifest_counter }),
    );
    return { hardware_type, version, sha256, size_bytes, url, expires_dt: expires_dt.toISOString(), manifest };
  });

const favour = ['rejected', 'unclear', 'deferred', 'accepted'] as const satisfies CommandOutcome['outcome'][];

/** The outcome of each execution. Where the backend gave several, the one that does no harm to a device: a command accepted once is accepted. */
const mostFavourable = (results: readonly CommandOutcome[]): Map<number, CommandOutcome> =>
  new Map(results.toSorted((a, b) => favour.indexOf(a.outcome) - favour.indexOf(b.outcome)).map((result) => [result.execution_id, result]));

const toOutcome = (execution_id: number, result: CommandOutcome | undefined, now: Date): DispatchOutcome => {
  switch (result?.outcome) {
    case 'accepted':
      return { execution_id, event: 'accepted', reason: null, detail: null, next_attempt_dt: null };
    case 'rejected':
      return toRefusal(execution_id, result.reason);
    case 'deferred': {
      const next_attempt_dt = addSeconds(now, Math.max(1, result.retry_after_seconds));
      return { execution_id, event: 'deferred', reason: deferredReason(result.reason), detail: null, next_attempt_dt };
    }
    case 'unclear':
    case undefined:
      // It is unknown whether the backend took the command; sending it again is safe. Other devices are asked in the meantime.
      return toUnanswered(
        execution_id,
        result?.reason ?? 'backend gave no outcome',
        addSeconds(now, result ? oddItemSeconds : forgottenSeconds),
      );
  }
};

const toUnanswered = (execution_id: number, text: string, next_attempt_dt: Date): DispatchOutcome => ({
  ...{ execution_id, event: 'unanswered', reason: deferredReason(text), detail: null, next_attempt_dt },
});

const toRefusal = (execution_id: number, text: string): DispatchOutcome => ({
  ...{ execution_id, event: 'refused', reason: null, detail: wordsOfOthers(text, 2_000), next_attempt_dt: null },
});
