import { addSeconds, secondsBetween } from '../clock.ts';
import type { Trx } from '../db/database.ts';
import { isUnfinished, type Move, moveOf, reasons } from '../update/execution.ts';
import { noteLateSuccesses } from '../update/figure-queries.ts';
import { type ExecutionMove, lockReportedExecutions, moveExecutions, type ReportedExecution } from '../update/move-executions.ts';
import { isEnded } from '../update/update-status.ts';
import { type ConfirmationOutcome, eventOf, type Report } from './confirmation.ts';
import { applyReport, type KnownVersion, maximumClockAheadSeconds, type ReportEffect, toPartReport, type VersionReport } from './report.ts';
import { type KnownRow, listReportFacts, lockDevices, type ReportFacts, storeReports } from './report-queries.ts';

interface Item extends ReportFacts {
  report: Report;
  execution: ReportedExecution | undefined;
}

/**
 * The one way in which the service learns what devices run: stores it, and moves the executions it is about. A constant number of
 * statements, whatever the number of reports. Every report has an outcome of its own, in their order; a refused one changes nothing
 * and hinders no other. Repeating a call changes nothing.
 */
export async function recordReports(
  trx: Trx,
  reports: readonly Report[],
  now: Date,
  observation_id: number | null = null,
): Promise<ConfirmationOutcome[]> {
  await lockDevices(trx, reports);
  const items = await loadItems(trx, reports);
  const learned = new Learned(now);
  // By the time they happened, so that a batch means the same in whatever order its items come.
  const order = items.map((_, i) => i).sort((a, b) => timeOf(items, a) - timeOf(items, b) || a - b);
  const outcomes = new Map(order.map((i) => [i, learned.take(items[i] as Item)]));
  await storeReports(trx, learned.current, learned.changes, observation_id);
  await moveExecutions(trx, learned.moves, now);
  await noteLateSuccesses(trx, learned.lateSuccesses, now);
  return items.map((_, i) => outcomes.get(i) as ConfirmationOutcome);
}

const timeOf = (items: readonly Item[], i: number): number => items[i]?.report.occurred_dt.getTime() ?? 0;

const loadItems = async (trx: Trx, reports: readonly Report[]): Promise<Item[]> => {
  const facts = await listReportFacts(trx, reports);
  const subjects = reports.map(({ hardware_type, execution_id }, i) => ({
    device_id: facts[i]?.device_id ?? null,
    hardware_type,
    execution_id: execution_id ?? null,
  }));
  const executions = await lockReportedExecutions(trx, subjects);
  return reports.map((report, i) => ({ ...(facts[i] as ReportFacts), report, execution: executions[i] }));
};

/** What a batch of reports teaches: several reports about one device build on each other. */
class Learned {
  readonly changes: KnownRow[] = [];
  readonly lateSuccesses: number[] = [];
  readonly #now: Date;
  readonly #known = new Map<string, KnownRow>();
  readonly #moves = new Map<number, ExecutionMove>();

  constructor(now: Date) {
    this.#now = now;
  }

