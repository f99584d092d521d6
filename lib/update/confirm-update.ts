import { addSeconds, type Clock, secondsBetween } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import { applyReport, type KnownVersion, maximumClockAheadSeconds, type ReportEffect } from '../fleet/report.ts';
import { type KnownRow, listReportFacts, lockDevices, type ReportFacts, storeReports } from '../fleet/report-queries.ts';
import { type Confirmation, type ConfirmationOutcome, eventOf, reasonOf } from './confirmation.ts';
import { transitions } from './execution.ts';
import { type ExecutionMove, listReportedExecutions, moveExecutions, type ReportedExecution } from './execution-queries.ts';

export interface ConfirmUpdateDeps {
  db: Db;
  now: Clock;
}

interface Item extends ReportFacts {
  confirmation: Confirmation;
  execution: ReportedExecution | undefined;
}

/**
 * Stores what devices report: what each runs now, and what became of its execution. A constant number of statements, whatever the
 * number of reports. Every item has an outcome of its own, in the order of the items; a refused one changes nothing and hinders no other.
 * Repeating a call changes nothing.
 */
export async function confirmUpdate(
  { db, now }: ConfirmUpdateDeps,
  confirmations: readonly Confirmation[],
): Promise<ConfirmationOutcome[]> {
  return db.transaction().execute(async (trx) => {
    await lockDevices(trx, confirmations);
    const items = await loadItems(trx, confirmations);
    const learned = new Learned(now());
    // By the time they happened, so that a batch means the same in whatever order its items come.
    const order = items.map((_, i) => i).sort((a, b) => timeOf(items, a) - timeOf(items, b) || a - b);
    const outcomes = new Map(order.map((i) => [i, learned.take(items[i] as Item)]));
    await storeReports(trx, learned.current, learned.changes);
    await moveExecutions(trx, learned.moves, now());
    return items.map((_, i) => outcomes.get(i) as ConfirmationOutcome);
  });
}

const timeOf = (items: readonly Item[], i: number): number => items[i]?.confirmation.occurred_dt.getTime() ?? 0;

const loadItems = async (trx: Trx, confirmations: readonly Confirmation[]): Promise<Item[]> => {
  const facts = await listReportFacts(trx, confirmations);
  const subjects = confirmations.map(({ hardware_type, execution_id }, i) => ({
    device_id: facts[i]?.device_id ?? null,
    hardware_type,
    execution_id: execution_id ?? null,
  }));
  const executions = await listReportedExecutions(trx, subjects);
  return confirmations.map((confirmation, i) => ({ ...(facts[i] as ReportFacts), confirmation, execution: executions[i] }));
};

/** What a batch of reports teaches: several reports about one device build on each other. */
class Learned {
  readonly changes: KnownRow[] = [];
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
    const { external_id, hardware_type } = item.confirmation;
    const refusal = findRefusal(item, this.#now);
    if (refusal || item.device_id === null) return { external_id, hardware_type, outcome: 'refused', ...refusal };

    const effect = item.confirmation.status === 'SUCCEEDED' ? this.#learnVersion(item, item.device_id) : undefined;
    const move = this.#moveExecution(item, item.device_id, effect);
    const execution = item.execution && {
      id: item.execution.id,
      status: this.#moves.get(item.execution.id)?.status ?? item.execution.status,
    };
    return { external_id, hardware_type, outcome: outcomeOf(effect, move), ...(execution && { execution }) };
  }

  #learnVersion({ confirmation, known, firmware_id }: Item, device_id: number): ReportEffect {
    const { hardware_type, version, occurred_dt } = confirmation;
    const key = `${device_id} ${hardware_type}`;
    const before: KnownVersion | undefined = this.#known.get(key) ?? known;
    const result = applyReport(before, { version, firmware_id, occurred_dt, source: 'confirmation' });
    if (result.effect === 'changed' || result.effect === 'seen') {
      const row = { ...result.known, device_id, hardware_type };
      this.#known.set(key, row);
      if (result.effect === 'changed') this.changes.push(row);
    }
    return result.effect;
  }

  #moveExecution({ confirmation, execution, known }: Item, device_id: number, effect: ReportEffect | undefined): ExecutionMove | undefined {
    if (!execution) return undefined;
    const key = `${device_id} ${confirmation.hardware_type}`;
    const runs = (this.#known.get(key) ?? known)?.reported_version;
    const event = eventOf(confirmation, execution, effect !== undefined && runs === confirmation.version);
    const status = this.#moves.get(execution.id)?.status ?? execution.status;
    const next = event && transitions[status][event];
    if (!event || !next || next === status) return undefined;
    const move = { id: execution.id, status: next, reason: reasonOf[event] ?? null, detail: confirmation.detail?.slice(0, 2_000) ?? null };
    this.#moves.set(execution.id, move);
    if (event === 'proven' && execution.sent_dt) {
      const row = this.#known.get(key) ?? (known && { ...known, device_id, hardware_type: confirmation.hardware_type });
      // From command to proof; the clock of a device may be behind ours, but no installation takes less than nothing.
      // The row is also the one in `changes`, so the history has the time too.
      if (row)
        this.#known.set(
          key,
          Object.assign(row, { firmware_update_time: Math.max(0, secondsBetween(execution.sent_dt, confirmation.occurred_dt)) }),
        );
    }
    return move;
  }
}

const outcomeOf = (effect: ReportEffect | undefined, move: ExecutionMove | undefined): ConfirmationOutcome['outcome'] => {
  if (move || effect === 'changed' || effect === 'seen') return 'stored';
  return effect === 'outdated' ? 'outdated' : 'unchanged';
};

const findRefusal = (
  { device_id, hardware_type_exists, execution, confirmation }: Item,
  now: Date,
): Pick<ConfirmationOutcome, 'code' | 'message'> | undefined => {
  const { kind, external_id, hardware_type, execution_id, occurred_dt } = confirmation;
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
