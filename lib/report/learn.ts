import { secondsBetween } from '../clock.ts';
import { describeDifference } from '../firmware/version.ts';
import { isAtWork, isUnfinished } from '../update/execution.ts';
import type { ExecutionMove, ReportedExecution } from '../update/move-executions.ts';
import type { ExecutionNote } from '../update/reach/device-work-queries.ts';
import type { ConfirmationOutcome, Report } from './confirmation.ts';
import { isOfRunningClock, isPlausible } from './device-clock.ts';
import { askedBefore, eventOf, type Heard, isAnswer, type Standing } from './event-of-report.ts';
import { describeMismatch } from './mismatch.ts';
import { moveOfReport, standingAfter } from './move-of-report.ts';
import { applyReport, type ReportEffect, toPartReport, type VersionReport } from './report.ts';
import type { KnownRow, ReportFacts } from './report-queries.ts';

/** A report with everything that is needed to judge it. */
export interface ReportItem extends ReportFacts {
  report: Report;
  /** The execution that it names, or the latest of its device and hardware type. */
  execution: ReportedExecution | undefined;
}

/** What is to be done after reports: rows to store, and moves to make. */
export interface Lessons {
  /** What devices run now, where something about it is new. */
  current: KnownRow[];
  /** Each change of what devices run, in the order in which they happened. */
  changes: KnownRow[];
  moves: ExecutionMove[];
  /** Executions that had ended without success before the device was seen running the version wanted. */
  lateSuccesses: number[];
  /** For executions that wait for proof and whose device runs a version that differs only slightly: the difference. */
  notes: ExecutionNote[];
}

/** What has been learned of one device so far, by hardware type and by execution. */
interface Learned {
  known: ReadonlyMap<string, KnownRow>;
  changes: readonly KnownRow[];
  moves: ReadonlyMap<number, ExecutionMove>;
  lateSuccesses: readonly number[];
  notes: readonly ExecutionNote[];
}

const nothing: Learned = { known: new Map(), changes: [], moves: new Map(), lateSuccesses: [], notes: [] };

/**
 * What is to be done after a batch of reports, and an outcome for each report, in their order. A pure function of the reports and of what was
 * known before. Each report is judged on its own; several reports about one device are applied in the order in which they happened.
 */
export const learn = (items: readonly ReportItem[], now: Date): Lessons & { outcomes: ConfirmationOutcome[] } => {
  const outcomes = new Map<ReportItem, ConfirmationOutcome>();
  const learned: Learned[] = [];
  for (const [device_id, ofDevice] of Map.groupBy(items, (item) => item.device_id)) {
    let soFar = nothing;
    for (const item of inOrder(ofDevice, now)) {
      const refusal = findReportRefusal(item);
      const taken = device_id === null || refusal ? undefined : take(item, device_id, soFar, now);
      soFar = taken?.learned ?? soFar;
      outcomes.set(item, { ...subjectOf(item), ...(taken?.outcome ?? { outcome: 'refused', ...refusal }) });
    }
    learned.push(soFar);
  }
  return {
    outcomes: items.map((item) => outcomes.get(item) as ConfirmationOutcome),
    current: learned.flatMap(({ known }) => [...known.values()]),
    changes: learned.flatMap(({ changes }) => changes),
    moves: learned.flatMap(({ moves }) => [...moves.values()]),
    lateSuccesses: learned.flatMap(({ lateSuccesses }) => lateSuccesses),
    notes: learned.flatMap(({ notes }) => notes),
  };
};

/**
 * Sorts the reports of one device by their times, so that the order in a batch does not matter. A clock that is behind tells the order as well
 * as a right one. Reports whose times no running clock can state keep their positions.
 */
const inOrder = (items: readonly ReportItem[], now: Date): ReportItem[] => {
  const dated = items.filter((item) => isOfRunningClock(timeOf(item, item.execution, now)));
  const sorted = dated.toSorted((a, b) => a.report.occurred_dt.getTime() - b.report.occurred_dt.getTime());
  const isDated = new Set(dated);
  return items.map((item) => (isDated.has(item) ? (sorted.shift() as ReportItem) : item));
};

const heard = ({ registered_dt }: ReportItem, now: Date): Heard => ({ received_dt: now, registered_dt: registered_dt ?? now });

/** `execution`: as it stands when the report is judged. */
const timeOf = (item: ReportItem, execution: Standing | undefined, now: Date) => ({
  ...heard(item, now),
  occurred_dt: item.report.occurred_dt,
  source: item.report.source,
  asked_dt: askedBefore(item.report, execution),
});

const subjectOf = ({ report: { external_id, hardware_type } }: ReportItem) => ({ external_id, hardware_type });

const findReportRefusal = ({
  device_id,
  hardware_type_exists,
  execution,
  report,
}: ReportItem): Pick<ConfirmationOutcome, 'code' | 'message'> | undefined => {
  const { kind, external_id, hardware_type, execution_id } = report;
  if (device_id === null) return { code: 'device.not_found', message: `There is no ${kind} ${external_id}` };
  if (!hardware_type_exists) return { code: 'hardware_type.unknown', message: `There is no hardware type ${hardware_type}` };
  if (execution_id !== undefined && !execution) {
    return { code: 'execution.not_found', message: `${kind} ${external_id} has no execution ${execution_id} for ${hardware_type}` };
  }
  return undefined;
};

type Outcome = Pick<ConfirmationOutcome, 'outcome' | 'execution'>;

