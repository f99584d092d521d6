import type { Db } from '../db/database.ts';
import { DomainError, type FieldError } from '../errors.ts';
import type { Page } from '../http/page.ts';
import { findHardwareType } from './hardware-type-queries.ts';

/** A condition of a list that names a hardware type, when there is none of that name. */
export const findUnknownHardwareType = async (db: Db, path: string, name: string | undefined): Promise<FieldError[]> =>
  name === undefined || (await findHardwareType(db, name)) ? [] : [{ in: 'query', path, message: `there is no hardware type ${name}` }];

/** That a list has nothing of what does not exist would be true, and misleading. */
export const missingSubjects = (errors: readonly FieldError[]): DomainError =>
  new DomainError('request.invalid', 'The filter names what does not exist', { errors });

/** A page of a list that may have the condition `hardware_type`. @throws `request.invalid` when there is no such type. */
export const ofKnownHardwareType = async <P extends Page<unknown>>(db: Db, hardware_type: string | undefined, page: P): Promise<P> => {
  if (page.items.length > 0) return page;
  const errors = await findUnknownHardwareType(db, 'hardware_type', hardware_type);
  if (errors.length > 0) throw missingSubjects(errors);
  return page;
};
