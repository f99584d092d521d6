import { addSeconds } from '../../../../lib/clock.ts';
import type { StopRule } from '../../../../lib/update/rules.ts';
import { claim } from './claim.ts';
import {
  checkBudget,
  checkChanges,
  checkRevisions,
  checkWindows,
  fits,
  isFinal,
  isMeant,
  isOutOfService,
  isSupersedable,
  isUnasked,
  listUntaken,
  type Untaken,
} from './fleet-model.ts';
import type { Snapshot } from './snapshot.ts';
import type { Deps, Fact } from './world.ts';

/**
 * What must be true in a history, whatever happened in it. A simple model gets the facts and reads the rows. It knows the guarantees
 * (docs/architecture.md), but not how the engine keeps them.
 */

type Execution = Snapshot['executions'][number];
type Called = Extract<Fact, { kind: 'called' }>;
type Learned = Extract<Fact, { kind: 'learned' }>;

/** It only waits to be canceled: its device was not asked and will not be, so it does not keep the device from another update. */
const isAbandoned = (execution: Execution): boolean =>
  isUnasked(execution) && (['CANCELED', 'ABORTED'].includes(execution.update_status) || execution.firmware_status === 'withdrawn');
const rankOf = (execution: Execution): number => (isFinal(execution) ? 2 : execution.status === 'IN_PROGRESS' ? 1 : 0);
/** The fields that may still change when an execution has ended, including those of its update and its firmware. */
const mayChange = ({ late_success_dt, told_status, update_status, firmware_status }: Execution) => ({
  ...{ late_success_dt, told_status, update_status, firmware_status },
});
const keyOf = ({ external_id, hardware_type }: { external_id: string; hardware_type: string }): string => `${external_id} ${hardware_type}`;

interface Known {
  version: string;
  /** When it was so: as stated, or when it came, where that cannot be right. */
  at: Date;
  stated: Date;
  source: 'confirmation' | 'observation';
}

/** What was promised about an update's speed, and since when. */
interface Promised {
  since: Date;
  maximum_per_minute: number;
  maximum_in_progress: number | null;
}

/** What the model remembers. */
const createMemory = (before: Snapshot) => ({
  /** What devices may be known to run: one of these. The model cannot know whether a report was an answer to a command. */
  known: new Map<string, Known[]>(),
  learned: [] as Learned[],
  /** Devices, by hardware type, that have stated a time that cannot be right: from then on nobody can tell the order of their reports. */
  liars: new Set<string>(),
  calls: [] as Called[],
  promised: new Map<number, Promised[]>(),
  /** Updates that must not ask any device any more, and the number of the fact after which this holds. */
  halted: new Map<number, number>(),
  taken: new Map<number, Set<string>>(),
  lateSuccesses: new Set<number>(),
  resumed: new Map<number, Date>(),
  told: new Map<number, string>(),
  toldExecutions: new Map<number, string>(),
  before,
  /** The last line of the audit. */
  lastLine: before.lines.at(-1)?.id ?? 0,
});
export type Memory = ReturnType<typeof createMemory>;

export class Model {
  readonly #deps: Deps;
  #memory: Memory;
  #facts = 0;
  /** Ids of executions that were given out, and ids that a restore has taken back: they are never given out again. */
  readonly #given = new Set<number>();
  readonly #takenBack = new Set<number>();

  /** `start`: what there is before the history. */
  constructor(deps: Deps, start: Snapshot) {
    this.#deps = deps;
    this.#memory = createMemory(start);
  }

  get lastLine(): number {
    return this.#memory.lastLine;
  }

