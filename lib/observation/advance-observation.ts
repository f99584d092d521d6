import { addSeconds, type Clock, secondsBetween } from '../clock.ts';
import type { Trx } from '../db/database.ts';
import { addDevices, takeTurnInRegistering } from '../fleet/change-queries.ts';
import { NewDevice } from '../fleet/new-device.ts';
import type { Log } from '../log.ts';
import { BackendRefusal, BackendUnavailable } from '../ports/backend.ts';
import type { Queue } from '../ports/queue.ts';
import type { ConfirmationOutcome } from '../report/confirmation.ts';
import { toReports } from '../report/observed-reports.ts';
import { recordReports } from '../report/record-reports.ts';
import { lockDevices } from '../report/report-queries.ts';
import type { AdvanceMessage } from '../update/messages.ts';
import { wakeForCandidates } from '../update/reach/wake-for-candidates.ts';
import { stateOfStep, UnderWay, waitForCommit } from '../walk.ts';
import { type Answers, type AskBackendDeps, askBackend } from './ask-backend.ts';
import type { ObserveMessage } from './messages.ts';
import { chunkPace, isEndless, longestWaitSeconds, waitAfterFailure } from './observation.ts';
import {
  type ClaimedObservation,
  claimStep,
  failStep,
  findWalk,
  finishStep,
  lockWalk,
  markStepSent,
  type StepCounts,
} from './observation-walk-queries.ts';

export interface AdvanceObservationDeps extends AskBackendDeps {
  observations: Queue<ObserveMessage>;
  /** Missing: no update is woken. */
  advances?: Queue<AdvanceMessage> | undefined;
  log: Log;
  now: Clock;
}

/**
 * Longer than the function itself may run: if a step's call began longer ago than this, nobody works on it any more. It is also no shorter than
 * the longest interval between two chunks, so that the pace is kept when a chunk is asked for again after a crash.
 */
const leaseSeconds = 60;

/**
 * Does one step of an observation: asks the backend what the next chunk of devices runs, stores what it learns, and sends the message
 * of the next step, until every device was asked. If the backend does not answer, nothing is lost: the next step asks for the same devices,
 * later. A step that is repeated after a crash asks again only if the answer was not stored.
 *
 * @throws {@link UnderWay}, `queue.unavailable`, `database.unavailable`: the message has to come again.
 */
export async function advanceObservation(
  deps: AdvanceObservationDeps,
  message: ObserveMessage,
  remainingMilliseconds: () => number,
): Promise<void> {
  const { observation_id, step, created_dt } = message;
  const began = deps.now();
  const claimed = await claimStep(deps.db, observation_id, step, { now: began, leaseSeconds });
  if (claimed) await askNextChunk(deps, claimed, { step, began, remainingMilliseconds });

  const walk = await findWalk(deps.db, observation_id);
  if (!walk) {
    const isAwaited = await waitForCommit(deps.observations, message, began);
    if (!isAwaited) deps.log.warn('observation was never committed', { observation_id });
    return;
  }
  const state = stateOfStep(step, walk);
  if (state === 'passed' || walk.due_dt === null) return;
  const delaySeconds = Math.min(longestWaitSeconds, Math.max(0, Math.ceil(secondsBetween(deps.now(), walk.due_dt))));
  if (state === 'due') {
    if (walk.due_dt <= began) throw new UnderWay(`Step ${step} of observation ${observation_id} is being done`);
    // The message came too early, because this clock differs a little from the one that set the time.
    return deps.observations.send([message], { delaySeconds });
  }
  await deps.observations.send([{ observation_id, step: step + 1, created_dt }], { delaySeconds });
  await markStepSent(deps.db, observation_id, step + 1);
}

interface Step {
  step: number;
  /** When it was claimed: the pace counts from here. */
  began: Date;
  remainingMilliseconds: () => number;
}

