// A fleet with a history, so that pictures of the console show what people see after some months and not empty tables.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import {
  ApiProblem,
  type Client,
  createClient,
  registerAll,
  startUpdate,
  type UpdateRequest,
  uploadFirmware,
} from '../../clients/api/src/index.ts';
import type { Stack } from '../stack/stack.ts';

export const demoScooters = 2_400;
/** An update of more devices is approved by somebody else first. */
export const demoApprovalAbove = 1_000;
const zones = [
  { name: 'north', time_zone: 'Europe/Berlin', maximum_unavailable_percentage: 20, comment: 'Harbour and university' },
  { name: 'centre', time_zone: 'Europe/Berlin', maximum_unavailable_percentage: 10, comment: 'Busy at any hour' },
  { name: 'lisbon', time_zone: 'Europe/Lisbon', maximum_unavailable_percentage: 100, comment: '' },
];
const window = { from: '02:00', until: '05:00' };

/** The objects that the pictures show. */
export interface DemoPlaces {
  running: number;
  paused: number;
  completed: number;
  /** The newest version, which most updates bring. */
  firmware: number;
  /** Of another hardware type, which one zone has. */
  modem: number;
  awaitingSignature: number;
  /** Waits until somebody approves it. */
  awaitingApproval: number;
  device: string;
}

const idOf = (index: number): string => `S-${String(index + 1).padStart(5, '0')}`;

export const createDemoFleet = async (stack: Stack): Promise<DemoPlaces> => {
  const api = createClient({ url: stack.api_url, token: stack.token, attempts: 5 });
  for (const zone of zones) await unlessItExists(api.addZone(zone));
  await registerAll(
    api,
    Array.from({ length: demoScooters }, (_, index) => ({
      ...{ kind: 'scooter' as const, external_id: idOf(index), version: index % 2 === 0 ? (1 as const) : (2 as const) },
      zone: index % 20 === 0 ? null : (zones[index % 3]?.name ?? null),
      tags: index % 9 === 0 ? ['night'] : index % 40 === 1 ? ['beta', 'staff'] : [],
    })),
  );
  await unlessItExists(
    api.addGroup({ name: 'beta', filter: { kind: 'scooter', tags: { any: ['beta'] } }, comment: 'Employees, who ride new versions first' }),
  );
  await unlessItExists(
    api.addGroup({ name: 'night-shift', filter: { kind: 'scooter', tags: { all: ['night'] } }, comment: 'Collected at night' }),
  );
  const places = await writeHistory(api, stack);
  await keepDays(stack.database_url);
  for (const { name } of zones.slice(0, 1)) await api.changeZone(name, { maintenance_window: window });
  return places;
};

const unlessItExists = (work: Promise<unknown>): Promise<unknown> =>
  work.catch((error: unknown) => {
    if (!(error instanceof ApiProblem) || error.status !== 409) throw error;
  });

const upload = async (api: Client, hardware_type: string, version: string, comment: string, kilobytes: number): Promise<number> =>
  (await uploadFirmware(api, { hardware_type, version, comment }, new Blob([new Uint8Array(randomBytes(kilobytes * 1_000))]))).id;

