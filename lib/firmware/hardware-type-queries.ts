import { type RawBuilder, sql } from 'kysely';
import type { Db, Trx } from '../db/database.ts';
import { pageByName } from '../db/page-by-name.ts';
import type { Channel, DeviceKind } from '../fleet/device.ts';
import { listOf, type Page } from '../http/page.ts';
import type { HardwareType, Proof, VersionOrder } from './hardware-type.ts';

const columns = [
  'name',
  'device_kind',
  'channel',
  'scooter_versions',
  'fits_own_iot',
  'max_size_bytes',
  'version_attribute',
  'proof',
  'order',
  'file_kinds',
  'author_signatures_required',
  'version_maximum_length',
  'version_pattern',
] as const;
type Narrowed = { device_kind: DeviceKind; channel: Channel; proof: Proof; order: VersionOrder };

const selectHardwareType = (db: Db) => db.selectFrom('hardware_types').select(columns).$narrowType<Narrowed>();

export const findHardwareType = (db: Db, name: string): Promise<HardwareType | undefined> =>
  selectHardwareType(db).where('name', '=', name).executeTakeFirst();

/** Undefined when the name is taken. */
export const insertHardwareType = (db: Db, type: HardwareType): Promise<HardwareType | undefined> =>
  db
    .insertInto('hardware_types')
    .values(type)
    .onConflict((oc) => oc.constraint('hardware_types_pkey').doNothing())
    .returning(columns)
    .$narrowType<Narrowed>()
    .executeTakeFirst();

/**
 * Locks a hardware type until the transaction ends. `add`: to add a firmware to it; reports about it go on meanwhile. `change`, `delete`: no
 * row that refers to it can be inserted meanwhile.
 */
export const lockHardwareType = (trx: Trx, name: string, purpose: 'add' | 'change' | 'delete'): Promise<HardwareType | undefined> => {
  const query = selectHardwareType(trx).where('name', '=', name);
  return (purpose === 'add' ? query.forNoKeyUpdate() : query.forUpdate()).executeTakeFirst();
};

export const updateHardwareType = async (trx: Trx, { name, ...type }: HardwareType): Promise<void> => {
  await trx.updateTable('hardware_types').set(type).where('name', '=', name).execute();
};

export const deleteHardwareType = async (trx: Trx, name: string): Promise<void> => {
  await trx.deleteFrom('hardware_types').where('name', '=', name).execute();
};

/** Whether a firmware, a requirement of one, or a report of a device refers to it. */
export const isHardwareTypeUsed = async (trx: Trx, name: string): Promise<boolean> => {
  const { rows } = await sql<{ is_used: boolean }>`
    SELECT EXISTS (SELECT FROM firmwares WHERE hardware_type = ${name})
        OR EXISTS (SELECT FROM firmwares WHERE requires @> ${JSON.stringify([{ hardware_type: name }])}::jsonb)
        OR EXISTS (SELECT FROM device_firmwares WHERE hardware_type = ${name}) AS is_used`.execute(trx);
  return rows[0]?.is_used ?? false;
};

const list = listOf('hardware types');

/** In the order of their names. */
export const listHardwareTypes = (db: Db, page: { limit: number; cursor?: string | undefined }): Promise<Page<HardwareType>> =>
  pageByName(list, selectHardwareType(db), page);

/** The first key of the locks below; the second is a hash of the hardware type. If two types have the same hash, they only wait more often. */
const catalogueLocks = sql.lit(1);

/**
 * A list of locks, to be taken in this order, for a transaction that stores reports; held until it ends. Reports share these locks, a
 * registration takes one alone. So a report whose version is not in the catalogue is either stored before the firmware of this version becomes
 * available, and is linked to it then, or it comes afterwards and finds the firmware.
 *
 * @param furtherTypes a query of more hardware types.
 */
export const catalogueLocksShared = (hardwareTypes: readonly string[], furtherTypes: RawBuilder<unknown>) => sql`
  SELECT pg_advisory_xact_lock_shared(${catalogueLocks}, key) IS NOT NULL AS is_locked
  FROM (
    SELECT DISTINCT hashtext(hardware_type) AS key
    FROM (SELECT unnest(${hardwareTypes}::text[]) AS hardware_type UNION ALL ${furtherTypes}) t
    ORDER BY key
  ) keys`;

/** The lock for a registration: waits for reports under way and blocks later ones. A separate statement, so that the next sees their rows. */
export const lockCatalogue = async (trx: Trx, hardwareType: string): Promise<void> => {
  await sql`SELECT pg_advisory_xact_lock(${catalogueLocks}, hashtext(${hardwareType}))`.execute(trx);
};

/** Which of the names are no hardware types; the others are locked against deletion until the transaction ends. No names: no statement. */
export const listUnknownHardwareTypes = async (trx: Trx, names: readonly string[]): Promise<string[]> => {
  if (names.length === 0) return [];
  const known = await trx.selectFrom('hardware_types').select('name').where('name', 'in', names).orderBy('name').forKeyShare().execute();
  return names.filter((name) => !known.some((type) => type.name === name));
};

export interface VersionAttribute {
  hardware_type: string;
  /** The key of configData in which its version is told. */
  attribute: string;
}

/** The attributes in which a device tells its versions: one for each hardware type that fits it. `version` is the device's generation. */
export const listVersionAttributes = async (db: Db, kind: DeviceKind, version: number | null): Promise<VersionAttribute[]> => {
  const { rows } = await sql<VersionAttribute>`
    SELECT name AS hardware_type, coalesce(version_attribute, name || '_version') AS attribute
    FROM hardware_types
    WHERE device_kind = ${kind}
      AND (${kind} = 'cabinet' OR CASE WHEN ${version}::smallint IS NULL THEN fits_own_iot ELSE ${version}::smallint = ANY (scooter_versions) END)
    ORDER BY name`.execute(db);
  return rows;
};

/** Nobody adds this many versions between a backup and its restore. It is no larger than needed, because people read these numbers. */
const restoredVersionGap = 1_000;

/**
 * After a restore to an earlier moment: makes the ordinals of later versions begin beyond those that were given out since that moment. Devices
 * remember the ordinal of what they have installed, and refuse a lower one.
 */
export const raiseVersionNumbers = async (db: Db, restores = 1): Promise<void> => {
  await db
    .updateTable('hardware_types')
    .set((eb) => ({ last_version_num: eb('last_version_num', '+', restoredVersionGap * restores) }))
    .execute();
};
