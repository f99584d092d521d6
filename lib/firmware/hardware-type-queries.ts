import type { Db } from '../db/database.ts';

export const findHardwareType = (db: Db, name: string) =>
  db
    .selectFrom('hardware_types')
    .select(['name', 'device_kind', 'channel', 'scooter_versions', 'fits_own_iot', 'max_size_bytes'])
    .where('name', '=', name)
    .executeTakeFirst();
