import type { Db } from '../db/database.ts';
import type { FieldError } from '../errors.ts';
import { findUnknownFirmware, findUnknownHardwareType, missingSubjects } from '../firmware/missing-subjects.ts';
import type { Targets } from './update.ts';
import { isUpdate } from './update-queries.ts';

type Running = NonNullable<Extract<Targets, { filter: unknown }>['filter']['running']>;

/** The conditions of a filter of devices that are about something else than the device. */
interface Conditions {
  running?: Running | undefined;
  failed_in_update_id?: number | undefined;
}

/**
 * Of a request that chooses devices by a filter. As lists do; here also where other conditions leave devices over.
 *
 * @throws `request.invalid` naming every condition about a hardware type, firmware or update that does not exist.
 */
export const refuseMissingSubjects = async (db: Db, targets: { filter: Conditions } | { external_ids: unknown }): Promise<void> => {
  if (!('filter' in targets)) return;
  const { running, failed_in_update_id } = targets.filter;
  const errors = [...(running ? await findMissingRunning(db, running) : []), ...(await findMissingUpdate(db, failed_in_update_id))];
  if (errors.length > 0) throw missingSubjects(errors);
};

const placeOf = (path: string) => ({ in: 'body' as const, path: `targets.filter.${path}` });

const findMissingRunning = async (db: Db, running: Running): Promise<FieldError[]> => [
  ...(await findUnknownHardwareType(db, placeOf('running.hardware_type'), running.hardware_type)),
  ...('firmware_id' in running ? await findUnknownFirmware(db, placeOf('running.firmware_id'), running.firmware_id) : []),
];

const findMissingUpdate = async (db: Db, id: number | undefined): Promise<FieldError[]> =>
  id === undefined || (await isUpdate(db, id)) ? [] : [{ ...placeOf('failed_in_update_id'), message: `there is no update ${id}` }];
