import { AsyncLocalStorage } from 'node:async_hooks';
import { sql } from 'kysely';
import { addSeconds } from '../../../../lib/clock.ts';
import type { Db } from '../../../../lib/db/database.ts';
import { DomainError } from '../../../../lib/errors.ts';
import {
  type BackendCall,
  BackendRefusal,
  BackendUnavailable,
  type CommandOutcome,
  type DeviceVersions,
  type FirmwareCommand,
} from '../../../../lib/ports/backend.ts';
import { EventBusUnavailable, type ServiceEvent } from '../../../../lib/ports/event-bus.ts';
import { checkedDelay, type Queue, type SendOptions } from '../../../../lib/ports/queue.ts';
import { confirmUpdate } from '../../../../lib/report/confirm-update.ts';
import type { Confirmation } from '../../../../lib/report/confirmation.ts';
import { verifyUpdate } from '../../../../lib/report/verify-update.ts';
import { AdvanceMessage, DispatchMessage, VerifyMessage } from '../../../../lib/update/messages.ts';
import { requestUpdate } from '../../../../lib/update/plan/request-update.ts';
import { retryUpdate } from '../../../../lib/update/plan/retry-update.ts';
import { dispatchUpdate } from '../../../../lib/update/reach/dispatch-update.ts';
import type { Rollout, Update } from '../../../../lib/update/update.ts';
import { advanceUpdate } from '../../../../lib/update/walk/advance-update.ts';
import { cancelUpdate, changePace, pauseUpdate, resumeUpdate } from '../../../../lib/update/walk/control-update.ts';
import type { ExecutionsChanged } from '../../../../lib/update/walk/tell-events.ts';
import { UnderWay } from '../../../../lib/walk.ts';
import { silentLog, TestClock, updateRequest } from '../../../support/fixtures.ts';
import { manifestSigner } from '../../../support/manifest-signer.ts';

/**
 * The world of a history: the engine on the real PostgreSQL, between simulated queues, a simulated backend with its devices, and a clock
 * that only moves when it is told to. It notes what has happened as facts, in their order; history-model.ts judges them.
 */

/** What hinders one run of a use case: the function dies before its n-th statement or call, or a send stores only a part and fails. */
export type Fault = { crashBefore: number } | { sendStores: number } | null;

/** The function has died. */
class Crash extends Error {
  override readonly name = 'Crash';
}

interface Run {
  fault: Fault;
  /** Number of the last fact when it began. */
  began: number;
  observed: { external_id: string; hardware_type: string; version: string; at: Date }[];
}

const runs = new AsyncLocalStorage<Run>();

/** Called before everything that a use case waits for. */
const passBy = (): void => {
  const fault = runs.getStore()?.fault;
  if (!fault || !('crashBefore' in fault)) return;
  if (fault.crashBefore === 0) throw new Crash('The function has died');
  fault.crashBefore -= 1;
};

/** For `createTestDatabase`: a crash can come before any statement, the commit included. */
export const crashBeforeStatement = (statement: string): void => {
  if (statement !== 'rollback') passBy();
};

export type ControlAction = 'pause' | 'resume' | 'cancel' | 'force-cancel' | { pace: Partial<Rollout> };

export interface Command {
  execution_id: number;
  attempt: number;
  external_id: string;
  outcome: CommandOutcome['outcome'] | 'none';
}

export type Fact =
  | { kind: 'requested'; update_id: number; request: ReturnType<typeof updateRequest>; isAlone: boolean }
  | { kind: 'retried'; update_id: number }
  | { kind: 'control began' | 'control ended'; update_id: number; action: ControlAction }
  /** `began`: the number of the last fact when the run began that made the call. */
  | { kind: 'called'; at: Date; began: number; commands: Command[] }
  | { kind: 'told'; update?: { id: number; status: string; isFinished: boolean }; executions: { id: number; status: string }[] }
  | { kind: 'learned'; at: Date; source: 'confirmation' | 'observation'; report: Report };

export type Report = Pick<Confirmation, 'external_id' | 'hardware_type' | 'version' | 'status' | 'occurred_dt' | 'execution_id'>;