  isOutOfService(external_id: string): boolean {
    return isOutOfService(this.#memory.before, external_id);
  }

  remember(): Memory {
    return structuredClone(this.#memory);
  }

  /** The database was restored: the service forgets what has happened since, but the backend and the devices do not. */
  goBack(memory: Memory, facts: readonly Fact[]): void {
    this.#memory = structuredClone(memory);
    this.#facts = facts.length;
    const kept = new Set(this.#memory.before.executions.map(({ id }) => id));
    for (const id of this.#given) if (!kept.has(id)) this.#takenBack.add(id);
  }

  /** Judges what has happened since the last time. */
  check(facts: readonly Fact[], after: Snapshot, now: Date): void {
    const news = facts.slice(this.#facts);
    for (const [i, fact] of news.entries()) this.#take(fact, this.#facts + i, after, now);
    this.#facts = facts.length;
    const span = { news, before: this.#memory.before, after };
    for (const checkFleet of [checkChanges, checkRevisions, checkBudget, checkWindows]) checkFleet(span);
    this.#checkClaims(news, after);
    this.#checkStatuses(after);
    this.#checkKnown(after);
    this.#checkSuccesses(after);
    this.#checkPace(after);
    this.#checkCanary(after);
    this.#checkAttempts(after);
    for (const { id } of after.executions) {
      claim(!this.#takenBack.has(id), 'an id that was given out is not used again after a restore', id);
      this.#given.add(id);
    }
    for (const { id, status } of after.updates) {
      if (status === 'ABORTED' || status === 'CANCELED')
        this.#memory.halted.set(id, Math.min(this.#memory.halted.get(id) ?? facts.length, facts.length));
    }
    this.#memory.before = after;
    this.#memory.lastLine = after.lines.at(-1)?.id ?? this.#memory.lastLine;
  }

  #take(fact: Fact, number: number, after: Snapshot, now: Date): void {
    switch (fact.kind) {
      case 'requested': {
        this.#memory.promised.set(fact.update_id, [{ since: now, ...fact.request.rollout }]);
        if (fact.isAlone) {
          this.#checkPlan(fact, after);
          this.#checkTaken(fact.update_id, after);
        }
        break;
      }
      case 'retried': {
        const update = after.updates.find(({ id }) => id === fact.update_id);
        if (update) this.#memory.promised.set(fact.update_id, [{ since: now, ...update }]);
        break;
      }
      case 'control began':
        if (fact.action === 'resume') this.#memory.halted.delete(fact.update_id);
        break;
      case 'control ended': {
        const { action, update_id } = fact;
        if (typeof action === 'object') {
          const promised = this.#memory.promised.get(update_id) ?? [];
          const last = promised.at(-1);
          if (last) promised.push({ ...last, ...action.pace, since: now } as Promised);
        } else if (action !== 'resume') this.#memory.halted.set(update_id, number);
        else if (this.#memory.before.updates.find(({ id }) => id === update_id)?.status === 'PAUSED')
          this.#memory.resumed.set(update_id, now);
        break;
      }
      case 'called':
        this.#takeCall(fact, after);
        break;
      case 'told':
        this.#takeEvent(fact, after);
        break;
      case 'learned':
        this.#takeReport(fact, after);
    }
  }

  /** An event was true: the execution has this status, or has moved on since. */
  #takeEvent({ update, executions }: Extract<Fact, { kind: 'told' }>, after: Snapshot): void {
    if (update) this.#memory.told.set(update.id, `${update.status} ${update.isFinished}`);
    for (const told of executions) {
      const execution = after.executions.find(({ id }) => id === told.id);
      const isSo = execution && (execution.status === told.status || rankOf(execution) > rankOf({ ...execution, status: told.status }));
      claim(Boolean(isSo), 'an event says what is, or was', told, execution);
      this.#memory.toldExecutions.set(told.id, told.status);
    }
  }

  /** When nothing is left to do, the last status of everything was told. */
  checkTold({ executions, updates }: Snapshot): void {
    for (const { id, status, finished_dt } of updates) {
      const told = this.#memory.told.get(id);
      claim(told === `${status} ${finished_dt !== null}`, 'how an update has ended is told', { id, status, finished_dt, told });
    }
    for (const { id, status, reason } of executions) {
      const told = this.#memory.toldExecutions.get(id);
      claim(told === status || reason === 'ALREADY_ON_TARGET', 'how an execution has ended is told', { id, status, told });
    }
  }

  #takeCall(call: Called, { executions }: Snapshot): void {
    this.#memory.calls.push(call);
    for (const { execution_id, external_id, outcome } of call.commands) {
      const execution = executions.find(({ id }) => id === execution_id);
      claim(execution?.external_id === external_id, 'a command is about an execution of its device', call);
      if (!execution) continue;
      const halted = this.#memory.halted.get(execution.update_id);
      claim(halted === undefined || call.began <= halted, 'nobody is asked after a cancel, a pause or an abort', call);
      const before = this.#memory.before.executions.find(({ id }) => id === execution_id);
      claim(!before || !isFinal(before), 'nobody is asked for an execution that has ended', call);
      if (outcome === 'deferred' || outcome === 'rejected') continue;
      const taken = this.#memory.taken.get(execution.update_id) ?? new Set();
      this.#memory.taken.set(execution.update_id, taken.add(external_id));
    }
  }

  #takeReport(fact: Learned, after: Snapshot): void {
    const { report, source, newest_execution_id } = fact;
    // Between two looks a device may be taken in, asked and heard, or heard and then taken in.
    const { executions } = this.#memory.before;
    const ids = new Set(executions.map(({ id }) => id));
    const all = [...executions, ...after.executions.filter(({ id }) => !ids.has(id) && id <= newest_execution_id)];
    const mine = all.filter((execution) => keyOf(execution) === keyOf(report));
    const execution = report.execution_id ? mine.find(({ id }) => id === report.execution_id) : mine.at(-1);
    this.#memory.learned.push(fact);
    if (source === 'confirmation' && !canBeRight(fact)) this.#memory.liars.add(keyOf(report));
    // If a report is no success and names the wanted version, this is not what the device runs.
    if (report.status !== 'SUCCEEDED' && (!execution || report.version === execution.wanted_version)) return;
    const before = this.#memory.known.get(keyOf(report)) ?? [undefined];
    const mayBeAnswer = report.execution_id !== undefined || report.version === execution?.wanted_version;
    const possible = before.map((known) => ({ known, next: nextOf(fact, known, source === 'confirmation' && mayBeAnswer) }));
    this.#memory.known.set(
      keyOf(report),
      possible.flatMap(({ next }) => next),
    );
    const isRepeated = ({ known }: { known: Known | undefined }) =>
      known?.version === report.version && known.stated.getTime() === report.occurred_dt.getTime();
    const isNewsOrRepeated = possible.every((each) => isRepeated(each) || each.next.every((next) => next !== each.known));
    const isProof = report.status === 'SUCCEEDED' && isNewsOrRepeated;
    if (
      isProof &&
      !this.#memory.liars.has(keyOf(report)) &&
      execution?.wanted_version === report.version &&
      isFinal(execution) &&
      !['SUCCEEDED', 'REMOVED'].includes(execution.status) &&
      execution.sent_dt
    ) {
      this.#memory.lateSuccesses.add(execution.id);
    }
  }

  /** The devices that take part are those that the rules say, and all of them have an execution. */
  #checkPlan({ update_id, request }: Extract<Fact, { kind: 'requested' }>, after: Snapshot): void {
    const { targets } = request;
    const chosen =
      'external_ids' in targets
        ? targets.external_ids
        : this.#memory.before.devices.filter((device) => isMeant(targets, device)).map(({ external_id }) => external_id);
    const firmware = this.#deps.firmwares.find(({ id }) => id === request.firmware_id);
    const expected: Record<string, number> = {};
    for (const external_id of new Set(chosen)) {
      const eligibility = firmware && this.#eligibilityOf(external_id, firmware, request);
      if (eligibility) expected[eligibility] = (expected[eligibility] ?? 0) + 1;
    }
    const update = after.updates.find(({ id }) => id === update_id);
    const sorted = (planned: unknown) => JSON.stringify(Object.entries(planned as object).sort());
    claim(sorted(update?.planned) === sorted(expected), 'an update plans what the rules say', update?.planned, expected);
  }

  #eligibilityOf(
    external_id: string,
    firmware: Deps['firmwares'][number],
    request: { allow_downgrade: boolean; force: boolean; supersede: boolean; replaces_update_id: number | null },
  ): string {
    const { before } = this.#memory;
    const device = before.devices.find((each) => each.external_id === external_id);
    if (!device) return 'UNKNOWN_DEVICE';
    if (device.is_retired) return 'RETIRED_DEVICE';
    const stored = before.firmwares.find(({ id }) => id === firmware.id);
    if (stored && !fits(stored, device)) return 'HARDWARE_MISMATCH';
    const mine = before.executions.filter((e) => keyOf(e) === keyOf({ external_id, ...firmware }));
    // What the replaced update has not asked for ends with it.
    const isGivenUp = (e: Execution) => e.update_id === request.replaces_update_id && isUnasked(e);
    const inFlight = mine.filter((execution) => !isFinal(execution) && !isAbandoned(execution) && !isGivenUp(execution));
    if (inFlight.some((execution) => !request.supersede || !isSupersedable(execution))) return 'UPDATE_IN_FLIGHT';
    const version = this.#memory.known.get(keyOf({ external_id, ...firmware }))?.[0]?.version;
    if (version === firmware.version) return 'ALREADY_ON_TARGET';
    const known = this.#deps.firmwares.find((f) => f.hardware_type === firmware.hardware_type && f.version === version);
    if (known && known.version_num > firmware.version_num && !request.allow_downgrade) return 'DOWNGRADE';
    const failed = mine.filter((e) => e.status === 'FAILED' && e.wanted_version === firmware.version && !e.late_success_dt);
    if (failed.length >= 3 && !request.force) return 'BLOCKED';
    return version !== undefined && !known ? 'ELIGIBLE_UNKNOWN_VERSION' : 'ELIGIBLE';
  }

  /** G12, when all is quiet: no open update has a device left that it has to take in. */
  checkTakenIn(snapshot: Snapshot): void {
    const untaken = this.listUntaken(snapshot);
    claim(untaken.length === 0, 'G12: a device that matches a continuous update is taken in', untaken, snapshot);
  }

  listUntaken(snapshot: Snapshot): Untaken[] {
    return listUntaken(snapshot, this.#deps.firmwares);
  }

  /** G2, G3. */
  #checkStatuses(after: Snapshot): void {
    const unfinished = after.executions.filter((execution) => !isFinal(execution)).map(keyOf);
    claim(new Set(unfinished).size === unfinished.length, 'a device has one unfinished execution per hardware type', unfinished);
    // A continuous update takes a device again that runs another version.
    const continuous = new Set(after.updates.filter((update) => update.continuous).map(({ id }) => id));
    const once = after.executions.filter(({ update_id }) => !continuous.has(update_id));
    const devices = once.map(({ update_id, device_id }) => `${update_id} ${device_id}`);
    claim(new Set(devices).size === devices.length, 'a device takes part in an update once', devices);
    this.#checkSuperseded(after);
    const now = new Map(after.executions.map((execution) => [execution.id, execution]));
    for (const before of this.#memory.before.executions) {
      const execution = now.get(before.id);
      claim(execution !== undefined, 'no execution is lost', before);
      if (!execution) continue;
      claim(rankOf(execution) >= rankOf(before), 'statuses move forward', before, execution);
      // A try that was granted but not sent before the end does not count.
      const unsent = isFinal(execution) && ['waiting', 'released'].includes(before.phase) && before.retries > 0 ? 1 : 0;
      const areCounted = execution.attempt >= before.attempt - unsent && execution.retries >= before.retries - unsent;
      claim(areCounted, 'attempts are counted upwards', before, execution);
      if (!isFinal(before)) continue;
      const isSame = JSON.stringify({ ...execution, ...mayChange(before) }) === JSON.stringify(before);
      claim(isSame, 'a finished execution never changes', before, execution);
      const wasLate = before.late_success_dt;
      claim(!wasLate || wasLate.getTime() === execution.late_success_dt?.getTime(), 'a late success is counted once', before, execution);
    }
    const updates = new Map(after.updates.map((update) => [update.id, update]));
    for (const before of this.#memory.before.updates) {
      const update = updates.get(before.id);
      const hasEnded = ['COMPLETED', 'CANCELED', 'ABORTED'].includes(before.status);
      claim(!hasEnded || update?.status === before.status || update?.status === 'CANCELED', 'an ended update stays ended', before, update);
      claim(!before.finished_dt || update?.finished_dt?.getTime() === before.finished_dt.getTime(), 'an update ends once', before, update);
    }
    for (const update of after.updates) this.#checkPause(update, after);
    for (const { id, finished_dt, number_of_retries } of after.updates) {
      const mine = after.executions.filter(({ update_id }) => update_id === id);
      claim(!finished_dt || mine.every(isFinal), 'an update ends after its executions', id);
      for (const execution of mine) {
        claim(execution.retries <= number_of_retries, 'no more retries than asked for', execution);
        const needsReason = ['FAILED', 'TIMED_OUT', 'REJECTED', 'CANCELED'].includes(execution.status);
        claim(!needsReason || Boolean(execution.reason), 'an end that is no success has a reason', execution);
      }
    }
  }

  /** Devices are lost only to a younger update that says so. */
  #checkSuperseded({ executions, updates }: Snapshot): void {
    for (const execution of executions.filter(({ reason }) => reason?.startsWith('SUPERSEDED'))) {
      const by = updates.find(({ id }) => id === Number(execution.reason?.split(': ')[1]));
      claim(by?.supersede === true && by.id > execution.update_id, 'a younger update supersedes', execution, by);
    }
  }