const askNextChunk = async (deps: AdvanceObservationDeps, observation: ClaimedObservation, step: Step): Promise<void> => {
  try {
    if (observation.add_unknown && isEndless(step.step, observation.maximum_per_minute))
      throw new BackendRefusal('backend lists its devices without end');
    const answers = await askBackend(deps, observation, step.remainingMilliseconds);
    if (answers.next !== null && answers.next === observation.cursor)
      throw new BackendRefusal('backend lists the same devices again and again');
    if (answers.error !== null) deps.log.warn('backend refused a question', { observation_id: observation.id, error: answers.error });
    await deps.db.transaction().execute((trx) => storeAnswers(trx, deps, observation, { ...step, answers }));
  } catch (error) {
    if (!(error instanceof BackendUnavailable || error instanceof BackendRefusal)) throw error;
    deps.log.warn('backend did not say what devices run', { observation_id: observation.id, step: step.step, error });
    const now = deps.now();
    // The backend would refuse again, and without its list nobody knows which devices to ask for.
    const due_dt = error instanceof BackendRefusal ? null : addSeconds(now, waitOf(observation, error));
    await failStep(deps.db, observation.id, { nextStep: step.step + 1, error: error.message, due_dt, now });
  }
};

/** How long to wait before failed devices are asked for again; these calls count for the pace as well. */
const waitOf = ({ failures, maximum_per_minute }: ClaimedObservation, { retryAfterSeconds }: BackendUnavailable): number =>
  Math.max(chunkPace(maximum_per_minute).seconds, waitAfterFailure(failures + 1, retryAfterSeconds));

/** Stores everything that a step has learned in one transaction. If that fails, nothing is stored and the step is repeated. */
const storeAnswers = async (
  trx: Trx,
  { advances, ...deps }: Pick<AdvanceObservationDeps, 'advances' | 'now'>,
  { id, add_unknown, maximum_per_minute }: ClaimedObservation,
  { step, began, answers }: Step & { answers: Answers },
): Promise<void> => {
  const now = deps.now();
  const walk = await lockWalk(trx, id);
  // Another call for this step was answered first, or the observation was canceled meanwhile.
  if (walk?.status !== 'IN_PROGRESS' || stateOfStep(step, walk) !== 'due') return;
  const { reports, malformed } = toReports(answers.answered);
  // Registrations add first and lock the others afterwards: beside one of them, the two could wait for each other in a circle.
  if (add_unknown) await takeTurnInRegistering(trx);
  // Known devices are locked before new ones are added: all code that stores reports locks devices first and counts them afterwards.
  await lockDevices(reports).execute(trx);
  const devices_added = add_unknown ? await addDevices(trx, toNewDevices(answers), now) : 0;
  const outcomes = await recordReports(trx, reports, now, { observation_id: id, advances });
  if (advances && devices_added > 0) await wakeForCandidates(trx, advances, now);
  const { next, error } = answers;
  await finishStep(trx, id, {
    nextStep: step + 1,
    next: next === null ? null : { cursor: next, due_dt: addSeconds(began, chunkPace(maximum_per_minute).seconds) },
    counts: { ...countDevices(answers), devices_added, ...countOutcomes(outcomes, malformed) },
    error,
    now,
  });
};

/** The devices to add. Their channel is telematics, because the backend reaches them. */
const toNewDevices = ({ answered }: Answers): NewDevice[] =>
  answered.flatMap(
    ({ kind, external_id, version }) => NewDevice.safeParse({ kind, external_id, version, channel: 'telematics' }).data ?? [],
  );

const countDevices = ({ devices, impossible, answered, refused }: Answers) => ({
  devices_asked: devices.length + impossible,
  devices_answered: answered.length,
  devices_unknown: devices.length - refused - answered.length,
  devices_refused: refused + impossible,
});

const countOutcomes = (
  outcomes: readonly ConfirmationOutcome[],
  malformed: number,
): Pick<StepCounts, 'devices_not_registered' | `reports_${ConfirmationOutcome['outcome']}`> => {
  const ofStrangers = outcomes.filter(({ code }) => code === 'device.not_found');
  const countOf = (wanted: ConfirmationOutcome['outcome']) => outcomes.filter(({ outcome }) => outcome === wanted).length;
  return {
    devices_not_registered: new Set(ofStrangers.map(({ external_id }) => external_id)).size,
    reports_stored: countOf('stored'),
    reports_unchanged: countOf('unchanged'),
    reports_outdated: countOf('outdated'),
    reports_refused: countOf('refused') - ofStrangers.length + malformed,
  };
};
