import { addSeconds } from '../../../../lib/clock.ts';
import type { Db, Trx } from '../../../../lib/db/database.ts';
import { raiseAllIds } from '../../../../lib/db/raise-ids.ts';
import { handleMessage } from '../../../../lib/each-record.ts';
import { DomainError } from '../../../../lib/errors.ts';
import { type ChangedFirmware, editFirmware } from '../../../../lib/firmware/edit-firmware.ts';
import { changeZone } from '../../../../lib/fleet/edit-zone.ts';
import { daysOfWeek } from '../../../../lib/fleet/maintenance-window.ts';
import { NewDevice } from '../../../../lib/fleet/new-device.ts';
import { type RegisteredDevices, registerDevices } from '../../../../lib/fleet/register-devices.ts';
import type { Log } from '../../../../lib/log.ts';
import { EventBusUnavailable, type ServiceEvent } from '../../../../lib/ports/event-bus.ts';
import type { Queue } from '../../../../lib/ports/queue.ts';
import { confirmUpdate } from '../../../../lib/report/confirm-update.ts';
import type { Confirmation } from '../../../../lib/report/confirmation.ts';
import { notingRefusedReports } from '../../../../lib/report/refused-reports.ts';
import { verifyUpdate } from '../../../../lib/report/verify-update.ts';
import { changeDevice } from '../../../../lib/update/change-device.ts';
import { heedFirmware } from '../../../../lib/update/look-again.ts';
import { AdvanceMessage, DispatchMessage, VerifyMessage } from '../../../../lib/update/messages.ts';
import { requestUpdate } from '../../../../lib/update/plan/request-update.ts';
import { retryUpdate } from '../../../../lib/update/plan/retry-update.ts';
import { dispatchUpdate } from '../../../../lib/update/reach/dispatch-update.ts';
import { wakeForCandidates } from '../../../../lib/update/reach/wake-for-candidates.ts';
import { wakeSleepers } from '../../../../lib/update/reach/wake-update.ts';
import type { Rollout } from '../../../../lib/update/rollout.ts';
import type { Update } from '../../../../lib/update/update.ts';
import { advanceUpdate } from '../../../../lib/update/walk/advance-update.ts';
import { cancelUpdate, changePace, pauseUpdate, resumeUpdate } from '../../../../lib/update/walk/control-update.ts';
import type { ExecutionsChanged } from '../../../../lib/update/walk/tell-events.ts';
import { actor, registeredLongAgo, silentLog, TestClock, updateRequest } from '../../../support/fixtures.ts';
import { manifestSigner } from '../../../support/manifest-signer.ts';
import { type QueuedMessage, TimedQueues } from '../../../support/timed-queues.ts';
import { Crash, type Dependency, type Fault, isSimulated, type Observed, passBy, type Run, runs, use } from './faults.ts';
import type { Window } from './fleet-model.ts';
import { type Command, type Report, SimulatedFleet } from './simulated-fleet.ts';
import { type Backup, backUp, restore } from './snapshot.ts';

/**
 * The world of a history: the engine on the real PostgreSQL, between simulated queues, a simulated backend with its devices, and a clock
 * that only moves when it is told to. It notes what has happened as facts, in their order; history-model.ts judges them.
 */

export type ControlAction = 'pause' | 'resume' | 'cancel' | 'force-cancel' | { pace: Partial<Rollout> };

/** What an admin says of a device. */
export interface DeviceFields {
  zone?: string | null;
  tags?: string[];
  revision?: string | null;
  retired?: boolean;
}

