import { sql } from 'kysely';
import type { Db, Trx } from '../db/database.ts';
import { pageByName } from '../db/page-by-name.ts';
import { listOf, type Page } from '../http/page.ts';
import type { MaintenanceWindow } from './maintenance-window.ts';
import type { NewZone, Zone } from './zone.ts';

const columns = ['name', 'time_zone', 'maximum_unavailable_percentage', 'maintenance_window', 'comment', 'created_dt'] as const;
type Narrowed = { maintenance_window: MaintenanceWindow | null };

/** Adds up the counts that are kept when devices are registered, moved and retired (count-queries.ts). */
const deviceCount = sql<number>`(SELECT coalesce(sum(c.device_count), 0) FROM device_seen_counts c WHERE c.zone = zones.name)`;
const selectZones = (db: Db) =>
  db
    .selectFrom('zones')
    .select([...columns, deviceCount.as('devices')])
    .$narrowType<Narrowed>();

const inJson = ({ maintenance_window }: Pick<NewZone, 'maintenance_window'>) => maintenance_window && JSON.stringify(maintenance_window);

/** Undefined when the name is taken. */
export const insertZone = (trx: Trx, zone: NewZone, created_dt: Date) =>
  trx
    .insertInto('zones')
    .values({ ...zone, maintenance_window: inJson(zone), created_dt })
    .onConflict((oc) => oc.constraint('zones_pkey').doNothing())
    .returning('name')
    .executeTakeFirst();

export const findZone = (db: Db, name: string): Promise<Zone | undefined> => selectZones(db).where('name', '=', name).executeTakeFirst();

/** Locks a zone: waits for others who change it. */
export const lockZone = (trx: Trx, name: string): Promise<Zone | undefined> =>
  selectZones(trx).where('name', '=', name).forNoKeyUpdate().executeTakeFirst();

export const updateZone = async (trx: Trx, { name, ...settings }: NewZone): Promise<void> => {
  await trx
    .updateTable('zones')
    .set({ ...settings, maintenance_window: inJson(settings) })
    .where('name', '=', name)
    .execute();
};

export const deleteZone = async (trx: Trx, name: string): Promise<void> => {
  await trx.deleteFrom('zones').where('name', '=', name).execute();
};

const list = listOf('zones');

/** In the order of their names. */
export const listZones = (db: Db, page: { limit: number; cursor?: string | undefined }): Promise<Page<Zone>> =>
  pageByName(list, selectZones(db), page);

/** Which of the names are no zones. No names: no statement. */
export const listUnknownZones = async (db: Db, names: readonly string[]): Promise<string[]> => {
  if (names.length === 0) return [];
  const known = await db.selectFrom('zones').select('name').where('name', 'in', names).execute();
  return names.filter((name) => !known.some((zone) => zone.name === name));
};
