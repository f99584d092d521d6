import * as z from 'zod/mini';
import { addSeconds, secondsBetween } from '../../lib/clock.ts';
import type { Db } from '../../lib/db/database.ts';
import { handleMessage } from '../../lib/each-record.ts';
import {
  type Backend,
  type BackendCall,
  BackendUnavailable,
  type CommandOutcome,
  type DevicePage,
  type DeviceVersions,
  type FirmwareCommand,
} from '../../lib/ports/backend.ts';
import type { EventBus } from '../../lib/ports/event-bus.ts';
import { checkedDelay, type Queue, type SendOptions } from '../../lib/ports/queue.ts';
import { confirmUpdate } from '../../lib/report/confirm-update.ts';
import type { Confirmation } from '../../lib/report/confirmation.ts';
import { verifyUpdate } from '../../lib/report/verify-update.ts';
import { getUpdate } from '../../lib/update/get-update.ts';
import { AdvanceMessage, DispatchMessage, VerifyMessage } from '../../lib/update/messages.ts';
import { type RequestUpdate, requestUpdate } from '../../lib/update/plan/request-update.ts';
import { dispatchUpdate } from '../../lib/update/reach/dispatch-update.ts';
import type { UpdateDetail } from '../../lib/update/update.ts';
import { advanceUpdate } from '../../lib/update/walk/advance-update.ts';
import { confirmation, silentLog, startOfTime, TestClock, updateRequest } from './fixtures.ts';
import { InMemoryStorage } from './in-memory-storage.ts';
import { manifestSigner } from './manifest-signer.ts';
import { type QueuedMessage, TimedQueues } from './timed-queues.ts';

const functionMilliseconds = 29_000;

interface Happening {
  at: Date;
  run: () => void;
}

/** Time that passes only when everybody waits for it, so that an hour costs what happens in it. */
export class SimulatedTime {
  readonly clock = new TestClock();
  /** In the order of time; those of one moment in the order in which they were told. */
  readonly #happenings: Happening[] = [];
  #atWork = 0;
  #whenQuiet: (() => void) | undefined;
  #error: unknown;

