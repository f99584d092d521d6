// `npm start -- --continuous`: the update stays open, scooters come to the fleet later, and it takes them in.
import { setTimeout as sleep } from 'node:timers/promises';
import {
  all,
  type Client,
  lookUpAll,
  type RegisterDevicesBodyDevicesItem as NewDevice,
  registerAll,
  type Update,
} from '../clients/api/src/index.ts';
import type { Display } from './display.ts';

/** Within so long the service promises to take in whoever comes to match. */
const promisedSeconds = 120;
const patienceSeconds = 300;
const pollMilliseconds = 300;

/** A continuous update has nothing to do any more, for now. */
export const rests = ({ continuous, rests_dt }: Update): boolean => continuous && rests_dt !== null;

/** The continuous update for this hardware type that an earlier run has left open; a new one takes its place. */
export const findOpenUpdate = async (api: Client, hardware_type: string): Promise<number | null> => {
  for (const status of ['SCHEDULED', 'IN_PROGRESS'] as const)
    for await (const update of all((page) => api.listUpdates({ hardware_type, status, ...page }))) if (update.continuous) return update.id;
  return null;
};

/** Registers scooters while the update is open, and waits until it has updated them. Answers what contradicts its promises. */
export async function showTakenIn(
  api: Client,
  { id, hardware_type, firmware_version }: Update,
  later: readonly NewDevice[],
  { display, signal }: { display: Display; signal: AbortSignal | undefined },
): Promise<string[]> {
  const external_ids = later.map(({ external_id }) => external_id);
  display.line();
  display.line(`Update ${id} stays open. ${later.length} scooters that run an older version come to the fleet: ${external_ids.join(', ')}`);
  const startedAt = Date.now();
  const secondsSince = () => (Date.now() - startedAt) / 1_000;
  await registerAll(api, later);
  let takenInAfter: number | undefined;
  for (;;) {
    const found = await Promise.all(
      external_ids.map(
        async (external_id) => (await api.listExecutions(id, { external_id, sort: 'id_descending', limit: 1 })).items[0]?.status,
      ),
    );
    const takenIn = found.filter((status) => status !== undefined).length;
    const ended = found.filter((status) => status !== undefined && status !== 'QUEUED' && status !== 'IN_PROGRESS').length;
    if (takenIn === later.length) takenInAfter ??= secondsSince();
    display.progress(`${takenIn} of ${later.length} taken in, ${ended} have ended`);
    if (ended === later.length || secondsSince() > patienceSeconds) break;
    await sleep(pollMilliseconds, undefined, { signal });
  }
  display.done();
  const devices = await lookUpAll(api, 'scooter', external_ids);
  const updated = devices.filter(({ firmwares }) =>
    firmwares.some((firmware) => firmware.hardware_type === hardware_type && firmware.version === firmware_version),
  );
  const after = takenInAfter === undefined ? 'not taken in' : `taken in after ${takenInAfter.toFixed(1)} s`;
  display.line(`  ${after}; ${updated.length} of ${later.length} run ${firmware_version} after ${secondsSince().toFixed(1)} s`);
  return takenInAfter === undefined || takenInAfter > promisedSeconds
    ? [`update ${id} has not taken in all scooters within ${promisedSeconds} s`]
    : [];
}
