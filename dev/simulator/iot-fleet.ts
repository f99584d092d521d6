import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { JSONWebKeySet } from 'jose';
import { readPrivateJson, writePrivateFile } from '../../ops/private-file.ts';
import type { Root } from './author-verifier.ts';
import { Behaviour } from './behaviour.ts';
import type { Kind } from './contract.ts';
import { initialVersion, planInstallation, seededRandom } from './fleet.ts';
import { type IotDevice, runIotDevice } from './iot-device.ts';
import { createTimers } from './timers.ts';

export interface IotFleetOptions extends Partial<Behaviour> {
  cabinets: number;
  /** Scooters with an IoT board of their own. */
  scooters: number;
  seed?: number;
  /** Where tokens and versions stay; without it everything is in memory. */
  file?: string | undefined;
  /** Where devices send their requests: the address before `/{tenant}/controller/v1`. */
  url: string;
  tenant: string;
  /** The service's keys, which are put into devices when they are made. */
  manifestKeys: JSONWebKeySet;
  /** Whom devices of a kind believe that are made from now on. Others believe the service alone. */
  author_roots?: Partial<Record<Kind, Root>>;
  now?: (() => Date) | undefined;
  /** Makes a token for a device that has none here. */
  issueToken(device: { kind: Kind; external_id: string }): Promise<string>;
  log?: ((fields: Record<string, unknown>) => void) | undefined;
}

export interface IotFleetDevice {
  kind: Kind;
  external_id: string;
  version: null;
  channel: 'iot';
}

export const hardwareTypesThatPoll: Record<Kind, string> = { cabinet: 'cabinet', scooter: 'yandex_iot' };

/** The simulated devices that poll. Their ids differ from all ids of scooters-backend's fleet. */
export const listIotDevices = ({ cabinets, scooters }: Pick<IotFleetOptions, 'cabinets' | 'scooters'>): IotFleetDevice[] => {
  const named = (kind: Kind, prefix: string, count: number) =>
    Array.from({ length: count }, (_, i) => ({
      ...{ kind, external_id: `${prefix}${String(i + 1).padStart(4, '0')}`, version: null, channel: 'iot' as const },
    }));
  return [...named('cabinet', 'C-', cabinets), ...named('scooter', 'S-IOT-', scooters)];
};

/** Starts simulated cabinets and scooters that poll the updater until `close`. With a file, a restart continues with the same state. */
export async function startIotFleet(options: IotFleetOptions): Promise<{ close(): void }> {
  const { file, url, tenant, log = () => {} } = options;
  const behaviour = Behaviour.parse(options);
  const kept = (file === undefined ? undefined : readPrivateJson<IotDevice[]>(file)) ?? [];
  const devices = await Promise.all(
    listIotDevices(options).map(async ({ kind, external_id }): Promise<IotDevice> => {
      const known = kept.find((device) => device.kind === kind && device.external_id === external_id);
      if (known) return known;
      const token = await options.issueToken({ kind, external_id });
      const author_root = options.author_roots?.[kind];
      return { kind, external_id, token, hardware_type: hardwareTypesThatPoll[kind], version: initialVersion, author_root };
    }),
  );
  const store = () => {
    if (file === undefined) return;
    mkdirSync(dirname(file), { recursive: true });
    writePrivateFile(file, JSON.stringify(devices));
  };
  store();

  const stop = new AbortController();
  const timers = createTimers();
  for (const device of devices) {
    void runIotDevice(device, {
      url: `${url}/${tenant}/controller/v1/${device.kind}.${device.external_id}`,
      apiUrl: url,
      manifestKeys: options.manifestKeys,
      now: options.now ?? (() => new Date()),
      signal: stop.signal,
      sleep: timers.sleep,
      log,
      plan: (actionId) => planInstallation(behaviour, seededRandom(options.seed ?? 1, actionId, device.external_id)),
      store,
    });
  }
  return {
    /** Stops all devices at once, whatever they are doing, as a power cut does. */
    close() {
      stop.abort(new Error('the fleet is closing'));
      timers.clear();
    },
  };
}