  at(at: Date, run: () => void): void {
    let low = 0;
    let high = this.#happenings.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#happenings[middle] as Happening).at <= at) low = middle + 1;
      else high = middle;
    }
    this.#happenings.splice(low, 0, { at, run });
  }

  after(seconds: number, run: () => void): void {
    this.at(addSeconds(this.clock.now(), seconds), run);
  }

  /** For what works in this time: the clock stands still meanwhile. */
  sleep(seconds: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(seconds, () => {
        this.#atWork += 1;
        resolve();
      });
      this.#rest();
    });
  }

  /** The clock stands still until the work sleeps or has ended. */
  spawn(work: () => Promise<void>): void {
    this.#atWork += 1;
    work()
      .catch((error: unknown) => {
        this.#error ??= error;
      })
      .finally(() => this.#rest());
  }

  #rest(): void {
    this.#atWork -= 1;
    if (this.#atWork === 0) this.#whenQuiet?.();
  }

  async #quiet(): Promise<void> {
    if (this.#atWork > 0) {
      await new Promise<void>((resolve) => {
        this.#whenQuiet = resolve;
      });
    }
    if (this.#error) throw this.#error;
  }

  /** Lets happen what happens, until a moment, a condition, or until nothing happens any more. What happens at one moment races. */
  async run({ seconds = Number.POSITIVE_INFINITY, until = () => false }: { seconds?: number; until?: () => boolean } = {}): Promise<void> {
    const { clock } = this;
    const end = clock.now().getTime() + seconds * 1000;
    await this.#quiet();
    for (let next = this.#happenings[0]; next && next.at.getTime() <= end && !until(); next = this.#happenings[0]) {
      clock.advance(Math.max(0, secondsBetween(clock.now(), next.at)));
      const now = clock.now();
      while (this.#happenings[0] && this.#happenings[0].at <= now) this.#happenings.shift()?.run();
      await this.#quiet();
    }
    if (Number.isFinite(end) && !until()) clock.advance(Math.max(0, (end - clock.now().getTime()) / 1000));
  }
}

/** A queue in simulated time, with its consumer: it delivers at least once, to so many at once. */
export class SimulatedQueue<Message> implements Queue<Message> {
  sent = 0;
  mostReceives = 0;
  failures = 0;
  /** Which of the messages are delivered twice, the second one a little later. */
  isDuplicated: () => boolean = () => false;
  /** Seconds that a copy comes later. */
  copyDelay: () => number = () => 0;
  /** Messages that are lost for ever, which SQS does not do. */
  isLost: (message: Message) => boolean = () => false;
  readonly #queues: TimedQueues;
  readonly #time: SimulatedTime;
  readonly #work: (message: unknown) => Promise<void>;
  readonly #concurrency: number;
  readonly #ready: QueuedMessage[] = [];
  #atWork = 0;

  constructor(time: SimulatedTime, concurrency: number, work: (message: unknown) => Promise<void>) {
    this.#queues = new TimedQueues(time.clock.now);
    this.#time = time;
    this.#concurrency = concurrency;
    this.#work = work;
  }

  async send(messages: readonly Message[], { delaySeconds = 0 }: SendOptions = {}): Promise<void> {
    checkedDelay(delaySeconds);
    for (const message of messages) {
      this.sent += 1;
      if (this.isLost(message)) continue;
      this.#put(message, delaySeconds);
      if (this.isDuplicated()) this.#put(message, delaySeconds + this.copyDelay());
    }
  }

  /** Messages stored, waiting or being worked on. */
  get length(): number {
    return this.#queues.messages.length;
  }

  get dead(): readonly QueuedMessage[] {
    return this.#queues.dead;
  }

  #put(message: Message, delaySeconds: number): void {
    this.#showWhenDue(this.#queues.put('simulated', message, delaySeconds));
  }

  #showWhenDue(stored: QueuedMessage): void {
    this.#time.at(stored.due, () => {
      this.#ready.push(stored);
      this.#deliver();
    });
  }

  #deliver(): void {
    while (this.#atWork < this.#concurrency) {
      const stored = this.#ready.shift();
      if (!stored) return;
      if (!this.#queues.receive(stored)) continue;
      this.mostReceives = Math.max(this.mostReceives, stored.receives);
      this.#atWork += 1;
      this.#time.spawn(() => this.#handle(stored));
    }
  }

  async #handle(stored: QueuedMessage): Promise<void> {
    const outcome = await handleMessage(
      silentLog,
      { body: JSON.stringify(stored.body), message_id: '' },
      {
        schema: z.unknown(),
        queue: this as unknown as Queue<object>,
        work: this.#work,
      },
    );
    if (outcome === 'done' || outcome === 'deferred') {
      this.#queues.remove(stored);
    } else {
      this.failures += 1;
      this.#showWhenDue(stored);
    }
    this.#atWork -= 1;
    this.#deliver();
  }
}

export interface Behaviour {
  /** From the command to the report. */
  seconds: number;
  /** `silent`: it installs and does not report; `dead`: nothing is ever heard of it; `liar`: it reports success and runs what it ran. */
  result: 'succeeds' | 'fails' | 'silent' | 'dead' | 'liar';
}