const writeHistory = async (api: Client, stack: Stack): Promise<DemoPlaces> => {
  await upload(api, 'vega_mcu', '1.0.0', 'As delivered', 182);
  await upload(api, 'vega_gsm', '1.0.0', 'As delivered', 340);
  await observeAll(api);
  const behave = behaviourOf(stack);
  const older = await upload(api, 'vega_mcu', '1.4.2', 'Brake light at dusk', 190);
  const modem = await upload(api, 'vega_gsm', '4.0.0', 'Faster reconnect', 352);
  await upload(api, 'audio_lock', '2.1', 'A shorter sound', 96);
  await behave({ failure_rate: 0.03, deferral_rate: 0.05, silent_rate: 0.004, lie_rate: 0.003, install_seconds: 4 });
  const everybody = { filter: { kind: 'scooter' as const } };
  const release = createClient({ url: stack.api_url, token: await stack.tokenFor({ subject: 'release-engineer' }), attempts: 5 });
  const approve = async (id: number): Promise<void> => {
    await api.approveUpdate(id, { remark: 'Read the change' });
  };
  const completed = await runToItsEnd(release, approve, {
    firmware_id: older,
    targets: everybody,
    comment: 'Release 1.4.2',
    retry: { number_of_retries: 0 },
  });
  await runToItsEnd(api, approve, {
    firmware_id: modem,
    targets: { filter: { kind: 'scooter', zone: 'lisbon' } },
    comment: 'Lisbon first',
    retry: { number_of_retries: 0 },
  });

  const firmware = await upload(api, 'vega_mcu', '1.5.0', 'Smoother braking, less standby current', 194);
  await runToItsEnd(api, approve, { firmware_id: firmware, targets: { group: 'beta' }, comment: 'Employees first' });
  await behave({ failure_rate: 0.4, deferral_rate: 0.02, silent_rate: 0, lie_rate: 0.02 });
  const paused = await startUpdate(api, {
    ...{
      firmware_id: await upload(api, 'vega_gsm', '4.1.0-rc1', 'Trial in zone centre', 355),
      targets: { filter: { kind: 'scooter', zone: 'centre' } },
    },
    ...{ comment: 'Trial', canary: null, rollout: { maximum_per_minute: 1_000 }, retry: { number_of_retries: 0 } },
    abort: { threshold_percentage: 10, minimum_executions: 30, action: 'PAUSE' },
  });
  await until(async () => (await api.getUpdate(paused.id)).status === 'PAUSED');
  await behave({ failure_rate: 0.02, deferral_rate: 0.06, silent_rate: 0.003, lie_rate: 0, install_seconds: 20 });
  await startUpdate(api, {
    ...{ firmware_id: older, targets: { external_ids: Array.from({ length: 60 }, (_, index) => idOf(index * 3)) }, allow_downgrade: true },
    ...{ comment: 'Back for the workshop', start_dt: new Date(Date.now() + 20 * 3_600_000).toISOString() },
  }).catch(() => undefined);
  const running = await startUpdate(release, {
    ...{ firmware_id: firmware, targets: everybody, comment: 'Release 1.5.0', retry: { number_of_retries: 1 } },
    rollout: { maximum_per_minute: 240, maximum_in_progress: 120 },
  });
  await approve(running.id);
  await api.changeHardwareType('audio_locate', { author_signatures_required: 1 });
  const awaitingSignature = await upload(api, 'audio_locate', '3.0', 'Louder in the rain', 96);
  const sound = await upload(api, 'audio_lock', '2.2', 'Softer at night', 97);
  const awaitingApproval = await startUpdate(release, { firmware_id: sound, targets: everybody, comment: 'Softer sounds' });
  await makePackage(api, [firmware, modem]);
  return {
    ...{ running: running.id, paused: paused.id, completed, firmware, modem },
    ...{ awaitingSignature, awaitingApproval: awaitingApproval.id, device: idOf(1) },
  };
};

/** What simulated devices do from now on. */
const behaviourOf =
  ({ simulator_url, simulator_token }: Stack) =>
  async (behaviour: Record<string, unknown>): Promise<void> => {
    const headers = { authorization: `Bearer ${simulator_token}`, 'content-type': 'application/json' };
    await fetch(`${simulator_url}/simulator/behaviour`, { method: 'PATCH', headers, body: JSON.stringify(behaviour) });
  };

/** Everybody tells what it runs. */
const observeAll = async (api: Client): Promise<void> => {
  const { id } = await api.requestObservation({ targets: { filter: { kind: 'scooter' } } });
  await until(async () => (await api.getObservation(id)).status !== 'IN_PROGRESS');
};

const makePackage = async (api: Client, parts: readonly number[]): Promise<void> => {
  const { id } = await api.requestAssembly(
    { hardware_type: 'cabinet', version: '2026.11', comment: 'November', parts: parts.map((firmware_id) => ({ firmware_id })) },
    { 'idempotency-key': crypto.randomUUID() },
  );
  await until(async () => (await api.getAssembly(id)).status === 'COMPLETED');
};

const runToItsEnd = async (api: Client, approve: (id: number) => Promise<void>, request: UpdateRequest): Promise<number> => {
  const { id, status } = await startUpdate(api, {
    ...{
      rollout: { maximum_per_minute: 30_000 },
      timeouts: { in_progress_minutes: 1 },
      abort: { threshold_percentage: 50, minimum_executions: 100 },
    },
    ...request,
  });
  if (status === 'WAITING_FOR_APPROVAL') await approve(id);
  await until(async () => (await api.getUpdate(id)).finished_dt !== null);
  return id;
};

const until = async (isSo: () => Promise<boolean>): Promise<void> => {
  const deadline = Date.now() + 300_000;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error('It takes longer than five minutes');
    await sleep(500);
  }
};

const daysBefore = 60;

/** Writes daily counts as if there had been reports on every day: versions come and go within some weeks. */
const keepDays = async (database_url: string): Promise<void> => {
  const database = new pg.Client({ connectionString: database_url });
  await database.connect();
  try {
    for (const [hardware_type, versions] of Object.entries({ vega_mcu: ['1.0.0', '1.4.2'], vega_gsm: ['1.0.0', '4.0.0'] }))
      for (let day = daysBefore; day >= 0; day -= 1) {
        const newer = Math.round(demoScooters * Math.min(0.94, Math.max(0, (daysBefore - day - 12) / 30)));
        const counts = { [versions[0] ?? '']: demoScooters - newer, [versions[1] ?? '']: newer };
        const text = new Date(Date.now() - day * 86_400_000).toISOString().slice(0, 10);
        await database.query(
          `INSERT INTO device_firmware_days (hardware_type, day, device_count, versions) VALUES ($1, $2, $3, $4) ON CONFLICT (hardware_type, day) DO UPDATE SET device_count = excluded.device_count, versions = excluded.versions`,
          [hardware_type, text, demoScooters, JSON.stringify(counts)],
        );
      }
  } finally {
    await database.end();
  }
};
