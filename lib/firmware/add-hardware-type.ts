import { isDeepStrictEqual } from 'node:util';
import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import type { HardwareType } from './hardware-type.ts';
import { findHardwareType, insertHardwareType } from './hardware-type-queries.ts';

/**
 * Adds a hardware type. The same definition again changes nothing.
 *
 * @throws `hardware_type.exists` with what the name stands for already.
 */
export async function addHardwareType(db: Db, type: HardwareType): Promise<{ isNew: boolean; answer: HardwareType }> {
  const added = await insertHardwareType(db, type);
  if (added) return { isNew: true, answer: added };
  const existing = await findHardwareType(db, type.name);
  if (!existing) throw new Error('A hardware type that could not be inserted because it exists does not exist');
  if (isDeepStrictEqual({ ...existing }, { ...type })) return { isNew: false, answer: existing };
  throw new DomainError('hardware_type.exists', `There is another hardware type ${type.name}`, {
    errors: [{ in: 'body', path: 'name', message: 'is the name of another definition' }],
    answer: { hardware_type: existing },
  });
}
