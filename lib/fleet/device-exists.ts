import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import type { DeviceKind } from './device.ts';

export const deviceNotFound = (kind: DeviceKind, external_id: string) =>
  new DomainError('device.not_found', `There is no ${kind} ${external_id}`);

/** Only checks that a device exists. @throws `device.not_found` */
export const checkDeviceExists = async (db: Db, kind: DeviceKind, external_id: string): Promise<void> => {
  const device = await db
    .selectFrom('devices')
    .select('id')
    .where('kind', '=', kind)
    .where('external_id', '=', external_id)
    .executeTakeFirst();
  if (!device) throw deviceNotFound(kind, external_id);
};
