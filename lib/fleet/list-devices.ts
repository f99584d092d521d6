import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import type { Page } from '../http/page.ts';
import type { DeviceFilter } from './device-filter.ts';
import { listDevices as listFilteredDevices, type PageOfDevices } from './device-queries.ts';
import { type PlaceOf, refuseMissingSubjects } from './missing-subjects.ts';
import type { Device } from './shown-device.ts';

/**
 * A page of devices with what each runs, in one statement.
 *
 * @throws `request.invalid` naming every condition about a firmware, hardware type, zone or update that does not exist.
 */
export async function listDevices(
  { db, now }: { db: Db; now: Clock },
  filter: DeviceFilter,
  page: Omit<PageOfDevices, 'now'>,
  placeOf: PlaceOf,
): Promise<Page<Device>> {
  const devices = await listFilteredDevices(db, filter, { ...page, now: now() });
  if (devices.items.length === 0) await refuseMissingSubjects(db, filter, placeOf);
  return devices;
}
