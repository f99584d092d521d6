import type { Db } from '../db/database.ts';
import type { FieldError } from '../errors.ts';
import { findUnknownFirmware, findUnknownHardwareType, missingSubjects, type RequestField } from '../firmware/missing-subjects.ts';
import type { DeviceFilter } from './device-filter.ts';
import { none } from './word.ts';
import { listUnknownZones } from './zone-queries.ts';

/** Where a request has a field of its filter. */
export type FieldOf = (field: string) => RequestField;
export const inBody =
  (path: string): FieldOf =>
  (field) => ({ in: 'body', path: `${path}.${field}` });
/** Names a field as the caller has named it: one field has a shorter name, too. */
export const inQuery =
  (query: object): FieldOf =>
  (field) => ({ in: 'query', path: field === 'running.firmware_id' && !(field in query) ? 'runs_firmware_id' : field });

/** An error for every condition of a filter that names a hardware type, firmware, zone or update that does not exist. */
export const findMissingSubjects = async (db: Db, filter: DeviceFilter, fieldOf: FieldOf): Promise<FieldError[]> => {
  const { older_than_firmware_id, unknown_version, zone, failed_in_update_id } = filter;
  const errors: FieldError[] = [];
  for (const name of ['running', 'not_running'] as const) {
    const running = filter[name];
    if (!running) continue;
    errors.push(...(await findUnknownHardwareType(db, fieldOf(`${name}.hardware_type`), running.hardware_type)));
    if ('firmware_id' in running) errors.push(...(await findUnknownFirmware(db, fieldOf(`${name}.firmware_id`), running.firmware_id)));
  }
  errors.push(...(await findUnknownFirmware(db, fieldOf('older_than_firmware_id'), older_than_firmware_id)));
  errors.push(...(await findUnknownHardwareType(db, fieldOf('unknown_version'), unknown_version)));
  const unknownZones = zone === undefined || zone === none ? [] : await listUnknownZones(db, [zone]);
  errors.push(...unknownZones.map((name) => ({ ...fieldOf('zone'), message: `there is no zone ${name}` })));
  return [...errors, ...(await findMissingUpdate(db, fieldOf('failed_in_update_id'), failed_in_update_id))];
};

const findMissingUpdate = async (db: Db, field: RequestField, id: number | undefined): Promise<FieldError[]> => {
  if (id === undefined) return [];
  const update = await db.selectFrom('updates').select('executions_removed_dt').where('id', '=', id).executeTakeFirst();
  return update ? [] : [{ ...field, message: `there is no update ${id}` }];
};

/**
 * Refuses a filter that names something that does not exist. To answer that no device fulfils it would be correct, but misleading.
 *
 * @throws `request.invalid` naming every such condition.
 */
export const refuseMissingSubjects = async (db: Db, filter: DeviceFilter, fieldOf: FieldOf): Promise<void> => {
  const errors = await findMissingSubjects(db, filter, fieldOf);
  if (errors.length > 0) throw missingSubjects(errors);
};