/** A message in a queue. */
interface Message {
  queue: string;
  body: unknown;
  due: Date;
  receives: number;
}

/** As SQS is set up in serverless.yml. */
const visibilitySeconds = 174;
const maximumReceives = 10;

class SimulatedQueue<Body> implements Queue<Body> {
  readonly #world: World;
  readonly #name: string;

  constructor(world: World, name: string) {
    this.#world = world;
    this.#name = name;
  }

  async send(bodies: readonly Body[], { delaySeconds = 0 }: SendOptions = {}): Promise<void> {
    checkedDelay(delaySeconds);
    passBy();
    const run = runs.getStore();
    const fault = run?.fault;
    const stored = fault && 'sendStores' in fault ? fault.sendStores : bodies.length;
    for (const body of bodies.slice(0, stored)) this.#world.store(this.#name, JSON.parse(JSON.stringify(body)), delaySeconds);
    if (fault && 'sendStores' in fault) {
      if (run) run.fault = null;
      throw new DomainError('queue.unavailable', 'The queue does not take messages');
    }
  }
}

/**
 * What a device does with a command that it was given:
 * installs and says so; installs and keeps silent; fails and says so; says that it has done, with another version; says that it will not;
 * does nothing at all.
 */
export const conducts = ['installs', 'installs silently', 'fails', 'installs another', 'declines', 'ignores'] as const;
/** What the backend says to a command for the device. */
export const answers = ['accepted', 'deferred', 'rejected'] as const;

export interface SimulatedDevice {
  external_id: string;
  conduct: (typeof conducts)[number];
  answer: (typeof answers)[number];
  /** How long an installation takes. */
  seconds: number;
  /** Whether it names the execution in its reports. */
  namesExecution: boolean;
  /** What it runs, from when on. */
  installed: { hardware_type: string; version: string; at: Date }[];
}

/** `lost`: the commands are taken, and the answer does not arrive. `forgetful`: it leaves the outcomes of odd ids out of its answer. */
export const backendModes = ['up', 'unavailable', 'busy', 'lost', 'forgetful', 'refusing', 'slow'] as const;

export interface Deps {
  db: Db;
  firmwares: { id: number; hardware_type: string; version: string; version_num: number }[];
  external_ids: string[];
}

export class World {
  readonly deps: Deps;
  readonly clock = new TestClock();
  readonly facts: Fact[] = [];
  readonly devices: SimulatedDevice[];
  readonly updateIds: number[] = [];
  backendMode: (typeof backendModes)[number] = 'up';
  /** In the queues, oldest first. */
  messages: Message[] = [];
  /** That were in the queues: SQS may deliver them once more. */
  readonly gone: Message[] = [];
  /** On their way from the devices. */
  reports: { report: Report; due: Date }[] = [];
  readonly arrived: Report[] = [];
  readonly #taken = new Set<string>();
  #active = 0;

  constructor(deps: Deps) {
    this.deps = deps;
    this.devices = deps.external_ids.map((external_id) => ({
      external_id,
      conduct: 'installs',
      answer: 'accepted',
      seconds: 10,
      namesExecution: true,
      installed: [],
    }));
  }

  now = (): Date => this.clock.now();

