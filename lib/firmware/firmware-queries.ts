import { type NotNull, type SelectQueryBuilder, sql } from 'kysely';
import * as z from 'zod/mini';
import type { Db } from '../db/database.ts';
import type { DB } from '../db/schema.ts';
import { deviceCountOfFirmware } from '../fleet/count-queries.ts';
import { decodeCursor, listOf, type Page, toPage } from '../http/page.ts';
import type { Firmware, FirmwareRequirement, FirmwareStatus, ListedFirmware, ObjectFacts } from './firmware.ts';
import type { ManifestFacts } from './manifest.ts';

const columns = [
  'id',
  'hardware_type',
  'version',
  'version_num',
  'status',
  'reason',
  'file_link',
  'size_bytes',
  'sha256',
  'sha1',
  'md5',
  'requires',
  'minimum_from_version_num',
  'assembly_id',
  'comment',
  'created_by',
  'created_dt',
] as const;

const selectFirmware = (db: Db) =>
  db.selectFrom('firmwares').select(columns).$narrowType<{ status: FirmwareStatus; requires: FirmwareRequirement[] }>();

export interface NewFirmware {
  hardware_type: string;
  version: string;
  object_key: string;
  size_bytes: number | null;
  sha256: string | null;
  requires?: readonly FirmwareRequirement[];
  minimum_from_version_num?: number | null;
  /** Of a package. */
  assembly_id?: number;
  comment: string;
  created_by: string;
  created_dt: Date;
}

/** Reserves a version for its upload; undefined when the version exists already. */
export const insertDraft = (db: Db, firmware: NewFirmware): Promise<Firmware | undefined> =>
  db
    .insertInto('firmwares')
    .values({ ...firmware, requires: JSON.stringify(firmware.requires ?? []), status: 'awaiting_upload' })
    .onConflict((oc) => oc.constraint('firmwares_hardware_type_version_key').doNothing())
    .returning(columns)
    .$narrowType<{ status: FirmwareStatus; requires: FirmwareRequirement[] }>()
    .executeTakeFirst();

export const findFirmware = (db: Db, id: number): Promise<Firmware | undefined> =>
  selectFirmware(db).where('id', '=', id).executeTakeFirst();

const selectListedFirmware = (db: Db) => selectFirmware(db).select(deviceCountOfFirmware.as('device_count'));

export const findListedFirmware = (db: Db, id: number): Promise<ListedFirmware | undefined> =>
  selectListedFirmware(db).where('id', '=', id).executeTakeFirst();

export const findFirmwareByVersion = (db: Db, { hardware_type, version }: { hardware_type: string; version: string }) =>
  selectFirmware(db).select('object_key').where('hardware_type', '=', hardware_type).where('version', '=', version).executeTakeFirst();

/** What a manifest is numbered with (README.md of this folder). */
const nextManifestCounter = sql<number>`nextval('firmware_manifest_counter')`;

export interface AvailableFirmware {
  file_link: string;
  size_bytes: number;
  sha256: string;
  sha1: string;
  md5: string;
}

/**
 * Turns a draft into a firmware with the next ordinal of its hardware type, in one statement: the ordinal is raised only together
 * with the change of status. Undefined when it was no draft any more. While devices report, the catalogue has to be locked
 * (`lockCatalogue`): what they run is linked to it next.
 */
export const makeAvailable = (db: Db, id: number, facts: AvailableFirmware) =>
  db
    .with('draft', (cte) =>
      cte.selectFrom('firmwares').select(['id', 'hardware_type']).where('id', '=', id).where('status', '=', 'awaiting_upload').forUpdate(),
    )
    .with('ordinal', (cte) =>
      cte
        .updateTable('hardware_types')
        .from('draft')
        .set((eb) => ({ last_version_num: eb('hardware_types.last_version_num', '+', 1) }))
        .whereRef('hardware_types.name', '=', 'draft.hardware_type')
        .returning('hardware_types.last_version_num as version_num'),
    )
    .updateTable('firmwares')
    .from(['draft', 'ordinal'])
    .set((eb) => ({
      ...facts,
      status: 'available',
      version_num: eb.ref('ordinal.version_num'),
      manifest_counter: nextManifestCounter,
    }))
    .whereRef('firmwares.id', '=', 'draft.id')
    .returning(['firmwares.id', 'firmwares.version_num'])
    .$narrowType<{ version_num: NotNull }>()
    .executeTakeFirst();

/** The firmwares with these ids, in no order; unknown ones are missing. */
export const listFirmwaresById = (db: Db, ids: readonly number[]): Promise<Firmware[]> =>
  selectFirmware(db)
    .where('id', 'in', [...ids])
    .execute();

