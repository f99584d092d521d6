import { addSeconds, type Clock } from '../../../../lib/clock.ts';
import {
  BackendRefusal,
  BackendUnavailable,
  type CommandOutcome,
  type DeviceVersions,
  type FirmwareCommand,
} from '../../../../lib/ports/backend.ts';
import type { Confirmation } from '../../../../lib/report/confirmation.ts';
import { passBy, runs } from './faults.ts';

/**
 * What a device does with a command: installs and reports it; installs and keeps silent; fails and reports it; reports success with another
 * version; declines; does nothing at all.
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
  /** How far its clock is ahead, in seconds; one that was never set stands at 1970. */
  clockAhead: number | 'never set';
  /** What it runs, from when on. */
  installed: { hardware_type: string; version: string; at: Date }[];
}

/** `lost`: the commands are taken, but the answer does not arrive. `forgetful`: the outcomes of odd ids are missing from the answer. */
export const backendModes = ['up', 'unavailable', 'busy', 'lost', 'forgetful', 'refusing', 'slow'] as const;
export type BackendMode = (typeof backendModes)[number];

export type Report = Pick<
  Confirmation,
  'external_id' | 'hardware_type' | 'version' | 'status' | 'occurred_dt' | 'execution_id' | 'attempt'
>;

export interface Command {
  execution_id: number;
  attempt: number;
  external_id: string;
  outcome: CommandOutcome['outcome'] | 'none';
}

/** Observes what the fleet does. */
export interface Witness {
  called(commands: Command[]): void;
  reports(report: Report, due: Date): void;
  /** A slow call takes time, where nobody else is at work. */
  passesSlowly(): void;
}

/** Scooters-backend and the devices behind it. */
export class SimulatedFleet {
  readonly devices: SimulatedDevice[];
  mode: BackendMode = 'up';
  readonly #now: Clock;
  readonly #witness: Witness;
  readonly #taken = new Set<string>();

  constructor(external_ids: readonly string[], now: Clock, witness: Witness) {
    this.#now = now;
    this.#witness = witness;
    this.devices = external_ids.map((external_id) => ({
      ...{ external_id, conduct: 'installs', answer: 'accepted', seconds: 10, namesExecution: true, clockAhead: 0 },
      installed: [],
    }));
  }

  async sendCommands(commands: readonly FirmwareCommand[]): Promise<CommandOutcome[]> {
    passBy();
    const { mode } = this;
    const isTaken = mode !== 'unavailable' && mode !== 'busy' && mode !== 'refusing';
    const outcomes = isTaken ? commands.map((command) => this.#take(command)) : [];
    const heard = mode === 'lost' ? [] : outcomes.filter(({ execution_id }) => mode !== 'forgetful' || execution_id % 2 === 0);
    this.#witness.called(
      commands.map(({ execution_id, attempt, external_id }, i) => {
        const outcome = outcomes[i] && (outcomes[i].outcome === 'accepted' || heard.includes(outcomes[i])) ? outcomes[i].outcome : 'none';
        return { execution_id, attempt, external_id, outcome: mode === 'refusing' ? 'rejected' : outcome };
      }),
    );
    if (mode === 'slow') this.#witness.passesSlowly();
    if (mode === 'unavailable') throw new BackendUnavailable('503');
    if (mode === 'busy') throw new BackendUnavailable('429', { retryAfterSeconds: 20 });
    if (mode === 'lost') throw new BackendUnavailable('timeout');
    if (mode === 'refusing') throw new BackendRefusal('400');
    return heard;
  }

  async findVersions(_kind: string, external_ids: readonly string[]): Promise<DeviceVersions[]> {
    passBy();
    if (this.mode !== 'up' && this.mode !== 'slow') throw new BackendUnavailable('503');
    const now = this.#now();
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
    return device.installed.findLast((installed) => installed.hardware_type === hardware_type && installed.at <= this.#now());
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

    const at = addSeconds(this.#now(), device.seconds);
    const runsNow = this.#installedOn(device, hardware_type)?.version ?? 'factory';
    const say = (status: Report['status'], said: string, due: Date) => {
      const occurred_dt = device.clockAhead === 'never set' ? new Date(0) : addSeconds(due, device.clockAhead);
      const named = device.namesExecution && { execution_id, attempt };
      this.#witness.reports({ external_id, hardware_type, status, version: said, occurred_dt, ...named }, due);
    };
    const install = (other: string) => device.installed.push({ hardware_type, version: other, at });
    const begins = addSeconds(this.#now(), 1);
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