/** `isAlone`: nothing else happened at the same time. What an admin changes is a fact if the service has answered that it is done. */
export type Fact =
  | { kind: 'requested'; update_id: number; request: ReturnType<typeof updateRequest>; isAlone: boolean }
  | { kind: 'retried'; update_id: number }
  | { kind: 'control began'; update_id: number; action: ControlAction }
  | { kind: 'control ended'; update_id: number; action: ControlAction; changed: boolean; isAlone: boolean }
  | { kind: 'changed device'; external_id: string; change: DeviceFields }
  | { kind: 'not found'; external_id: string }
  | { kind: 'registered'; devices: (DeviceFields & { external_id: string })[]; answer: RegisteredDevices }
  | { kind: 'changed window'; zone: string; window: Window | null }
  | { kind: 'changed firmware'; firmware_id: number; change: { status: 'withdrawn' } | { revisions: string[] | null } }
  /** `began`: the number of the last fact when the run began that made the call. */
  | { kind: 'called'; at: Date; began: number; commands: Command[] }
  | { kind: 'told'; update?: { id: number; status: string; isFinished: boolean }; executions: { id: number; status: string }[] }
  /** `newest_execution_id`: when the service learned it; an update may have taken the device in after that. */
  | {
      kind: 'learned';
      at: Date;
      source: 'confirmation' | 'observation';
      report: Report;
      registered_dt: Date;
      newest_execution_id: number;
    };

type QueueName = 'advances' | 'dispatches' | 'verifications';

type Message = QueuedMessage<QueueName>;

/** A report is under way for a day at most (lib/report/device-clock.ts). */
const longestUnderWaySeconds = 86_400;

/** A queue that may be away, or fail when it has stored a part of what was sent. */
const faulty = <Body>(name: QueueName, queues: TimedQueues<QueueName>): Queue<Body> => ({
  async send(bodies, options) {
    use('queue');
    const run = runs.getStore();
    const fault = run?.fault;
    if (!run || !fault || !('sendStores' in fault)) return queues.send(name, bodies, options);
    queues.send(name, bodies.slice(0, fault.sendStores), options);
    run.fault = null;
    throw new DomainError('queue.unavailable', 'The queue does not take messages');
  },
});

export interface Deps {
  db: Db;
  firmwares: { id: number; hardware_type: string; version: string; version_num: number }[];
  external_ids: string[];
  /** The database before any history. */
  pristine: Backup;
}

/** What comes back with a restore, and what is forgotten. */
export interface WorldBackup {
  database: Backup;
  updateIds: number[];
  /** How many reports had arrived. */
  arrived: number;
}

const awayCodes = ['auth.keys_unavailable', 'queue.unavailable', 'database.unavailable', 'storage.unavailable', 'signing.unavailable'];

/** Rows with PostgreSQL's own error are turned into a domain error at the door, which is not part of this world. */
const isAway = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';

export class World {
  readonly deps: Deps;
  readonly clock = new TestClock();
  readonly facts: Fact[] = [];
  readonly fleet: SimulatedFleet;
  updateIds: number[] = [];
  /** What does not answer at the moment. */
  readonly away = new Set<Dependency>();
  readonly #queues = new TimedQueues<QueueName>(this.clock.now, { maximumReceives: 10 });
  /** That were in the queues: SQS may deliver them once more. */
  readonly gone: Message[] = [];
  /** On their way from the devices. */
  reports: { report: Report; due: Date }[] = [];
  readonly arrived: Report[] = [];
  /** Devices that have stated a time that cannot be right. */
  readonly lied = new Set<string>();
  /** How often the database has been restored. */
  restores = 0;
  /** What the real database has failed with, for example because a busy machine took too long to connect: an outage that nobody planned. */
  readonly realFailures: unknown[] = [];
  /** How many times a use case was run. */
  operations = 0;
  readonly #ports;
  readonly #authenticateReporter;
  #active = 0;

