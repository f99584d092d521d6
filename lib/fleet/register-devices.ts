import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { DomainError, type FieldError } from '../errors.ts';
import type { NewDevice } from './device.ts';
import { takeTurnInRegistering, upsertDevices } from './device-queries.ts';

export interface RegisteredDevices {
  created: number;
  changed: number;
  unchanged: number;
}

/**
 * Adds and changes devices, all or none, in one statement whatever their number. Calls take turns. Repeating a call changes nothing.
 *
 * @throws `request.invalid` naming every device that comes twice: which of the two was meant cannot be known.
 */
export async function registerDevices(deps: { db: Db; now: Clock }, devices: readonly NewDevice[]): Promise<RegisteredDevices> {
  const errors = findRepeated(devices);
  if (errors.length > 0) throw new DomainError('request.invalid', `${errors.length} devices come more than once`, { errors });
  const { created, changed } = await deps.db.transaction().execute(async (trx) => {
    await takeTurnInRegistering(trx);
    return upsertDevices(trx, devices, deps.now());
  });
  return { created, changed, unchanged: devices.length - created - changed };
}

const findRepeated = (devices: readonly NewDevice[]): FieldError[] => {
  const seen = new Set<string>();
  return devices.flatMap(({ kind, external_id }, i) => {
    const key = `${kind} ${external_id}`;
    if (seen.has(key)) return [{ in: 'body', path: `devices.${i}.external_id`, message: `${key} comes more than once` } as const];
    seen.add(key);
    return [];
  });
};