  get current(): KnownRow[] {
    return [...this.#known.values()];
  }

  get moves(): ExecutionMove[] {
    return [...this.#moves.values()];
  }

  take(item: Item): ConfirmationOutcome {
    const { external_id, hardware_type } = item.report;
    const refusal = findRefusal(item, this.#now);
    if (refusal || item.device_id === null) return { external_id, hardware_type, outcome: 'refused', ...refusal };

    const { version } = item.report;
    const before = this.#runs(item, item.device_id);
    const effect = version !== null && tellsWhatRuns(item) ? this.#learnVersion(item, version, item.device_id) : undefined;
    const move = this.#moveExecution(item, item.device_id, effect, before);
    const execution = item.execution && {
      id: item.execution.id,
      status: this.#moves.get(item.execution.id)?.move.status ?? item.execution.status,
    };
    return { external_id, hardware_type, outcome: outcomeOf(effect, move), ...(execution && { execution }) };
  }

  #learnVersion({ report, known, firmware_id, parts }: Item, version: string, device_id: number): ReportEffect {
    const { hardware_type, occurred_dt, since_dt, source } = report;
    const subject = { device_id, hardware_type };
    const { effect, ...learned } = this.#apply(subject, known, { version, firmware_id, occurred_dt, since_dt, source });
    // Only when the package is new on the device: later its parts may have been changed one by one.
    for (const part of effect === 'changed' ? parts : []) {
      this.#apply({ device_id, hardware_type: part.hardware_type }, part.known, toPartReport(learned.known, part));
    }
    return effect;
  }

  #apply(subject: Pick<KnownRow, 'device_id' | 'hardware_type'>, known: KnownVersion | undefined, report: VersionReport) {
    const key = `${subject.device_id} ${subject.hardware_type}`;
    const result = applyReport(this.#known.get(key) ?? known, report);
    if (result.effect === 'changed' || result.effect === 'seen') {
      const row = { ...result.known, ...subject };
      this.#known.set(key, row);
      if (result.effect === 'changed') this.changes.push(row);
    }
    return result;
  }

  #runs({ report, known }: Item, device_id: number): string | undefined {
    return (this.#known.get(`${device_id} ${report.hardware_type}`) ?? known)?.reported_version;
  }

  #moveExecution(item: Item, device_id: number, effect: ReportEffect | undefined, before: string | undefined): ExecutionMove | undefined {
    const { report, execution, known } = item;
    if (!execution) return undefined;
    const key = `${device_id} ${report.hardware_type}`;
    const event = eventOf(report, execution, effect !== undefined && this.#runs(item, device_id) === report.version, before);
    if (!event) return undefined;
    const earlier = this.#moves.get(execution.id)?.move;
    const status = earlier?.status ?? execution.status;
    // Not by what is older than the latest news of the device: when it comes again, it must mean what it meant at first.
    const isLate = event === 'proven' && effect !== 'outdated' && !isUnfinished(status) && status !== 'SUCCEEDED';
    if (isLate && execution.sent_dt) this.lateSuccesses.push(execution.id);
    // A failure that has led to another try, told again, would cost that try.
    if (earlier?.event === 'retried') return undefined;
    const phase = earlier?.to ?? execution.phase;
    const next = moveOf({ ...execution, phase, may_retry: !isEnded(execution.update_status) }, event, this.#now);
    if (!next || isRepeated(next, status)) return undefined;

    // Several in one batch are one move: from where it is stored to where the last of them leads.
    const made: Move = { ...earlier, ...next, from: execution.phase };
    if (event === 'canceled') made.reason = reasonOfCancel(execution);
    const move = { id: execution.id, move: made, detail: report.detail ?? null };
    this.#moves.set(execution.id, move);
    if (event === 'proven' && execution.sent_dt) {
      const row = this.#known.get(key) ?? (known && { ...known, device_id, hardware_type: report.hardware_type });
      // From command to proof; the clock of a device may be behind ours, but no installation takes less than nothing.
      const firmware_update_time = Math.max(0, secondsBetween(execution.sent_dt, report.occurred_dt));
      // The row is also the one in `changes`, so the history has the time too.
      if (row) this.#known.set(key, Object.assign(row, { firmware_update_time }));
    }
    return move;
  }
}

/** It leads to where the execution is already. */
const isRepeated = ({ from, to, status }: Move, current: ReportedExecution['status']): boolean =>
  from === to && (status === undefined || status === current);

/** A device that stops without having been asked to has reasons of its own. */
const reasonOfCancel = ({ phase, update_status }: ReportedExecution): string => {
  if (phase !== 'canceling') return reasons.deviceCanceled;
  return update_status === 'CANCELED' ? reasons.updateCanceled : reasons.updateAborted;
};

/**
 * Every report tells what the device runs, but for one that has not succeeded and names the version wanted, or may do so: that is what it
 * was about to install.
 */
const tellsWhatRuns = ({ report, execution }: Item): boolean =>
  report.status === 'SUCCEEDED' || (execution !== undefined && report.version !== execution.wanted_version);

const outcomeOf = (effect: ReportEffect | undefined, move: ExecutionMove | undefined): ConfirmationOutcome['outcome'] => {
  if (move || effect === 'changed' || effect === 'seen') return 'stored';
  return effect === 'outdated' ? 'outdated' : 'unchanged';
};

const findRefusal = (
  { device_id, hardware_type_exists, execution, report }: Item,
  now: Date,
): Pick<ConfirmationOutcome, 'code' | 'message'> | undefined => {
  const { kind, external_id, hardware_type, execution_id, occurred_dt } = report;
  if (device_id === null) return { code: 'device.not_found', message: `There is no ${kind} ${external_id}` };
  if (!hardware_type_exists) return { code: 'hardware_type.unknown', message: `There is no hardware type ${hardware_type}` };
  if (execution_id !== undefined && !execution) {
    return { code: 'execution.not_found', message: `${kind} ${external_id} has no execution ${execution_id} for ${hardware_type}` };
  }
  if (occurred_dt > addSeconds(now, maximumClockAheadSeconds)) {
    return {
      code: 'occurred_dt.in_future',
      message: `occurred_dt is more than ${maximumClockAheadSeconds} s ahead of this service's clock`,
    };
  }
  return undefined;
};