  /** As long as a younger update claims a device, no older one asks it that has not asked it before. */
  #checkClaims(news: readonly Fact[], { claims }: Snapshot): void {
    const called = new Set(news.flatMap((fact) => (fact.kind === 'called' ? fact.commands.map(({ execution_id }) => execution_id) : [])));
    const { before } = this.#memory;
    for (const execution of before.executions.filter((e) => called.has(e.id) && e.phase === 'waiting' && !e.is_unanswered)) {
      const isMine = (other: Snapshot['claims'][number]) =>
        other.device_id === execution.device_id && other.hardware_type === execution.hardware_type && other.update_id > execution.update_id;
      claim(!(before.claims.some(isMine) && claims.some(isMine)), 'a claimed device is not asked by an older update', execution, claims);
    }
  }

  /** A request supersedes no device that is at work, or may be. */
  #checkTaken(update_id: number, { executions }: Snapshot): void {
    const taken = new Set(executions.filter(({ reason }) => reason === `SUPERSEDED: ${update_id}`).map(({ id }) => id));
    const before = this.#memory.before.executions.filter(({ id }) => taken.has(id));
    claim(before.every(isSupersedable), 'who is at work is not superseded', before);
  }

  /** A rule that pauses needs enough executions that have ended since an admin last resumed the update. */
  #checkPause({ id, status, reason, abort }: Snapshot['updates'][number], { executions }: Snapshot): void {
    const wasPaused = this.#memory.before.updates.find((update) => update.id === id)?.status === 'PAUSED';
    if (wasPaused || status !== 'PAUSED' || !reason?.startsWith('FAILURE_RATE')) return;
    const since = this.#memory.resumed.get(id) ?? new Date(0);
    const ended = executions.filter((e) => {
      const isJudged = ['SUCCEEDED', 'FAILED', 'TIMED_OUT', 'REJECTED'].includes(e.status) && e.reason !== 'ALREADY_ON_TARGET';
      return e.update_id === id && isJudged && e.finished_dt !== null && e.finished_dt >= since;
    });
    const needed = Math.min(...(abort as unknown as StopRule[]).map(({ minimum_executions }) => minimum_executions));
    claim(ended.length >= needed, 'a rule pauses again only when more have ended', { id, reason, since }, ended);
  }

  /** G4: what a device runs is what its latest report says, whatever the order. */
  #checkKnown(after: Snapshot): void {
    claim(after.known.length === this.#memory.known.size, 'what devices run is known of those that have said it', after.known, [
      ...this.#memory.known,
    ]);
    for (const row of after.known) {
      const possible = this.#memory.liars.has(keyOf(row)) ? this.#toldBy(row) : (this.#memory.known.get(keyOf(row)) ?? []);
      const so = possible.filter(
        ({ version, at, source }) =>
          version === row.reported_version && at.getTime() === row.observed_dt.getTime() && source === row.source,
      );
      claim(so.length > 0, 'a device runs what its latest report says', row, possible);
      this.#memory.known.set(keyOf(row), so);
    }
    for (const row of after.known) {
      const firmware = this.#deps.firmwares.find((f) => f.hardware_type === row.hardware_type && f.version === row.reported_version);
      claim(row.firmware_id === (firmware?.id ?? null), 'a reported version is the firmware of that name', row);
    }
  }

  /** For a device whose clock was wrong: any of its reports, as of the stored moment. */
  #toldBy({ observed_dt: at, source, ...row }: Snapshot['known'][number]): Known[] {
    const told = this.#memory.learned.filter(({ report }) => keyOf(report) === keyOf(row));
    return told.map(({ report }) => ({ version: report.version, at, stated: report.occurred_dt, source: source as Known['source'] }));
  }

  /** Success means seen. */
  #checkSuccesses({ executions }: Snapshot): void {
    for (const execution of executions) {
      const isSeen = () =>
        this.#memory.learned.some(
          ({ report, at }) =>
            report.status === 'SUCCEEDED' &&
            keyOf(report) === keyOf(execution) &&
            report.version === execution.wanted_version &&
            at >= execution.queued_dt,
        );
      const isProven = execution.status === 'SUCCEEDED' && execution.reason !== 'ALREADY_ON_TARGET';
      claim(!isProven || isSeen(), 'success means that the version wanted was seen', execution);
      claim(!execution.late_success_dt || isSeen(), 'late success means that the version wanted was seen', execution);
      const isLate = !this.#memory.lateSuccesses.has(execution.id) || execution.late_success_dt !== null;
      claim(isLate, 'a proof after the end is counted', execution);
    }
  }

  /** G7. */
  #checkPace({ executions, updates }: Snapshot): void {
    const updateOf = new Map(executions.map(({ id, update_id }) => [id, update_id]));
    for (const { id } of updates) {
      const promised = this.#memory.promised.get(id) ?? [];
      const calls = this.#memory.calls.map(({ at, commands }) => ({
        at,
        n: commands.filter((c) => updateOf.get(c.execution_id) === id).length,
      }));
      for (const { at } of calls) {
        const from = addSeconds(at, -60);
        const sent = calls.filter((call) => call.at > from && call.at <= at).reduce((sum, { n }) => sum + n, 0);
        const inForce = promised.filter((_, i) => (promised[i + 1]?.since ?? at) >= from);
        const maximum = Math.max(...inForce.map(({ maximum_per_minute }) => maximum_per_minute));
        claim(sent <= maximum, `no more than ${maximum} commands a minute: ${sent}`, { update: id, at }, promised, this.#memory.calls);
      }
      const slots = Math.max(...promised.map(({ maximum_in_progress }) => maximum_in_progress ?? Number.POSITIVE_INFINITY));
      const mine = executions.filter(({ update_id }) => update_id === id);
      const inProgress = mine.filter((execution) => !isFinal(execution) && this.#isAtWork(execution));
      claim(inProgress.length <= slots, `no more than ${slots} in progress`, inProgress);
    }
  }

  /** Whether the device may be at work, by the backend's answers; not if the backend has put it off, or it waits for a retry. */
  #isAtWork({ id, attempt }: Execution): boolean {
    const last = this.#memory.calls.flatMap(({ commands }) => commands).findLast((command) => command.execution_id === id);
    return last?.attempt === attempt && (last.outcome === 'accepted' || last.outcome === 'none');
  }

  #checkCanary({ executions, updates }: Snapshot): void {
    const updateOf = new Map(executions.map(({ id, update_id }) => [id, update_id]));
    for (const { id, canary, canary_passed_dt } of updates) {
      if (!canary) continue;
      const { size, success_percentage } = canary as unknown as { size: number; success_percentage: number };
      // A device that has left it is in nobody's way: another one takes its place, as long as there is one.
      const hasLeft = ({ status, reason }: Execution) => status === 'REMOVED' || Boolean(reason?.startsWith('SUPERSEDED'));
      const left = new Set(executions.filter((e) => e.update_id === id && hasLeft(e)).map(({ external_id }) => external_id));
      const asked = this.#memory.calls.flatMap(({ commands }) => commands).filter((command) => updateOf.get(command.execution_id) === id);
      const devices = new Set(asked.flatMap(({ external_id }) => (left.has(external_id) ? [] : [external_id])));
      if (canary_passed_dt) {
        // A failure that is followed by proof was none.
        const hasProof = (e: Execution) => e.status === 'SUCCEEDED' || e.late_success_dt !== null;
        const succeeded = executions.filter((e) => e.update_id === id && e.is_canary && hasProof(e)).length;
        const lost = executions.filter((e) => e.update_id === id && e.is_canary && hasLeft(e)).length;
        const needed = (size - lost) * success_percentage;
        claim(succeeded * 100 >= needed, 'a canary passes when enough have succeeded', { update: id, succeeded, size, lost });
      } else claim(devices.size <= size, `no more than the ${size} of the canary are asked`, { update: id }, [...devices]);
    }
  }

  /** A new attempt comes only after the backend has answered the one before, or after a counted retry. */
  #checkAttempts({ executions }: Snapshot): void {
    const commands = this.#memory.calls.flatMap((call) => call.commands);
    for (const { id, attempt, retries } of executions) {
      const mine = commands.filter(({ execution_id }) => execution_id === id);
      const deferred = new Set(mine.filter(({ outcome }) => outcome === 'deferred').map((command) => command.attempt));
      claim(attempt - 1 <= deferred.size + retries, 'another attempt only after an answer', { id, attempt, retries }, mine);
      const attempts = mine.map((command) => command.attempt);
      claim(
        attempts.every((n, i) => n >= (attempts[i - 1] ?? 1)),
        'attempts come in their order',
        mine,
      );
    }
  }

  /** The latest end of an update once no fault disturbs it any more. */
  deadlineOf(id: number, { updates }: Pick<Snapshot, 'updates'>, now: Date): Date {
    const update = updates.find((row) => row.id === id);
    if (!update) throw new Error(`There is no update ${id}`);
    // Counted from this moment on, because time in which devices could not be heard does not count.
    const others = update.supersede ? updates.filter((row) => row.id < id && !row.finished_dt) : [];
    // It waits for devices that were at work for older ones.
    const ends = others.map((row) => this.deadlineOf(row.id, { updates }, now).getTime());
    const start = Math.max(now.getTime(), update.start_dt?.getTime() ?? 0, ...ends);
    // A message that is invisible at the moment, what was asked in the last moment, and a few steps.
    const slackSeconds = 360;
    const longestRetrySeconds = 240;
    // If nobody needs a dependency any more, nobody notices that it is back. The outage then counts for so long after it was last noticed; for the
    // identity provider this is longest, because refused callers may report seldom.
    const unnoticedSeconds = 3_600;
    const perTry = update.in_progress_minutes * 60 + longestRetrySeconds;
    const seconds = update.queued_minutes * 60 + perTry * (1 + update.number_of_retries) + slackSeconds + unnoticedSeconds;
    return addSeconds(new Date(start), seconds);
  }
}