  get #ports() {
    const { db } = this.deps;
    return {
      db,
      now: this.now,
      log: silentLog,
      advances: new SimulatedQueue<AdvanceMessage>(this, 'advances'),
      dispatches: new SimulatedQueue<DispatchMessage>(this, 'dispatches'),
      verifications: new SimulatedQueue<VerifyMessage>(this, 'verifications'),
      backend: this,
      events: this,
      tellsEvents: true,
      signManifest: manifestSigner(() => this.now()),
      storage: {
        fromLink: () => ({ key: 'x', version_id: '1' }),
        signDownload: async () => ({ url: 'https://storage.test/x', expires_dt: addSeconds(this.now(), 3600) }),
      },
    };
  }

  /** Runs a use case. Answers the error when it may be repeated; any other error ends the history. */
  async #run<T>(
    fault: Fault,
    work: () => Promise<T>,
    expected: readonly string[] = [],
  ): Promise<{ value: T; run: Run } | { error: Error }> {
    const run: Run = { fault: fault && { ...fault }, began: this.facts.length, observed: [] };
    this.#active += 1;
    try {
      return { value: await runs.run(run, work), run };
    } catch (error) {
      const isExpected = error instanceof DomainError && ['queue.unavailable', ...expected].includes(error.code);
      if (error instanceof Crash || error instanceof UnderWay || isExpected) return { error };
      throw error;
    } finally {
      this.#active -= 1;
    }
  }

  async request(request: Record<string, unknown>, fault: Fault, isAlone = true): Promise<void> {
    const parsed = updateRequest(request);
    const result = await this.#run(fault, () => requestUpdate(this.#ports, parsed), ['update.nothing_eligible', 'firmware.not_available']);
    if ('error' in result) return;
    this.updateIds.push(result.value.id);
    this.facts.push({ kind: 'requested', update_id: result.value.id, request: parsed, isAlone });
  }

  async retry(update_id: number, fault: Fault): Promise<void> {
    const expected = ['update.not_ended', 'update.nothing_eligible', 'firmware.not_available'];
    const request = { comment: '', idempotency_key: undefined, created_by: 'admin', request_id: 'request-2' };
    const result = await this.#run(fault, () => retryUpdate(this.#ports, update_id, request), expected);
    if ('error' in result) return;
    this.updateIds.push(result.value.id);
    this.facts.push({ kind: 'retried', update_id: result.value.id });
  }

  async control(update_id: number, action: ControlAction, fault: Fault): Promise<void> {
    this.facts.push({ kind: 'control began', update_id, action });
    const work = () => {
      if (action === 'pause') return pauseUpdate(this.#ports, update_id, { reason: 'test' });
      if (action === 'resume') return resumeUpdate(this.#ports, update_id);
      if (action === 'cancel' || action === 'force-cancel') {
        return cancelUpdate(this.#ports, update_id, { force: action === 'force-cancel', reason: 'test' });
      }
      return changePace(this.#ports, update_id, action.pace);
    };
    const result = await this.#run(fault, work, ['update.ended']);
    if (!('error' in result)) this.facts.push({ kind: 'control ended', update_id, action });
  }

  async withdraw(firmware_id: number): Promise<void> {
    await this.deps.db.updateTable('firmwares').set({ status: 'withdrawn' }).where('id', '=', firmware_id).execute();
  }

  /** Brings a message, once or twice at one moment; a copy of one that is gone changes nothing in the queue. */
  async deliver(message: Message, faults: readonly Fault[] = [null]): Promise<void> {
    message.due = addSeconds(this.now(), visibilitySeconds);
    message.receives += 1;
    if (message.receives > maximumReceives) throw new Error(`A message has come to the dead-letter queue: ${JSON.stringify(message)}`);
    const done = await Promise.all(faults.map((fault) => this.#work(message, fault)));
    if (!done.includes(true) || !this.messages.includes(message)) return;
    this.messages.splice(this.messages.indexOf(message), 1);
    this.gone.push(message);
  }

  async #work({ queue, body }: Message, fault: Fault): Promise<boolean> {
    const work = {
      advances: () => advanceUpdate(this.#ports, AdvanceMessage.parse(body)),
      dispatches: () => dispatchUpdate(this.#ports, DispatchMessage.parse(body), 29_000),
      verifications: () => verifyUpdate(this.#ports, VerifyMessage.parse(body), 29_000),
    }[queue];
    const result = await this.#run(fault, work as () => Promise<void>);
    if ('error' in result) return false;
    // A probe asks the same, and only wants to know whether there is an answer.
    for (const { at, ...seen } of queue === 'verifications' ? result.run.observed : []) {
      const report: Report = { ...seen, status: 'SUCCEEDED', occurred_dt: at };
      this.facts.push({ kind: 'learned', at: this.now(), source: 'observation', report });
    }
    return true;
  }

  /** A device's report reaches the service; what was not taken is sent again later. */
  async confirm(reports: readonly Report[], fault: Fault = null): Promise<void> {
    const confirmations = reports.map((report): Confirmation => ({ kind: 'scooter', ...report }));
    const at = this.now();
    const result = await this.#run(fault, () => confirmUpdate(this.#ports, confirmations));
    if ('error' in result) {
      this.reports.push(...reports.map((report) => ({ report, due: addSeconds(at, 5) })));
      return;
    }
    this.arrived.push(...reports);
    const taken = reports.filter((_, i) => result.value[i]?.outcome !== 'refused');
    taken.sort((a, b) => a.occurred_dt.getTime() - b.occurred_dt.getTime());
    this.facts.push(...taken.map((report): Fact => ({ kind: 'learned', at, source: 'confirmation', report })));
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
    const dues = [...this.messages, ...this.reports].map(({ due }) => due.getTime());
    const next = dues.length > 0 ? Math.min(...dues) - this.now().getTime() : 0;
    this.clock.advance(Math.max(seconds, Math.ceil(next / 1000)));
  }

  store(queue: string, body: unknown, delaySeconds: number): void {
    this.messages.push({ queue, body, due: addSeconds(this.now(), delaySeconds), receives: 0 });
  }

  async sendCommands(commands: readonly FirmwareCommand[], _call: BackendCall): Promise<CommandOutcome[]> {
    passBy();
    const mode = this.backendMode;
    const isTaken = mode !== 'unavailable' && mode !== 'busy' && mode !== 'refusing';
    const outcomes = isTaken ? commands.map((command) => this.#take(command)) : [];
    const heard = mode === 'lost' ? [] : outcomes.filter(({ execution_id }) => mode !== 'forgetful' || execution_id % 2 === 0);
    const called = commands.map(({ execution_id, attempt, external_id }, i): Command => {
      const outcome = outcomes[i] && (outcomes[i].outcome === 'accepted' || heard.includes(outcomes[i])) ? outcomes[i].outcome : 'none';
      return { execution_id, attempt, external_id, outcome: mode === 'refusing' ? 'rejected' : outcome };
    });
    this.facts.push({ kind: 'called', at: this.now(), began: runs.getStore()?.began ?? 0, commands: called });
    // Time is one for all: it passes in a call only when nothing else is under way.
    if (mode === 'slow' && this.#active === 1) this.clock.advance(4);
    if (mode === 'unavailable') throw new BackendUnavailable('503');
    if (mode === 'busy') throw new BackendUnavailable('429', { retryAfterSeconds: 20 });
    if (mode === 'lost') throw new BackendUnavailable('timeout');
    if (mode === 'refusing') throw new BackendRefusal('400');
    return heard;
  }

  /** An event bus, which is away while the backend is: without an answer it has taken the events all the same. */
  async publishEvents(events: readonly ServiceEvent[]): Promise<void> {
    passBy();
    const mode = this.backendMode;
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

  async findVersions(_kind: string, external_ids: readonly string[], _call: BackendCall): Promise<DeviceVersions[]> {
    passBy();
    if (this.backendMode !== 'up' && this.backendMode !== 'slow') throw new BackendUnavailable('503');
    const now = this.now();
    const devices = this.devices.filter(({ external_id }) => external_ids.includes(external_id));
    return devices.map((device) => {
      const hardwareTypes = [...new Set(device.installed.map(({ hardware_type }) => hardware_type))];
      const firmwares = hardwareTypes.flatMap((hardware_type) => {
        const installed = this.#installedOn(device, hardware_type);
        if (!installed) return [];
        const { version, at } = installed;
        runs.getStore()?.observed.push({ external_id: device.external_id, hardware_type, version, at: now });
        return [{ hardware_type, version, since_dt: at.toISOString(), observed_dt: now.toISOString() }];
      });
      return { external_id: device.external_id, version: 1, firmwares };
    });
  }

  #installedOn(device: SimulatedDevice, hardware_type: string) {
    return device.installed.findLast((installed) => installed.hardware_type === hardware_type && installed.at <= this.now());
  }

  /** A command reaches a device; the same one again changes nothing. */
  #take({ execution_id, attempt, external_id, hardware_type, version }: FirmwareCommand): CommandOutcome {
    const device = this.devices.find((d) => d.external_id === external_id);
    if (!device) throw new Error(`The backend does not know ${external_id}`);
    const key = `${execution_id} ${attempt}`;
    if (this.#taken.has(key)) return { execution_id, outcome: 'accepted' };
    if (device.answer === 'deferred') return { execution_id, outcome: 'deferred', reason: 'in a ride', retry_after_seconds: 15 };
    if (device.answer === 'rejected') return { execution_id, outcome: 'rejected', reason: 'scrapped' };
    this.#taken.add(key);

    const at = addSeconds(this.now(), device.seconds);
    const runsNow = this.#installedOn(device, hardware_type)?.version ?? 'factory';
    const say = (status: Report['status'], said: string, occurred_dt: Date) => {
      const report = { external_id, hardware_type, status, version: said, occurred_dt, ...(device.namesExecution && { execution_id }) };
      this.reports.push({ report, due: occurred_dt });
    };
    const install = (other: string) => device.installed.push({ hardware_type, version: other, at });
    const begins = addSeconds(this.now(), 1);
    switch (device.conduct) {
      case 'installs':
        say('IN_PROGRESS', runsNow, begins);
        install(version);
        say('SUCCEEDED', version, at);
        break;
      case 'installs silently':
        install(version);
        break;
      case 'installs another':
        install('0.0.0-other');
        say('SUCCEEDED', '0.0.0-other', at);
        break;
      case 'fails':
        say('FAILED', runsNow, at);
        break;
      case 'declines':
        say('REJECTED', runsNow, begins);
        break;
      case 'ignores':
    }
    return { execution_id, outcome: 'accepted' };
  }
}

/** Takes the rows of the history before out of the database; ids begin anew, so that a history can be repeated. */
export const forgetHistory = async (db: Db): Promise<void> => {
  await sql`
    WITH gate AS (UPDATE backend_gate SET share = 1, changed_dt = '2026-01-01T00:00:00Z', failures = 0, closed_until = NULL, usual_latency_ms = NULL),
         firmwares AS (UPDATE firmwares SET status = 'available' WHERE status = 'withdrawn'),
         known AS (DELETE FROM device_firmwares),
         history AS (DELETE FROM device_firmware_history),
         exclusions AS (DELETE FROM update_exclusions),
         late_successes AS (DELETE FROM update_late_success_counts),
         outages AS (DELETE FROM outages),
         executions AS (DELETE FROM update_executions)
    SELECT`.execute(db);
  await sql`
    WITH dispatches AS (DELETE FROM update_dispatches), updates AS (DELETE FROM updates)
    SELECT setval(pg_get_serial_sequence('updates', 'id'), 1, false),
           setval(pg_get_serial_sequence('update_executions', 'id'), 1, false),
           setval(pg_get_serial_sequence('update_dispatches', 'id'), 1, false)`.execute(db);
};

/** The rows, as they are after a command. */
export const takeSnapshot = async (db: Db) => {
  const [executions, updates, known] = await Promise.all([
    db
      .selectFrom('update_executions as e')
      .innerJoin('devices as d', 'd.id', 'e.device_id')
      .innerJoin('updates as u', 'u.id', 'e.update_id')
      .innerJoin('firmwares as f', 'f.id', 'u.firmware_id')
      .selectAll('e')
      .select(['d.external_id', 'f.version as wanted_version'])
      .orderBy('e.id')
      .execute(),
    db.selectFrom('updates').selectAll().orderBy('id').execute(),
    db
      .selectFrom('device_firmwares as r')
      .innerJoin('devices as d', 'd.id', 'r.device_id')
      .select(['d.external_id', 'r.hardware_type', 'r.reported_version', 'r.firmware_id', 'r.observed_dt', 'r.source'])
      .orderBy('r.device_id')
      .orderBy('r.hardware_type')
      .execute(),
  ]);
  return { executions, updates, known };
};
export type Snapshot = Awaited<ReturnType<typeof takeSnapshot>>;
