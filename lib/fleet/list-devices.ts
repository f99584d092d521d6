import * as z from 'zod/mini';
import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { pageOf } from '../http/page.ts';
import type { DeviceFilter } from './device-filter.ts';
import { countDevices, listDevices as listFilteredDevices, type PageOfDevices } from './device-list-queries.ts';
import { type FieldOf, refuseMissingSubjects } from './missing-subjects.ts';
import { Device } from './shown-device.ts';

export const DevicePage = z.extend(pageOf(Device), {
  total: z
    .optional(z.int())
    .check(z.meta({ description: 'With `total=true`: how many devices fulfil the conditions, on all pages together' })),
});
export type DevicePage = z.infer<typeof DevicePage>;

/**
 * A page of devices with what each runs, in one statement; their number, when it is asked for, in another.
 *
 * @throws `request.invalid` naming every condition about a firmware, hardware type, zone or update that does not exist.
 */
export async function listDevices(
  { db, now }: { db: Db; now: Clock },
  filter: DeviceFilter,
  { total, ...page }: Omit<PageOfDevices, 'now'> & { total: boolean },
  fieldOf: FieldOf,
): Promise<DevicePage> {
  const devices = await listFilteredDevices(db, filter, { ...page, now: now() });
  if (devices.items.length === 0) await refuseMissingSubjects(db, filter, fieldOf);
  return total ? { ...devices, total: await countDevices(db, filter, now()) } : devices;
}
