import type { Behaviour } from './behaviour.ts';
import type { Command, Confirmation, Kind, Outcome } from './contract.ts';

// The simulated fleet and its rules, without I/O and clock. All random choices come from a seed.

export const fittedHardwareTypes: Record<Kind, readonly string[]> = {
  scooter: ['vega_mcu', 'vega_gsm', 'audio_lock', 'audio_locate', 'audio_unlock', 'audio_battery_low'],
  cabinet: ['cabinet'],
};
export const initialVersion = '1.0.0';
/** Since when devices run their initial version: long before any update, and the same in every run. */
export const initialSinceDt = '2026-01-05T00:00:00.000Z';

export interface Device {
  kind: Kind;
  external_id: string;
  /** The generation: 1 or 2 for a scooter, none for a cabinet. */
  version: number | null;
}

export interface Running {
  version: string;
  since_dt: string;
}

export type Fleet = ReturnType<typeof createFleet>;

/** Devices are computed from their number, so a large fleet needs memory only for what was installed on it. */
export function createFleet({ scooters, cabinets }: { scooters: number; cabinets: number }) {
  const installed = new Map<string, Running>();
  const key = (device: Pick<Device, 'kind' | 'external_id'>, hardwareType: string) =>
    `${device.kind}/${device.external_id}/${hardwareType}`;

  const scooter = (number: number): Device => ({ kind: 'scooter', external_id: externalId('S-', 5, number), version: number % 2 ? 1 : 2 });
  const cabinet = (number: number): Device => ({ kind: 'cabinet', external_id: externalId('C-', 4, number), version: null });

  const running = (device: Pick<Device, 'kind' | 'external_id'>, hardwareType: string): Running =>
    installed.get(key(device, hardwareType)) ?? { version: initialVersion, since_dt: initialSinceDt };

  return {
    size: scooters + cabinets,
    /** The device at a place in the whole list: scooters first, then cabinets. */
    at: (index: number): Device => (index < scooters ? scooter(index + 1) : cabinet(index - scooters + 1)),
    find(kind: Kind, id: string): Device | undefined {
      const number = Number(/^[SC]-(\d{4,9})$/.exec(id)?.[1]);
      const device = kind === 'scooter' ? scooter(number) : cabinet(number);
      const exists = number >= 1 && number <= (kind === 'scooter' ? scooters : cabinets);
      return exists && device.external_id === id ? device : undefined;
    },
    running,
    firmwares: (device: Device) =>
      fittedHardwareTypes[device.kind].map((hardware_type) => ({ hardware_type, ...running(device, hardware_type) })),
    /** Installing the version that already runs changes nothing, not even the time since which it runs. */
    install(device: Pick<Device, 'kind' | 'external_id'>, hardwareType: string, version: string, sinceDt: string) {
      if (running(device, hardwareType).version !== version) installed.set(key(device, hardwareType), { version, since_dt: sinceDt });
    },
  };
}

const externalId = (prefix: string, digits: number, number: number) => `${prefix}${String(number).padStart(digits, '0')}`;

/** How an accepted command will go. It is decided when the command is accepted and kept with it, so a restart changes nothing. */
export interface Plan {
  fate: 'succeeds' | 'fails' | 'lies' | 'installs_silently' | 'ignores_silently';
  install_ms: number;
  /** What the device says if it fails. */
  failure: string;
}
export type Decision = Exclude<Outcome, { outcome: 'accepted' }> | { outcome: 'accepted'; plan: Plan };

const rejections = ['firmware is not approved for this device', 'device is in a workshop', 'device was taken out of service'] as const;
const deferrals = ['in a ride', 'battery low', 'no connection', 'being charged in a cabinet'] as const;
const failures = [
  'flash write error at 0x0801F400',
  'signature check failed after installation, previous firmware restored',
  'battery fell below 20 % during installation',
  'restarted during installation, previous firmware restored',
  'not enough free space: 131072 bytes needed, 98304 bytes free',
] as const;

