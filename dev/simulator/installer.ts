import type { JSONWebKeySet } from 'jose';
import type { Root } from './author-verifier.ts';
import type { Command } from './contract.ts';
import { downloadAndVerify } from './download.ts';
import { isExpired, type Trouble } from './fleet.ts';
import type { Accepted } from './journal.ts';
import {
  type Manifest,
  Refused,
  type Accepted as Remembered,
  remember,
  type SignedContent,
  serviceKeysOf,
  verifyManifest,
  verifySigned,
} from './manifest-verifier.ts';
import type { Timers } from './timers.ts';

const maximumDownloads = 50;

/** What has been verified before the download. */
interface Trusted {
  manifest: Manifest;
  /** Undefined: the device believes the service alone. */
  signed: SignedContent | undefined;
}

export interface InstallerDeps {
  timers: Timers;
  now: () => Date;
  log: (fields: Record<string, unknown>) => void;
  downloadRetryMs: number;
  /** The keys with which devices check manifests; without them they accept every command. */
  manifestKeys: JSONWebKeySet | undefined;
  /** Which authors devices believe; without it the service's word is enough. */
  authorRoot?: Root | undefined;
  started(command: Command): void;
  finished(accepted: Accepted, trouble?: Trouble): void;
}

export type Installer = ReturnType<typeof createInstaller>;

/** Carries out accepted commands: download and installation. A device does one command at a time, in the order of their arrival. */
export function createInstaller(deps: InstallerDeps) {
  const stop = new AbortController();
  const memories = new Map<string, Map<string, Remembered>>();
  const lastOfDevice = new Map<string, Promise<void>>();
  const downloads = createLimit(maximumDownloads, stop.signal);
  let underWay = 0;

  async function run({ command, plan }: Accepted): Promise<Trouble | undefined> {
    if (isExpired(command, deps.now())) return { status: 'REJECTED', detail: 'the command expired before the device could start' };
    let trusted: Trusted | undefined;
    try {
      trusted = deps.manifestKeys && (await checkManifest(command, deps.manifestKeys));
    } catch (error) {
      if (error instanceof Refused) return { status: 'REJECTED', detail: error.message };
      throw error;
    }
    const problem = await downloads(async () => {
      deps.started(command);
      const file = { url: command.url, ...(trusted?.manifest ?? command), signed_parts: trusted?.signed?.parts };
      return downloadAndVerify(file, { signal: stop.signal, sleep: deps.timers.sleep, retryMs: deps.downloadRetryMs });
    });
    if (problem) return { status: 'FAILED', detail: problem };
    await deps.timers.sleep(plan.install_ms);
    if (trusted && (plan.fate === 'succeeds' || plan.fate === 'installs_silently')) {
      remember(memoryOf(command), trusted.manifest, trusted.signed?.authors);
    }
    return undefined;
  }

  /** What a device remembers, until the simulator ends; a real device remembers it for ever. */
  function memoryOf({ kind, external_id }: Pick<Command, 'kind' | 'external_id'>): Map<string, Remembered> {
    const device = `${kind}/${external_id}`;
    const memory = memories.get(device) ?? new Map<string, Remembered>();
    memories.set(device, memory);
    return memory;
  }

  async function checkManifest(command: Command, keys: JSONWebKeySet): Promise<Trusted> {
    const { hardware_type } = command;
    const { authorRoot: root } = deps;
    const [accepted, now] = [memoryOf(command), deps.now()];
    const manifest = await verifyManifest(command.manifest, { keys: serviceKeysOf(root, keys), hardware_type, accepted, now });
    if (manifest.version !== command.version)
      throw new Refused(`the manifest is for ${manifest.version}, the command for ${command.version}`);
    return { manifest, signed: root && (await verifySigned(manifest, { root, accepted, now })) };
  }

  async function install(accepted: Accepted): Promise<void> {
    try {
      const trouble = await run(accepted);
      if (!stop.signal.aborted) deps.finished(accepted, trouble);
    } catch (error) {
      // The journal could not be written, or we are closing: the command stays unfinished and goes on after a restart.
      if (!stop.signal.aborted) deps.log({ msg: 'installation.lost', execution_id: accepted.command.execution_id, error: String(error) });
    }
    underWay -= 1;
  }

  return {
    start(accepted: Accepted) {
      const device = `${accepted.command.kind}/${accepted.command.external_id}`;
      underWay += 1;
      const last = (lastOfDevice.get(device) ?? Promise.resolve())
        .then(() => install(accepted))
        .then(() => {
          if (lastOfDevice.get(device) === last) lastOfDevice.delete(device);
        });
      lastOfDevice.set(device, last);
    },
    underWay: () => underWay,
    /** Ends downloads; nothing is reported as finished any more. Installations that wait are ended by clearing the timers. */
    close: () => stop.abort(new Error('the simulator is closing')),
  };
}

/** Runs at most `maximum` works at once, the others in order; those that wait when `signal` aborts never run. */
function createLimit(maximum: number, signal: AbortSignal) {
  let running = 0;
  let waiting: (() => void)[] = [];
  let head = 0; // instead of shift(), which moves the whole array each time
  const next = () => {
    const resume = waiting[head];
    head += 1;
    if (head >= waiting.length) [waiting, head] = [[], 0];
    if (resume) resume();
    else running -= 1;
  };
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (running < maximum) running += 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await work();
    } finally {
      if (!signal.aborted) next();
    }
  };
}
