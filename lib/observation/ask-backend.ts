import * as z from 'zod/mini';
import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { DeviceKind, ExternalId } from '../fleet/device.ts';
import { type Backend, BackendRefusal, type DevicePage, type DeviceVersions, onlyAsked } from '../ports/backend.ts';
import { chunkPace, type ObservationFilter } from './observation.ts';
import { type ChosenDevice, listFilteredDevices, listNamedDevices } from './observation-queries.ts';
import type { ClaimedObservation } from './observation-walk-queries.ts';

export interface AskBackendDeps {
  db: Db;
  now: Clock;
  backend: Pick<Backend, 'findVersions' | 'listDevices'>;
}

interface Chunk {
  devices: Pick<ChosenDevice, 'kind' | 'external_id'>[];
  /** Devices of the backend's list whose kind or id is not valid in this service. */
  impossible: number;
  /** Where the next chunk begins; null: this is the last one. */
  next: string | null;
}

export interface Answers extends Chunk {
  answered: (DeviceVersions & { kind: DeviceKind })[];
  /** Devices about which the backend refused to be asked; `error` is what it said. */
  refused: number;
  error: string | null;
}

/** How much of the function's time has to be left after a call: storing the answer about a chunk takes a second or two. */
const reservedMilliseconds = 10_000;
const longestCallMilliseconds = 10_000;

/**
 * Asks what the next chunk of devices runs: one call, or two if the chunk has scooters and cabinets. If the devices come from the backend's
 * list, a call for a page of that list comes first.
 *
 * @throws `BackendUnavailable`; `BackendRefusal` when the backend refuses to list its devices.
 */
export async function askBackend(
  deps: AskBackendDeps,
  observation: ClaimedObservation,
  remainingMilliseconds: () => number,
): Promise<Answers> {
  const callNow = () => ({
    requestId: observation.request_id,
    timeoutMilliseconds: Math.max(1, Math.min(longestCallMilliseconds, remainingMilliseconds() - reservedMilliseconds)),
  });
  const answers: Answers = { ...(await nextChunk(deps, observation, callNow())), answered: [], refused: 0, error: null };
  for (const [kind, devices] of Map.groupBy(answers.devices, (device) => device.kind)) {
    const external_ids = [...new Set(devices.map(({ external_id }) => external_id))];
    const idempotencyKey = `observation-${observation.id}-${observation.devices_asked}-${kind}`;
    try {
      const found = await deps.backend.findVersions(kind, external_ids, { ...callNow(), idempotencyKey });
      answers.answered.push(...onlyAsked(found, external_ids).map((device) => ({ ...device, kind })));
    } catch (error) {
      if (!(error instanceof BackendRefusal)) throw error;
      // The backend would refuse these devices again, and the others must not wait for them.
      answers.refused += external_ids.length;
      answers.error = error.message;
    }
  }
  return answers;
}

const nextChunk = async (
  { db, backend, now }: AskBackendDeps,
  { id, filter, add_unknown, cursor, maximum_per_minute }: ClaimedObservation,
  call: Parameters<Backend['listDevices']>[1],
): Promise<Chunk> => {
  const { size } = chunkPace(maximum_per_minute);
  if (filter && add_unknown) return toChunk(await backend.listDevices({ cursor, limit: size }, call), filter);
  const page = { after: Number(cursor ?? 0), limit: size + 1 };
  const chosen = filter ? await listFilteredDevices(db, filter, { ...page, now: now() }) : await listNamedDevices(db, id, page);
  const devices = chosen.slice(0, size);
  return { devices, impossible: 0, next: chosen.length > size ? String(devices.at(-1)?.position) : null };
};

const Askable = z.object({ kind: DeviceKind, external_id: ExternalId });

/** The devices of the backend's list that fulfil the filter. */
const toChunk = ({ items, next_cursor }: DevicePage, { kind, version }: ObservationFilter): Chunk => {
  const meant = items.filter((device) => (kind ?? device.kind) === device.kind && (version ?? device.version) === device.version);
  const devices = meant.flatMap((device) => Askable.safeParse(device).data ?? []);
  return { devices, impossible: meant.length - devices.length, next: next_cursor };
};
