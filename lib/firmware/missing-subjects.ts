import type { Db } from '../db/database.ts';
import { DomainError, type FieldError } from '../errors.ts';
import type { Page } from '../http/page.ts';
import { findFirmware } from './firmware-queries.ts';
import { findHardwareType } from './hardware-type-queries.ts';

/** Where a request has its condition. */
export type RequestField = Pick<FieldError, 'in' | 'path'>;

/** An error for a condition that names a hardware type that does not exist. */
export const findUnknownHardwareType = async (db: Db, field: RequestField, name: string | undefined): Promise<FieldError[]> =>
  name === undefined || (await findHardwareType(db, name)) ? [] : [{ ...field, message: `there is no hardware type ${name}` }];

/** An error for a condition that names a firmware that does not exist, or that no device can ever have run. */
export const findUnknownFirmware = async (db: Db, field: RequestField, id: number | undefined): Promise<FieldError[]> => {
  if (id === undefined) return [];
  const firmware = await findFirmware(db, id);
  if (!firmware) return [{ ...field, message: `there is no firmware ${id}` }];
  return firmware.version_num === null ? [{ ...field, message: `firmware ${id} is ${firmware.status}` }] : [];
};

/** Refuses a filter about something that does not exist. An empty answer would be correct, but misleading. */
export const missingSubjects = (errors: readonly FieldError[]): DomainError =>
  new DomainError('request.invalid', 'The filter names something that does not exist', { errors });

/** A page of a list that may have the condition `hardware_type`. @throws `request.invalid` when there is no such type. */
export const ofKnownHardwareType = async <P extends Page<unknown>>(db: Db, hardware_type: string | undefined, page: P): Promise<P> => {
  if (page.items.length > 0) return page;
  const errors = await findUnknownHardwareType(db, { in: 'query', path: 'hardware_type' }, hardware_type);
  if (errors.length > 0) throw missingSubjects(errors);
  return page;
};