/** A stated time can be right if it is at most a day old, not in the future, and not before the device was registered. */
const canBeRight = ({ report: { occurred_dt }, at, registered_dt }: Learned): boolean =>
  occurred_dt <= at && occurred_dt >= addSeconds(at, -86_400) && occurred_dt >= registered_dt;

/** What may be known after a report. A time in the future counts as the moment when the report came; then the order of arrival decides. */
const nextOf = ({ report, at, source, registered_dt }: Learned, known: Known | undefined, mayBeAnswer: boolean): Known[] => {
  const { version, occurred_dt: stated } = report;
  if (known?.version === version && known.stated.getTime() === stated.getTime()) {
    // Told by the device itself, it is believed more.
    return [source === 'confirmation' ? { ...known, source } : known];
  }
  const asItCame: Known = { version, at, stated, source };
  const asStated = { ...asItCame, at: stated };
  if (stated > at || stated < registered_dt) return [asItCame];
  if (!known) return mayBeAnswer ? [asStated, asItCame] : [asStated];
  const isOlder = stated < known.at;
  if (isOlder && known.stated > known.at) return [asItCame];
  // Older by more than a report can be under way: a clock that was put back.
  if (source === 'confirmation' && stated < addSeconds(known.at, -86_400)) return [asItCame];
  const byTime = supersedes(report, source, known) ? asStated : known;
  return mayBeAnswer ? [byTime, asItCame] : [byTime];
};

/** Whether a report wins: if it is later; at the same moment, if it is the device's own; otherwise, if its version text is greater. */
const supersedes = (report: Learned['report'], source: Learned['source'], known: Known): boolean => {
  const later = report.occurred_dt.getTime() - known.at.getTime();
  if (later !== 0) return later > 0;
  if (source !== known.source) return source === 'confirmation';
  return report.version > known.version;
};
