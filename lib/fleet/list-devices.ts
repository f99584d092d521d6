import type { Db } from '../db/database.ts';
import type { FieldError } from '../errors.ts';
import { findFirmware } from '../firmware/firmware-queries.ts';
import { findUnknownHardwareType, missingSubjects } from '../firmware/known-hardware-type.ts';
import type { Page } from '../http/page.ts';
import type { Device } from './device.ts';
import { type DeviceFilter, listDevices as listFilteredDevices } from './device-queries.ts';

/**
 * A page of devices with what each runs, in one statement.
 *
 * @throws `request.invalid` naming every condition about a firmware or hardware type that does not exist: that no device fulfils it
 *   would be true, and misleading.
 */
export async function listDevices(db: Db, filter: DeviceFilter): Promise<Page<Device>> {
  const page = await listFilteredDevices(db, filter);
  if (page.items.length > 0) return page;
  const errors = await findMissingSubjects(db, filter);
  if (errors.length > 0) throw missingSubjects(errors);
  return page;
}

const findMissingSubjects = async (db: Db, filter: DeviceFilter): Promise<FieldError[]> => {
  const errors: FieldError[] = [];
  for (const path of ['runs_firmware_id', 'older_than_firmware_id'] as const) {
    const id = filter[path];
    if (id === undefined) continue;
    const firmware = await findFirmware(db, id);
    if (!firmware) errors.push({ in: 'query', path, message: `there is no firmware ${id}` });
    else if (firmware.version_num === null) errors.push({ in: 'query', path, message: `firmware ${id} is ${firmware.status}` });
  }
  return [...errors, ...(await findUnknownHardwareType(db, 'unknown_version', filter.unknown_version))];
};