/** A backend and its fleet in simulated time. Like the real one it commands a device once for each (execution_id, attempt). */
export class SimulatedBackend implements Backend {
  /** Every call that has arrived, also those that were answered by an error. */
  readonly arrivals: { at: Date; commands: readonly FirmwareCommand[]; wasTaken: boolean }[] = [];
  readonly questions: { at: Date; external_ids: readonly string[]; wasTaken: boolean }[] = [];
  /** What devices run, as the backend sees it. */
  readonly runs = new Map<string, { version: string; at: Date }>();
  isDown = false;
  /** Commands that are taken and left out of the answer. */
  forgets: () => boolean = () => false;
  /** The most devices that had a command at one time and had not done with it. */
  mostAtWork = 0;
  /** Seconds until a call to a backend that is down fails. */
  failsAfterSeconds = 0.1;
  retryAfterSeconds: number | undefined;
  latencySeconds: () => number = () => 0.1;
  answer: (command: FirmwareCommand) => CommandOutcome = ({ execution_id }) => ({ execution_id, outcome: 'accepted' });
  behave: (command: FirmwareCommand) => Behaviour = () => ({ seconds: 20, result: 'succeeds' });
  readonly #time: SimulatedTime;
  readonly #report: (report: Confirmation) => void;
  readonly #commanded = new Set<string>();
  #atWork = 0;

  constructor(time: SimulatedTime, report: (report: Confirmation) => void) {
    this.#time = time;
    this.#report = report;
  }

  async sendCommands(commands: readonly FirmwareCommand[], { timeoutMilliseconds }: BackendCall): Promise<CommandOutcome[]> {
    const at = this.#time.clock.now();
    const arrival = { at, commands, wasTaken: !this.isDown };
    this.arrivals.push(arrival);
    await this.#time.sleep(arrival.wasTaken ? this.latencySeconds() : Math.min(this.failsAfterSeconds, timeoutMilliseconds / 1000));
    if (!arrival.wasTaken) throw this.#unavailable();
    const outcomes = commands.map((command) => {
      const outcome = this.answer(command);
      if (outcome.outcome === 'accepted') this.#install(command);
      return outcome;
    });
    return outcomes.filter(() => !this.forgets());
  }

  #unavailable(): BackendUnavailable {
    const { retryAfterSeconds } = this;
    return new BackendUnavailable('backend answered 503', retryAfterSeconds === undefined ? {} : { retryAfterSeconds });
  }

  #install(command: FirmwareCommand): void {
    const { execution_id, attempt, external_id, hardware_type, version } = command;
    const key = `${execution_id} ${attempt}`;
    if (this.#commanded.has(key)) return;
    this.#commanded.add(key);
    this.#atWork += 1;
    this.mostAtWork = Math.max(this.mostAtWork, this.#atWork);
    const { seconds, result } = this.behave(command);
    if (result === 'dead') return;
    this.#time.after(seconds, () => {
      this.#atWork -= 1;
      const occurred_dt = this.#time.clock.now();
      if (result === 'succeeds' || result === 'silent') this.runs.set(external_id, { version, at: occurred_dt });
      if (result === 'silent') return;
      const status = result === 'fails' ? ('FAILED' as const) : ('SUCCEEDED' as const);
      const reported = result === 'liar' ? '0.0.1' : version;
      this.#report(confirmation({ external_id, hardware_type, version: reported, status, execution_id, occurred_dt }));
    });
  }

  async findVersions(
    _kind: string,
    external_ids: readonly string[],
    { timeoutMilliseconds }: Pick<BackendCall, 'timeoutMilliseconds'>,
  ): Promise<DeviceVersions[]> {
    const now = this.#time.clock.now();
    this.questions.push({ at: now, external_ids, wasTaken: !this.isDown });
    const isDown = this.isDown;
    await this.#time.sleep(isDown ? Math.min(this.failsAfterSeconds, timeoutMilliseconds / 1000) : this.latencySeconds());
    if (isDown) throw this.#unavailable();
    return external_ids.flatMap((external_id) => {
      const run = this.runs.get(external_id);
      const firmware = run && { version: run.version, since_dt: run.at.toISOString(), observed_dt: now.toISOString() };
      return firmware ? [{ external_id, version: 1, firmwares: [{ hardware_type: 'vega_mcu', ...firmware }] }] : [];
    });
  }

  async listDevices(): Promise<DevicePage> {
    return { items: [], next_cursor: null };
  }

  get commands(): FirmwareCommand[] {
    return this.arrivals.flatMap(({ commands }) => commands);
  }

  /** Commands that arrived in [from, to), in seconds since the start of time. */
  commandsBetween(from: number, to: number): number {
    return this.arrivals.reduce((sum, { at, commands }) => {
      const second = secondsBetween(startOfTime, at);
      return second >= from && second < to ? sum + commands.length : sum;
    }, 0);
  }

  /** The most commands that arrived within any so many seconds, from a moment on. */
  mostWithin(windowSeconds: number, from = 0): number {
    const arrivals = this.arrivals.filter(({ at }) => secondsBetween(startOfTime, at) >= from);
    let most = 0;
    let sum = 0;
    let first = 0;
    for (const { at, commands } of arrivals) {
      sum += commands.length;
      for (let oldest = arrivals[first]; oldest && secondsBetween(oldest.at, at) >= windowSeconds; oldest = arrivals[first]) {
        sum -= oldest.commands.length;
        first += 1;
      }
      most = Math.max(most, sum);
    }
    return most;
  }
}

