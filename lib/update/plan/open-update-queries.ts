import { sql } from 'kysely';
import type { Db } from '../../db/database.ts';
import { isOpen } from '../../fleet/candidate-queries.ts';
import type { DeviceFilter } from '../../fleet/device-filter.ts';
import { filteredDevices } from '../../fleet/device-filter-queries.ts';
import type { OpenTargets } from '../update-request.ts';
import { type Choice, chosenDevices } from './eligibility.ts';

/** The open updates of a hardware type, except one. */
export const listOpenUpdates = async (
  db: Db,
  hardware_type: string,
  except: number | null,
): Promise<{ id: number; firmware_id: number; targets: OpenTargets }[]> => {
  const { rows } = await sql<{ id: number; firmware_id: number; targets: OpenTargets }>`
    SELECT u.id, u.firmware_id, u.targets FROM updates u JOIN firmwares f ON f.id = u.firmware_id
    WHERE ${isOpen} AND f.hardware_type = ${hardware_type} AND u.id IS DISTINCT FROM ${except}::integer
    ORDER BY u.id`.execute(db);
  return rows;
};

/** How many of the chosen devices another update means as well. */
export const countShared = async (
  db: Db,
  choice: Choice,
  { firmware_id, filter }: { firmware_id: number; filter: DeviceFilter },
  now: Date,
): Promise<number> => {
  const { rows } = await sql<{ n: number }>`
    SELECT count(*) AS n
    FROM (${chosenDevices(choice)}) mine
    JOIN (${filteredDevices(filter, { now, firmware_id })}) theirs ON theirs.id = mine.device_id`.execute(db);
  return rows[0]?.n ?? 0;
};