  constructor(deps: Deps) {
    this.deps = deps;
    this.fleet = new SimulatedFleet(deps.external_ids, this.now, {
      called: (commands) => this.facts.push({ kind: 'called', at: this.now(), began: runs.getStore()?.began ?? 0, commands }),
      reports: (report, due) => this.reports.push({ report, due }),
      // Time is one for all: it passes in a call only when nothing else is under way.
      passesSlowly: () => {
        if (this.#active === 1) this.clock.advance(4);
      },
    });
    this.#ports = this.#createPorts();
    this.#authenticateReporter = notingRefusedReports(this.#ports, async () => {
      use('identity provider');
      return { scopes: new Set<string>() };
    });
  }

  now = (): Date => this.clock.now();

  /** In the queues, oldest first. */
  get messages(): readonly Message[] {
    return this.#queues.messages;
  }

  #createPorts() {
    const queue = <Body>(name: QueueName) => faulty<Body>(name, this.#queues);
    const sign = manifestSigner(this.now);
    return {
      // So that with a few devices there are steps that take some over, too.
      mostTakenOver: 1,
      db: this.deps.db,
      now: this.now,
      log: silentLog,
      advances: queue<AdvanceMessage>('advances'),
      dispatches: queue<DispatchMessage>('dispatches'),
      verifications: queue<VerifyMessage>('verifications'),
      backend: this.fleet,
      events: this,
      tellsEvents: true,
      signManifest: async (...facts: Parameters<typeof sign>) => {
        use('signing keys');
        return sign(...facts);
      },
      storage: {
        fromLink: () => ({ key: 'x', version_id: '1' }),
        signDownload: async () => {
          use('storage');
          return { url: 'https://storage.test/x', expires_dt: addSeconds(this.now(), 3600) };
        },
      },
    };
  }

  readonly #log: Log = {
    ...silentLog,
    warn: (message, { error }: { error?: unknown } = {}) => {
      if (message === 'message deferred' && !isSimulated(error)) this.realFailures.push(error);
    },
  };

  /** Runs a use case. Answers the error when it may be repeated; any other error ends the history. */
  async #run<T>(
    fault: Fault,
    work: () => Promise<T>,
    expected: readonly string[] = [],
  ): Promise<{ value: T; run: Run } | { error: Error; run: Run }> {
    const run: Run = { fault: fault && { ...fault }, away: this.away, began: this.facts.length, observed: [] };
    this.#active += 1;
    this.operations += 1;
    try {
      return { value: await runs.run(run, work), run };
    } catch (error) {
      const isExpected = error instanceof DomainError && [...awayCodes, ...expected].includes(error.code);
      if (error instanceof Crash || isAway(error) || isExpected) return { error: error as Error, run };
      throw error;
    } finally {
      this.#active -= 1;
    }
  }

  /** The same for what comes over HTTP with a token: without the keys to check it nobody is let in. */
  #call<T>(fault: Fault, work: () => Promise<T>, expected: readonly string[] = []) {
    const authenticated = async () => {
      use('identity provider');
      return work();
    };
    return this.#run(fault, authenticated, expected);
  }

  async request(request: Record<string, unknown>, fault: Fault, isAlone = true): Promise<void> {
    const parsed = updateRequest(request);
    const result = await this.#call(fault, () => requestUpdate(this.#ports, parsed), [
      'update.nothing_eligible',
      'firmware.not_available',
      'update.ended',
      'request.invalid',
    ]);
    if ('error' in result) return;
    this.updateIds.push(result.value.id);
    this.facts.push({ kind: 'requested', update_id: result.value.id, request: parsed, isAlone });
  }

  async retry(update_id: number, fault: Fault): Promise<void> {
    const expected = ['update.not_ended', 'update.nothing_eligible', 'firmware.not_available'];
    const request = { comment: '', idempotency_key: undefined, created_by: 'admin', request_id: 'request-2' };
    const result = await this.#call(fault, () => retryUpdate(this.#ports, update_id, request), expected);
    if ('error' in result) return;
    this.updateIds.push(result.value.id);
    this.facts.push({ kind: 'retried', update_id: result.value.id });
  }

  async control(update_id: number, action: ControlAction, fault: Fault, isAlone = true): Promise<void> {
    this.facts.push({ kind: 'control began', update_id, action });
    const work = () => {
      if (action === 'pause') return pauseUpdate(this.#ports, update_id, { reason: 'test' }, actor);
      if (action === 'resume') return resumeUpdate(this.#ports, update_id, actor);
      if (action === 'cancel' || action === 'force-cancel') {
        return cancelUpdate(this.#ports, update_id, { force: action === 'force-cancel', reason: 'test' }, actor);
      }
      // Ordinary objects, as they come from JSON.
      return changePace(this.#ports, update_id, structuredClone(action.pace), actor);
    };
    const result = await this.#call(fault, work, ['update.ended']);
    if ('error' in result) return;
    this.facts.push({ kind: 'control ended', update_id, action, changed: result.value.changed, isAlone });
  }

  async changeDevice(external_id: string, change: DeviceFields, fault: Fault): Promise<void> {
    const work = () => changeDevice(this.#ports, { kind: 'scooter', external_id }, change, actor);
    const result = await this.#call(fault, work, ['device.not_found']);
    if (!('error' in result)) this.facts.push({ kind: 'changed device', external_id, change });
    else if (result.error instanceof DomainError && result.error.code === 'device.not_found')
      this.facts.push({ kind: 'not found', external_id });
  }

  async register(devices: (DeviceFields & { external_id: string })[], fault: Fault): Promise<void> {
    const wake = (trx: Trx) => wakeForCandidates(trx, this.#ports.advances, this.now());
    const sent = devices.map((device) => NewDevice.parse({ kind: 'scooter', version: 1, ...device }));
    const result = await this.#call(fault, () => registerDevices({ ...this.#ports, wakeForCandidates: wake }, sent, actor));
    if (!('error' in result)) this.facts.push({ kind: 'registered', devices, answer: result.value });
  }

  async changeWindow(zone: string, maintenance_window: Window | null, fault: Fault): Promise<void> {
    const wake = (trx: Trx) => wakeSleepers(trx, this.#ports.advances, this.now());
    const days = [...daysOfWeek];
    const change = { maintenance_window: maintenance_window && { ...maintenance_window, days } };
    const result = await this.#call(fault, () => changeZone({ ...this.#ports, wakeSleepers: wake }, zone, change, actor));
    if (!('error' in result)) this.facts.push({ kind: 'changed window', zone, window: maintenance_window });
  }

  async editFirmware(firmware_id: number, change: Extract<Fact, { kind: 'changed firmware' }>['change'], fault: Fault): Promise<void> {
    const heed = (trx: Trx, firmware: ChangedFirmware) => heedFirmware(trx, this.#ports.advances, firmware, this.now());
    const edit = 'status' in change ? { ...change, reason: 'test' } : change;
    const result = await this.#call(fault, () => editFirmware({ ...this.#ports, heedFirmware: heed }, firmware_id, edit, actor));
    if (!('error' in result)) this.facts.push({ kind: 'changed firmware', firmware_id, change });
  }

  /** Brings a message, once or twice at one moment; a copy of one that is gone changes nothing in the queue. */
  async deliver(message: Message, faults: readonly Fault[] = [null]): Promise<void> {
    // A queue that is away brings nothing.
    if (this.away.has('queue')) return;
    if (!this.#queues.receive(message)) throw new Error(`A message has come to the dead-letter queue: ${JSON.stringify(message)}`);
    const done = await Promise.all(faults.map((fault) => this.#work(message, fault)));
    if (done.includes(true) && this.#queues.remove(message)) this.gone.push(message);
    const deadlock = this.realFailures.find((error) => error instanceof Error && 'code' in error && error.code === '40P01');
    if (deadlock) throw new Error('Two wait for each other in a circle', { cause: deadlock });
  }

  /** Whether the message goes away. */
  async #work(message: Message, fault: Fault): Promise<boolean> {
    const consumer = this.#consumerOf(message.queue);
    const received = { body: JSON.stringify(message.body), message_id: 'm' };
    const result = await this.#run(fault, async () => {
      const outcome = await handleMessage(this.#log, received, consumer);
      // Nobody sends anything for a function that has died.
      const run = runs.getStore();
      if (run?.fault && 'crashBefore' in run.fault && run.fault.crashBefore <= 0) throw new Crash('The function has died');
      return outcome;
    });
    // It may have died, or have been put off, after what it had learned was stored.
    const isDone = 'value' in result && result.value === 'done';
    const isStored = isDone || (await this.#hasStored(result.run.observed));
    // A probe asks the same, and only wants to know whether there is an answer.
    const observed = isStored && message.queue === 'verifications' ? result.run.observed : [];
    const newest_execution_id = observed.length > 0 ? await this.#findNewestExecution() : 0;
    for (const { at, ...seen } of observed) {
      const report: Report = { ...seen, status: 'SUCCEEDED', occurred_dt: at };
      // The backend may have known it for long.
      const registered_dt = registeredLongAgo;
      this.facts.push({ kind: 'learned', at: this.now(), source: 'observation', report, registered_dt, newest_execution_id });
    }
    return isDone || ('value' in result && result.value === 'deferred');
  }

  async #hasStored(observed: readonly Observed[]): Promise<boolean> {
    const [first] = observed;
    if (!first) return false;
    const row = await this.deps.db
      .selectFrom('device_firmwares as r')
      .innerJoin('devices as d', 'd.id', 'r.device_id')
      .select('r.reported_version')
      .where('d.external_id', '=', first.external_id)
      .where('r.hardware_type', '=', first.hardware_type)
      .where('r.reported_version', '=', first.version)
      .where('r.observed_dt', '=', first.at)
      .executeTakeFirst();
    return row !== undefined;
  }

  #consumerOf(queue: QueueName) {
    const ports = this.#ports;
    const consumers = {
      advances: { schema: AdvanceMessage, queue: ports.advances, work: (message: AdvanceMessage) => advanceUpdate(ports, message) },
      dispatches: {
        schema: DispatchMessage,
        queue: ports.dispatches,
        work: (message: DispatchMessage) => dispatchUpdate(ports, message, 29_000),
      },
      verifications: {
        schema: VerifyMessage,
        queue: ports.verifications,
        work: (message: VerifyMessage) => verifyUpdate(ports, message, 29_000),
      },
    };
    return consumers[queue] as Parameters<typeof handleMessage>[2];
  }

  /** A device's report reaches the service; what was not taken is sent again later. */
  async confirm(reports: readonly Report[], fault: Fault = null): Promise<void> {
    const confirmations = reports.map((report): Confirmation => ({ kind: 'scooter', ...report }));
    const at = this.now();
    const result = await this.#run(fault, async () => {
      await this.#authenticateReporter(undefined);
      return confirmUpdate(this.#ports, confirmations);
    });
    if ('error' in result) {
      this.reports.push(...reports.map((report) => ({ report, due: addSeconds(at, 60) })));
      return;
    }
    // Of a device that is not registered nothing is stored; the same report may be taken later.
    const taken = reports.filter((_, i) => result.value[i]?.outcome !== 'refused');
    this.arrived.push(...taken);
    const registeredOf = await this.#findRegistrations(taken);
    for (const { external_id, occurred_dt } of taken) {
      const isTooOld = occurred_dt < addSeconds(at, -longestUnderWaySeconds) || occurred_dt < registeredOf(external_id);
      if (occurred_dt > at || isTooOld) this.lied.add(external_id);
    }
    // In the order in which they happened, as far as their times can be believed; else as they came.
    const happened = ({ external_id, occurred_dt }: Report) =>
      (occurred_dt > at || occurred_dt < registeredOf(external_id) ? at : occurred_dt).getTime();
    taken.sort((a, b) => happened(a) - happened(b));
    const newest_execution_id = await this.#findNewestExecution();
    const learned = (report: Report): Fact => {
      const registered_dt = registeredOf(report.external_id);
      return { kind: 'learned', at, source: 'confirmation', report, registered_dt, newest_execution_id };
    };
    this.facts.push(...taken.map(learned));
  }

  async #findNewestExecution(): Promise<number> {
    const row = await this.deps.db
      .selectFrom('update_executions')
      .select(({ fn }) => fn.max('id').as('id'))
      .executeTakeFirst();
    return row?.id ?? 0;
  }

  /** When devices were registered. */
  async #findRegistrations(reports: readonly Report[]): Promise<(external_id: string) => Date> {
    if (reports.length === 0) return () => registeredLongAgo;
    const external_ids = reports.map(({ external_id }) => external_id);
    const rows = await this.deps.db
      .selectFrom('devices')
      .select(['external_id', 'created_dt'])
      .where('external_id', 'in', external_ids)
      .execute();
    const dates = new Map(rows.map(({ external_id, created_dt }) => [external_id, created_dt]));
    return (external_id) => dates.get(external_id) ?? registeredLongAgo;
  }

  /** All that is due by now, once. */
  async deliverDue(fault: Fault = null): Promise<void> {
    let next = fault;
    for (const message of this.messages.filter(({ due }) => due <= this.now())) {
      await this.deliver(message, [next]);
      next = null;
    }
    const due = this.reports.filter(({ due }) => due <= this.now());
    this.reports = this.reports.filter((report) => !due.includes(report));
    // In any order; they are judged in the order in which they happened.
    if (due.length > 0) await this.confirm(due.map(({ report }) => report));
  }

  /** Time goes on until something is due, at least by so much: messages may come later than they could. */
  goOn(seconds: number): void {
    const dues = [...(this.away.has('queue') ? [] : this.messages), ...this.reports].map(({ due }) => due.getTime());
    const next = dues.length > 0 ? Math.min(...dues) - this.now().getTime() : 0;
    this.clock.advance(Math.max(seconds, Math.ceil(next / 1000)));
  }

  /** Somebody purges the queues, or SQS has moved everything to the dead-letter queues. */
  loseMessages(queue: QueueName | 'all'): void {
    const lost = this.messages.filter((message) => queue === 'all' || message.queue === queue);
    for (const message of lost) this.#queues.remove(message);
    this.gone.push(...lost);
  }

  async backUp(): Promise<WorldBackup> {
    return { database: await backUp(this.deps.db), updateIds: [...this.updateIds], arrived: this.arrived.length };
  }

  /** Back to a backup, and on by the runbook: ids go on beyond all that may have been given out. What is in the queues stays there. */
  async restore({ database, updateIds, arrived }: WorldBackup): Promise<void> {
    await restore(this.deps.db, database);
    this.restores += 1;
    await raiseAllIds(this.deps.db, this.restores);
    this.updateIds = [...updateIds];
    this.arrived.length = arrived;
  }

  /** An event bus, which is away while the backend is: without an answer it has taken the events all the same. */
  async publishEvents(events: readonly ServiceEvent[]): Promise<void> {
    passBy();
    const { mode } = this.fleet;
    if (mode === 'unavailable') throw new EventBusUnavailable('503');
    for (const { type, detail } of events) {
      if (type === 'Update status changed') {
        const { id, status, finished_dt } = detail as Update;
        this.facts.push({ kind: 'told', update: { id, status, isFinished: finished_dt !== null }, executions: [] });
      } else {
        const { status, executions } = detail as ExecutionsChanged;
        this.facts.push({ kind: 'told', executions: executions.map(({ id }) => ({ id, status })) });
      }
    }
    if (mode === 'lost') throw new EventBusUnavailable('timeout');
  }
}