/**
 * An update's engine on a real database, with queues, backend, fleet and clock in simulated time. `kept` is the same database for the functions
 * that keep their plans.
 */
export const createSimulatedWalk = (db: Db, events?: EventBus, kept = db) => {
  const time = new SimulatedTime();
  const { now } = time.clock;
  const due: Confirmation[] = [];
  /** Reports of one moment travel together, as a backend's do. */
  const report = (item: Confirmation): void => {
    due.push(item);
    if (due.length > 1) return;
    time.after(0, () => {
      const reports = due.splice(0);
      time.spawn(async () => {
        for (let first = 0; first < reports.length; first += 1_000) {
          const outcomes = await confirmUpdate({ db: kept, now }, reports.slice(first, first + 1_000));
          const refused = outcomes.find(({ outcome }) => outcome === 'refused');
          if (refused) throw new Error(`A report was refused: ${refused.message}`);
        }
      });
    });
  };
  const backend = new SimulatedBackend(time, report);
  const ports = { db, now, log: silentLog, backend, storage: new InMemoryStorage(now), signManifest: manifestSigner(now) };
  const dispatches = new SimulatedQueue<DispatchMessage>(time, 10, (message) =>
    dispatchUpdate({ ...ports, db: kept }, DispatchMessage.parse(message), functionMilliseconds),
  );
  const verifications = new SimulatedQueue<VerifyMessage>(time, 5, (message) =>
    verifyUpdate({ ...ports, db: kept }, VerifyMessage.parse(message), functionMilliseconds),
  );
  const advances: SimulatedQueue<AdvanceMessage> = new SimulatedQueue(time, 10, (message) =>
    advanceUpdate({ ...ports, advances, dispatches, verifications, events }, AdvanceMessage.parse(message)),
  );
  const deps = { ...ports, advances, dispatches, verifications, events, tellsEvents: events !== undefined };
  const queues = [advances, dispatches, verifications];

  return {
    db,
    time,
    clock: time.clock,
    backend,
    deps,
    report,
    request: (request: Record<string, unknown>, extra: Partial<RequestUpdate> = {}) =>
      requestUpdate(deps, { ...updateRequest(request), ...extra }),
    find: (id: number): Promise<UpdateDetail> => getUpdate(db, id, now()),
    /** Seconds since the start of time. */
    seconds: (): number => secondsBetween(startOfTime, now()),
    run: time.run.bind(time),
    executions: (update_id: number) =>
      db.selectFrom('update_executions').selectAll().where('update_id', '=', update_id).orderBy('id').execute(),
    messagesLeft: (): number => queues.reduce((sum, { length }) => sum + length, 0),
    deadLetters: (): number => queues.reduce((sum, { dead }) => sum + dead.length, 0),
    mostReceives: (): number => Math.max(...queues.map(({ mostReceives }) => mostReceives)),
  };
};

export type SimulatedWalk = ReturnType<typeof createSimulatedWalk>;
