import type { Db } from '../db/database.ts';
import type { FieldError } from '../errors.ts';
import { findUnknownFirmware, findUnknownHardwareType, missingSubjects } from '../firmware/missing-subjects.ts';
import type { Page } from '../http/page.ts';
import { type DeviceFilter, listDevices as listFilteredDevices } from './device-queries.ts';
import type { Device } from './shown-device.ts';

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

const findMissingSubjects = async (db: Db, filter: DeviceFilter): Promise<FieldError[]> => [
  ...(await findUnknownFirmware(db, { in: 'query', path: 'runs_firmware_id' }, filter.runs_firmware_id)),
  ...(await findUnknownFirmware(db, { in: 'query', path: 'older_than_firmware_id' }, filter.older_than_firmware_id)),
  ...(await findUnknownHardwareType(db, { in: 'query', path: 'unknown_version' }, filter.unknown_version)),
];