/**
 * Writes down what the file of a package will be, before anybody can see that file, so that no other one is ever registered for it. False
 * when it is no draft any more, or one of its parts is not available any more.
 */
export const promiseDraft = async (
  db: Db,
  id: number,
  { size_bytes, sha256 }: ObjectFacts,
  partIds: readonly number[],
): Promise<boolean> => {
  const promised = await db
    .updateTable('firmwares as f')
    .set({ size_bytes, sha256 })
    .where('f.id', '=', id)
    .where('f.status', '=', 'awaiting_upload')
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('firmwares as part')
            .select('part.id')
            .where('part.id', 'in', [...partIds])
            .where('part.status', '<>', 'available'),
        ),
      ),
    )
    .returning('f.id')
    .executeTakeFirst();
  return promised !== undefined;
};

/** Undefined when it was no draft any more. */
export const rejectDraft = (db: Db, id: number, reason: string) =>
  db
    .updateTable('firmwares')
    .set({ status: 'rejected', reason })
    .where('id', '=', id)
    .where('status', '=', 'awaiting_upload')
    .returning('id')
    .executeTakeFirst();

export interface FirmwareEdit {
  comment?: string | undefined;
  /** Withdraws it. A firmware that is withdrawn already keeps the reason it has. */
  withdrawal_reason?: string | undefined;
}

/** Changes what may change of a firmware, in one statement. Undefined when there is none, or none that can be withdrawn. */
export const updateFirmware = (db: Db, id: number, { comment, withdrawal_reason }: FirmwareEdit): Promise<ListedFirmware | undefined> => {
  let query = db.updateTable('firmwares').where('id', '=', id);
  if (comment !== undefined) query = query.set({ comment });
  if (withdrawal_reason !== undefined) {
    query = query
      .set((eb) => ({ status: 'withdrawn', reason: eb.fn.coalesce('reason', eb.val(withdrawal_reason)) }))
      .where('status', 'in', ['available', 'withdrawn']);
  }
  return query
    .returning(columns)
    .returning(deviceCountOfFirmware.as('device_count'))
    .$narrowType<{ status: FirmwareStatus; requires: FirmwareRequirement[] }>()
    .executeTakeFirst();
};

/** Facts are missing while the firmware is not available. The counter is the last one given out for it, by an update or its registration. */
export const findManifestFacts = async (
  db: Db,
  id: number,
): Promise<{ status: FirmwareStatus; facts: ManifestFacts | undefined } | undefined> => {
  const row = await db
    .selectFrom('firmwares as f')
    .select(['status', 'hardware_type', 'version', 'version_num', 'size_bytes', 'sha256', 'requires', 'minimum_from_version_num'])
    .select(({ fn, selectFrom }) =>
      fn<number>('greatest', [
        'f.manifest_counter',
        selectFrom('updates as u')
          .select(({ fn: { max } }) => max('u.manifest_counter').as('counter'))
          .whereRef('u.firmware_id', '=', 'f.id'),
      ]).as('counter'),
    )
    .where('id', '=', id)
    .$narrowType<{ status: FirmwareStatus; requires: FirmwareRequirement[] }>()
    .executeTakeFirst();
  if (!row) return undefined;
  const { status, version_num, size_bytes, sha256, ...rest } = row;
  const isAvailable = status === 'available' && version_num !== null && size_bytes !== null && sha256 !== null;
  return { status, facts: isAvailable ? { ...rest, version_num, size_bytes, sha256, allow_downgrade: false } : undefined };
};

const Cursor = z.tuple([z.int32(), z.int32()]);

export interface FirmwareFilter {
  hardware_type?: string | undefined;
  version?: string | undefined;
  status?: FirmwareStatus | undefined;
  limit: number;
  cursor?: string | undefined;
}

/** Newest ordinal first; what has no ordinal comes last, the latest request first. */
export const listFirmwares = async (
  db: Db,
  { hardware_type, version, status, limit, cursor }: FirmwareFilter,
): Promise<Page<ListedFirmware>> => {
  const list = listOf('firmwares', { hardware_type, version, status });
  const after = decodeCursor(list, Cursor, cursor);
  const ordinal = sql<number>`coalesce(version_num, 0)`;
  let query: SelectQueryBuilder<DB, 'firmwares', ListedFirmware> = selectListedFirmware(db);
  if (hardware_type) query = query.where('hardware_type', '=', hardware_type);
  if (version) query = query.where('version', '=', version);
  if (status) query = query.where('status', '=', status);
  if (after) query = query.where(sql<boolean>`(${ordinal}, id) < (${after[0]}, ${after[1]})`);
  const rows = await query
    .orderBy(ordinal, 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute();
  return toPage(list, rows, limit, (row) => [row.version_num ?? 0, row.id]);
};