/** What the backend answers to a command for this device. */
export function decide(command: Command, device: Device | undefined, behaviour: Behaviour, random: () => number, now: Date): Decision {
  // All random numbers are drawn first and in a fixed order, so that changing one rate does not change the other decisions.
  const [rejection, deferral, fate, time, choice] = [random(), random(), random(), normal(random), random()];
  if (!device) return { outcome: 'rejected', reason: 'unknown device' };
  if (!fittedHardwareTypes[device.kind].includes(command.hardware_type))
    return { outcome: 'rejected', reason: `the device has no ${command.hardware_type}` };
  if (isExpired(command, now)) return { outcome: 'rejected', reason: 'the command has expired' };
  if (rejection < behaviour.rejection_rate) return { outcome: 'rejected', reason: pick(rejections, choice) };
  if (deferral < behaviour.deferral_rate) {
    const span = behaviour.deferral_max_seconds - behaviour.deferral_min_seconds + 1;
    const seconds = behaviour.deferral_min_seconds + Math.floor(fate * span);
    return { outcome: 'deferred', reason: pick(deferrals, choice), retry_after_seconds: seconds };
  }
  return {
    outcome: 'accepted',
    plan: { fate: fateAt(fate, behaviour), install_ms: installTime(time, behaviour), failure: pick(failures, choice) },
  };
}

/** How an installation goes on a device that polls. It is never deferred or rejected, because such a device polls when it can be updated. */
export const planInstallation = (behaviour: Behaviour, random: () => number): Plan => {
  const [fate, time, choice] = [random(), normal(random), random()];
  return { fate: fateAt(fate, behaviour), install_ms: installTime(time, behaviour), failure: pick(failures, choice) };
};

export const isExpired = ({ expires_dt }: Command, now: Date) => now.getTime() > Date.parse(expires_dt);

/** One draw decides, each rate has its own stretch of 0..1. Rates that add up to more than 1 cut off the later ones. */
function fateAt(draw: number, { failure_rate, lie_rate, silent_rate }: Behaviour): Plan['fate'] {
  if (draw < failure_rate) return 'fails';
  if (draw < failure_rate + lie_rate) return 'lies';
  if (draw < failure_rate + lie_rate + silent_rate / 2) return 'installs_silently';
  if (draw < failure_rate + lie_rate + silent_rate) return 'ignores_silently';
  return 'succeeds';
}

/** Log-normal: with a spread of 0.5, nine in ten installations end within 1.9 times the median. */
const installTime = (time: number, { install_seconds }: Behaviour) =>
  Math.round(install_seconds * 1000 * Math.min(4, Math.exp(0.5 * time)));

export type Report = Pick<Confirmation, 'status' | 'version' | 'detail'>;

/** What went wrong before the installation itself, whatever the plan was. */
export interface Trouble {
  status: 'FAILED' | 'REJECTED';
  detail: string;
}

/** How it ended: the version the device now runs, and what it reports, if anything. */
export function conclude(plan: Plan, wanted: string, before: string, trouble?: Trouble): { runs: string; report?: Report } {
  if (plan.fate === 'ignores_silently') return { runs: before };
  if (plan.fate === 'installs_silently') return { runs: trouble ? before : wanted };
  if (trouble) return { runs: before, report: { version: before, ...trouble } };
  if (plan.fate === 'fails') return { runs: before, report: { version: before, status: 'FAILED', detail: plan.failure } };
  if (plan.fate === 'lies') return { runs: before, report: { version: before, status: 'SUCCEEDED' } };
  return { runs: wanted, report: { version: wanted, status: 'SUCCEEDED' } };
}

/** Random numbers in [0, 1) that depend only on the given parts, not on other draws (FNV-1a, then mulberry32). */
export function seededRandom(...parts: (string | number)[]): () => number {
  let state = 2_166_136_261;
  for (const character of parts.join('/')) state = Math.imul(state ^ character.charCodeAt(0), 16_777_619);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Box-Muller; 1 - random() because the logarithm of 0 is not a number to wait for. */
const normal = (random: () => number) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());

const pick = <T>(from: readonly [T, ...T[]], draw: number): T => from[Math.floor(draw * from.length)] ?? from[0];