/** Applies one report of a device, after the earlier ones. */
const take = (item: ReportItem, device_id: number, soFar: Learned, now: Date): { learned: Learned; outcome: Outcome } => {
  const runs = (learned: Learned) => (learned.known.get(item.report.hardware_type) ?? item.known)?.reported_version;
  const told = learnVersion(item, device_id, soFar, now);
  if (!item.execution) return { learned: told.learned, outcome: { outcome: outcomeOf(told.effect, false) } };

  const before = soFar.moves.get(item.execution.id);
  const standing = standingAfter(item.execution, before);
  const isCurrent = told.effect !== undefined && runs(told.learned) === item.report.version;
  const event = eventOf(item.report, standing, heard(item, now), { isCurrent, before: runs(soFar) });
  const move = event && moveOfReport(item.execution, before, { event, ...item.report }, now);
  // A report that is older than the latest news of the device makes no late success: when it is repeated, it must mean the same again.
  const hasEndedOtherwise = !isUnfinished(standing.status) && standing.status !== 'SUCCEEDED' && standing.sent_dt !== null;
  const isLate = event === 'proven' && told.effect !== 'outdated' && hasEndedOtherwise;
  const learned = {
    ...(move && event === 'proven' ? withUpdateTime(told.learned, { ...item, device_id }, standing.sent_dt, now) : told.learned),
    moves: move ? new Map(soFar.moves).set(standing.id, move) : soFar.moves,
    lateSuccesses: isLate ? [...soFar.lateSuccesses, standing.id] : soFar.lateSuccesses,
    notes: isCurrent && !move ? [...soFar.notes, ...nearMisses(item.report, standing, device_id)] : soFar.notes,
  };
  const execution = { id: standing.id, status: move?.move.status ?? standing.status };
  return { learned, outcome: { outcome: outcomeOf(told.effect, move !== undefined), execution } };
};

/** If a device runs a version that differs only slightly from the wanted one, there will be no proof; an admin should see why before the deadline. */
const nearMisses = ({ version }: Report, { id, phase, wanted_version }: ReportedExecution, device_id: number): ExecutionNote[] =>
  isAtWork(phase) && version !== null && describeDifference(wanted_version, version)
    ? [{ device_id, execution_id: id, note: describeMismatch(wanted_version, version) }]
    : [];

const outcomeOf = (effect: ReportEffect | undefined, hasMoved: boolean): ConfirmationOutcome['outcome'] => {
  if (hasMoved || effect === 'changed' || effect === 'seen') return 'stored';
  return effect === 'outdated' ? 'outdated' : 'unchanged';
};

/**
 * Whether the report's version is what the device runs. If the report is no success and names the version wanted, this is what the device was
 * going to install. The same holds if it is not known which version was wanted.
 */
const tellsWhatRuns = ({ report, execution }: ReportItem): boolean =>
  report.status === 'SUCCEEDED' || (execution !== undefined && report.version !== execution.wanted_version);

const learnVersion = (
  item: ReportItem,
  device_id: number,
  soFar: Learned,
  now: Date,
): { learned: Learned; effect: ReportEffect | undefined } => {
  const { report, firmware_id, execution } = item;
  const { version, hardware_type, since_dt } = report;
  if (version === null || !tellsWhatRuns(item)) return { learned: soFar, effect: undefined };
  const standing = execution && standingAfter(execution, soFar.moves.get(execution.id));
  const isAnswerToCommand = standing !== undefined && isAnswer(report, standing, heard(item, now));
  const told = { ...timeOf(item, standing, now), version, firmware_id, since_dt, isAnswer: isAnswerToCommand, told_dt: item.told_dt };
  const { learned, effect, row } = learnRow({ device_id, hardware_type }, item.known, told, soFar);
  // What parts it runs is concluded only when the package is new on the device: later they may have been changed one by one.
  const parts = effect === 'changed' ? item.parts : [];
  const withParts = parts.reduce(
    (before, part) =>
      learnRow({ device_id, hardware_type: part.hardware_type }, part.known, toPartReport(row, part, heard(item, now)), before).learned,
    learned,
  );
  return { learned: withParts, effect };
};

const learnRow = (
  subject: Pick<KnownRow, 'device_id' | 'hardware_type'>,
  stored: ReportFacts['known'],
  report: VersionReport,
  soFar: Learned,
): { learned: Learned; effect: ReportEffect; row: KnownRow } => {
  const { effect, known } = applyReport(soFar.known.get(subject.hardware_type) ?? stored, report);
  const row = { ...known, ...subject };
  if (effect !== 'changed' && effect !== 'seen') return { learned: soFar, effect, row };
  const changes = effect === 'changed' ? [...soFar.changes, row] : soFar.changes;
  return { learned: { ...soFar, known: new Map(soFar.known).set(subject.hardware_type, row), changes }, effect, row };
};

/** Notes how long the installation took, in the row of what the device runs now and in its history. */
const withUpdateTime = (learned: Learned, item: ReportItem & { device_id: number }, sent_dt: Date | null, now: Date): Learned => {
  const { device_id } = item;
  const { hardware_type, occurred_dt } = item.report;
  const row = learned.known.get(hardware_type) ?? (item.known && { ...item.known, device_id, hardware_type });
  if (!row || !sent_dt) return learned;
  const proven_dt = isPlausible(timeOf(item, item.execution, now)) ? occurred_dt : now;
  // From command to proof. A device may have run the version before the command; no installation takes less than 0 s.
  const timed = { ...row, firmware_update_time: Math.max(0, secondsBetween(sent_dt, proven_dt)) };
  return {
    ...learned,
    known: new Map(learned.known).set(hardware_type, timed),
    changes: learned.changes.map((change) => (change === row ? timed : change)),
  };
};
