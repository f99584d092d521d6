import type { JSONWebKeySet } from 'jose';
import type { Root } from './author-verifier.ts';
import { type Behaviour, changeBehaviour } from './behaviour.ts';
import type { Command, CommandResult, Confirmation, DeviceVersions, Kind, Outcome } from './contract.ts';
import { conclude, createFleet, decide, seededRandom, type Trouble } from './fleet.ts';
import { createInstaller } from './installer.ts';
import { type Accepted, type Journal, type JournalEntry, noJournal, openJournal } from './journal.ts';
import { createReporter, type Token } from './reporter.ts';
import { createTimers } from './timers.ts';

export interface BackendOptions {
  scooters: number;
  cabinets: number;
  seed: number;
  behaviour: Behaviour;
  journal?: string | undefined;
  now: () => Date;
  log: (fields: Record<string, unknown>) => void;
  flushMs: number;
  retryMs: number;
  manifestKeys?: JSONWebKeySet | undefined;
  authorRoot?: Root | undefined;
}

export type Backend = ReturnType<typeof createBackend>;

/** What a simulated scooters-backend knows and does, without HTTP. With a journal it goes on where the last one ended, even after a crash. */
export function createBackend(options: BackendOptions) {
  const { now, log } = options;
  const fleet = createFleet(options);
  const timers = createTimers();
  const decided = new Map<string, Exclude<Outcome, { outcome: 'deferred' }>>();
  const deferred = new Map<string, { reason: string; until: number; times: number }>();
  const counts = { commands: 0, duplicate_commands: 0 };
  let behaviour = options.behaviour;
  let journal: Journal = noJournal;

  const reporter = createReporter({
    timers,
    log,
    flushMs: options.flushMs,
    retryMs: options.retryMs,
    settled: (keys, how) => keys.length > 0 && journal.append([{ type: 'reported', at: now().toISOString(), keys, how }]),
  });

  const installer = createInstaller({
    timers,
    now,
    log,
    downloadRetryMs: options.retryMs,
    manifestKeys: options.manifestKeys,
    authorRoot: options.authorRoot,
    started,
    finished,
  });

  function started(command: Command) {
    const { version } = fleet.running(command, command.hardware_type);
    if (behaviour.report_progress) reporter.add(confirmation(command, { status: 'IN_PROGRESS', version }));
  }

  function finished({ command, plan }: Accepted, trouble?: Trouble) {
    const at = now().toISOString();
    const { runs, report } = conclude(plan, command.version, fleet.running(command, command.hardware_type).version, trouble);
    const owed = report && confirmation(command, report, at);
    const { kind, external_id, hardware_type } = command;
    const device = { kind, external_id, hardware_type };
    journal.append([{ type: 'finished', at, key: keyOf(command), command: device, runs, ...(owed && { report: owed }) }]);
    fleet.install(command, command.hardware_type, runs, at);
    if (owed) reporter.add(owed, keyOf(command));
  }

  const confirmation = (command: Command, report: Pick<Confirmation, 'status' | 'version' | 'detail'>, at = now().toISOString()) => {
    const { kind, external_id, hardware_type, execution_id, attempt } = command;
    return { kind, external_id, hardware_type, execution_id, attempt, occurred_dt: at, ...report };
  };

  /** Decides one command. Final decisions go to `entries`, and may take effect only after these are written. */
  function command(command: Command, entries: JournalEntry[], starts: Accepted[], fresh: Map<string, Outcome>): Outcome {
    const key = keyOf(command);
    counts.commands += 1;
    const known = decided.get(key) ?? fresh.get(key) ?? stillDeferred(key);
    if (known) {
      counts.duplicate_commands += 1;
      return known;
    }
    const times = deferred.get(key)?.times ?? 0;
    const random = seededRandom(options.seed, key, times);
    const decision = decide(command, fleet.find(command.kind, command.external_id), behaviour, random, now());
    const at = now().toISOString();
    deferred.delete(key);
    if (decision.outcome === 'deferred') {
      deferred.set(key, { reason: decision.reason, until: now().getTime() + decision.retry_after_seconds * 1000, times: times + 1 });
      return decision;
    }
    if (decision.outcome === 'rejected') {
      entries.push({ type: 'rejected', at, key, reason: decision.reason });
      fresh.set(key, decision);
      return decision;
    }
    const accepted = { command, plan: decision.plan };
    entries.push({ type: 'accepted', at, key, ...accepted });
    starts.push(accepted);
    fresh.set(key, { outcome: 'accepted' });
    return { outcome: 'accepted' };
  }

  /** A deferred command is answered in the same way until its time has come; then it is decided anew. */
  function stillDeferred(key: string): Outcome | undefined {
    const found = deferred.get(key);
    const leftMs = (found?.until ?? 0) - now().getTime();
    return found && leftMs > 0 ? { outcome: 'deferred', reason: found.reason, retry_after_seconds: Math.ceil(leftMs / 1000) } : undefined;
  }

  /** Knows again what the last run has written, and goes on with what it left. */
  function goOnFrom(file: string): void {
    const unfinished = new Map<string, Accepted>();
    const owed = new Map<string, Confirmation>();
    journal = openJournal(file, (entry) => {
      if (entry.type === 'accepted') {
        decided.set(entry.key, { outcome: 'accepted' });
        unfinished.set(entry.key, { command: entry.command, plan: entry.plan });
      } else if (entry.type === 'rejected') decided.set(entry.key, { outcome: 'rejected', reason: entry.reason });
      else if (entry.type === 'finished') {
        unfinished.delete(entry.key);
        fleet.install(entry.command, entry.command.hardware_type, entry.runs, entry.at);
        if (entry.report) owed.set(entry.key, entry.report);
      } else for (const key of entry.keys) owed.delete(key);
    });
    log({ msg: 'journal.replayed', commands: decided.size, unfinished: unfinished.size, reports_owed: owed.size });
    for (const [key, report] of owed) reporter.add(report, key);
    for (const accepted of unfinished.values()) installer.start(accepted);
  }

  if (options.journal !== undefined) goOnFrom(options.journal);

  return {
    /** Answers each command; those accepted are in the journal before this returns. If it throws, none was accepted. */
    commands(commands: Command[]): CommandResult[] {
      const [entries, starts, fresh]: [JournalEntry[], Accepted[], Map<string, Exclude<Outcome, { outcome: 'deferred' }>>] = [
        [],
        [],
        new Map(),
      ];
      const results = commands.map((each) => ({ execution_id: each.execution_id, ...command(each, entries, starts, fresh) }));
      if (entries.length > 0) journal.append(entries);
      for (const [key, outcome] of fresh) decided.set(key, outcome);
      for (const accepted of starts) installer.start(accepted);
      return results;
    },
    /** What devices really run, each device once, and the unknown ids. */
    versions(kind: Kind, externalIds: string[]): { devices: DeviceVersions[]; unknown: string[] } {
      const observed_dt = now().toISOString();
      const answer: { devices: DeviceVersions[]; unknown: string[] } = { devices: [], unknown: [] };
      for (const external_id of new Set(externalIds)) {
        const device = fleet.find(kind, external_id);
        if (!device) {
          answer.unknown.push(external_id);
          continue;
        }
        const firmwares = fleet.firmwares(device).map((firmware) => ({ ...firmware, observed_dt }));
        answer.devices.push({ external_id, version: device.version, firmwares });
      }
      return answer;
    },
    page(start: number, limit: number) {
      const end = Math.min(start + limit, fleet.size);
      const items = Array.from({ length: Math.max(0, end - start) }, (_, index) => fleet.at(start + index));
      return { items, next: end < fleet.size ? end : undefined };
    },
    device(kind: Kind, externalId: string) {
      const device = fleet.find(kind, externalId);
      return device && { ...device, firmwares: fleet.firmwares(device) };
    },
    behaviour: () => behaviour,
    change(change: unknown): Behaviour {
      behaviour = changeBehaviour(behaviour, change);
      return behaviour;
    },
    counts: () => ({ ...counts }),
    progress: () => ({ installing: installer.underWay(), reports: reporter.counts() }),
    reportTo: (url: string, token: Token) => reporter.reportTo(url, token),
    sleep: timers.sleep,
    close() {
      timers.clear();
      installer.close();
      reporter.close();
      journal.close();
    },
  };
}

const keyOf = ({ execution_id, attempt }: Command) => `${execution_id}/${attempt}`;
