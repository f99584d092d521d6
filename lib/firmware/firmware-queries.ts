import { type NotNull, type SelectQueryBuilder, sql } from 'kysely';
import * as z from 'zod/mini';
import type { AuthorSignature, SignedPart } from '../authors/signature.ts';
import type { Db, Trx } from '../db/database.ts';
import { comesAfter, directionOf, fieldOf, inOrder } from '../db/keyset.ts';
import type { DB } from '../db/schema.ts';
import { deviceCountOfFirmware } from '../fleet/count-queries.ts';
import { decodeCursor, listOf, type Page, toPage } from '../http/page.ts';
import { type Firmware, type FirmwareRequirement, type FirmwareStatus, type ListedFirmware, registeredStatuses } from './firmware.ts';
import { type ManifestFacts, toManifestFacts } from './manifest.ts';
import { fitsRevision, revisionsOf } from './revision-queries.ts';

/** The columns that the API shows of a firmware. */
export const firmwareColumns = [
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
  revisionsOf('firmwares').as('revisions'),
  'author_signatures',
  'assembly_id',
  'upload_expires_dt',
  'comment',
  'created_by',
  'created_dt',
] as const;

/** Columns whose values are narrower than their types in the database. */
export type NarrowedFirmware = { status: FirmwareStatus; requires: FirmwareRequirement[]; author_signatures: AuthorSignature[] };

const selectFirmware = (db: Db) => db.selectFrom('firmwares').select(firmwareColumns).$narrowType<NarrowedFirmware>();

/**
 * For whoever decides about a firmware and then changes it: nobody else changes it meanwhile. `renumber`: nor plans an update by it. Waits for
 * the plans that are being made then, as a withdrawal must not.
 */
export const lockFirmware = (trx: Trx, id: number, purpose: 'edit' | 'renumber'): Promise<Firmware | undefined> => {
  const query = selectFirmware(trx).where('id', '=', id);
  return (purpose === 'edit' ? query.forNoKeyUpdate() : query.forUpdate()).executeTakeFirst();
};

/** Reads a firmware for a plan: its ordinal does not change until the transaction ends. */
export const findFirmwareForPlan = (trx: Trx, id: number): Promise<Firmware | undefined> =>
  selectFirmware(trx).where('id', '=', id).forKeyShare().executeTakeFirst();

/** An update that depends on the ordinal of a firmware, because it has not ended or may have asked devices. */
export const findUpdateWith = (trx: Trx, firmware_id: number) =>
  trx
    .selectFrom('updates')
    .select('id')
    .where('firmware_id', '=', firmware_id)
    .where(({ or, eb }) => or([eb('finished_dt', 'is', null), eb('last_release_dt', 'is not', null)]))
    .orderBy('id')
    .limit(1)
    .executeTakeFirst();

/** Notes that the file of an available firmware is gone. Undefined when the firmware is not available any more, or has another file now. */
export const markLost = (db: Db, id: number, file_link: string, reason: string) =>
  db
    .updateTable('firmwares')
    .set({ status: 'lost', reason })
    .where('id', '=', id)
    .where('status', '=', 'available')
    .where('file_link', '=', file_link)
    .returning('id')
    .executeTakeFirst();

/** Notes that the same bytes are there again. Undefined when the firmware is not lost any more, or the bytes differ. */
export const restoreFile = (db: Db, id: number, file: { file_link: string; object_key: string }, sha256: string) =>
  db
    .updateTable('firmwares')
    .set({ ...file, status: 'available', reason: null, upload_expires_dt: null })
    .where('id', '=', id)
    .where('status', '=', 'lost')
    .where('sha256', '=', sha256)
    .returning('id')
    .executeTakeFirst();

export const findFirmware = (db: Db, id: number): Promise<Firmware | undefined> =>
  selectFirmware(db).where('id', '=', id).executeTakeFirst();

/** A firmware whose file is here and that is not available yet, with the facts of its file. */
export const findUnregistered = async (db: Db, id: number) => {
  const row = await selectFirmware(db)
    .select('object_key')
    .where('id', '=', id)
    .where('status', '=', 'awaiting_signature')
    .$narrowType<NarrowedFirmware & FileFacts>()
    .executeTakeFirst();
  if (!row) return undefined;
  const { file_link, size_bytes, sha256, sha1, md5 } = row;
  return { draft: row, facts: { file_link, size_bytes, sha256, sha1, md5 } };
};

/** Not null once the file is here; PostgreSQL checks it. */
type FileFacts = { file_link: NotNull; size_bytes: NotNull; sha256: NotNull; sha1: NotNull; md5: NotNull };

const selectListedFirmware = (db: Db) => selectFirmware(db).select(deviceCountOfFirmware.as('device_count'));

export const findListedFirmware = (db: Db, id: number): Promise<ListedFirmware | undefined> =>
  selectListedFirmware(db).where('id', '=', id).executeTakeFirst();

export const findFirmwareByVersion = (db: Db, { hardware_type, version }: { hardware_type: string; version: string }) =>
  selectFirmware(db).select('object_key').where('hardware_type', '=', hardware_type).where('version', '=', version).executeTakeFirst();

/** The firmwares with these ids, in no order; unknown ones are missing. */
export const listFirmwaresById = (db: Db, ids: readonly number[]): Promise<Firmware[]> =>
  selectFirmware(db)
    .where('id', 'in', [...ids])
    .execute();

export interface FirmwareEdit {
  comment?: string | undefined;
  /** Withdraws it. A firmware that is withdrawn already keeps the reason it has. */
  withdrawal_reason?: string | undefined;
  version_num?: number | undefined;
  /** null: it fits all. */
  revisions?: readonly string[] | null | undefined;
}

/** Changes a firmware in one statement. Undefined when there is no such firmware, or it cannot be withdrawn. */
export const updateFirmware = (
  db: Db,
  id: number,
  { comment, withdrawal_reason, version_num, revisions }: FirmwareEdit,
): Promise<ListedFirmware | undefined> => {
  let query = db
    .updateTable('firmwares')
    // A statement has to set something, even when nothing changes.
    .set((eb) => ({ comment: comment ?? eb.ref('comment') }))
    .where('id', '=', id);
  if (version_num !== undefined) query = query.set({ version_num });
  if (revisions !== undefined) query = query.set({ revisions: revisions && [...revisions] });
  if (withdrawal_reason !== undefined) {
    query = query
      // The reason of a lost firmware is replaced; only a withdrawn one keeps its reason.
      .set({
        status: 'withdrawn',
        upload_expires_dt: null,
        reason: sql<string>`CASE status WHEN 'withdrawn' THEN reason ELSE ${withdrawal_reason} END`,
      })
      .where('status', 'in', registeredStatuses);
  }
  return query
    .returning(firmwareColumns)
    .returning(deviceCountOfFirmware.as('device_count'))
    .$narrowType<NarrowedFirmware>()
    .executeTakeFirst();
};

/** Facts are missing while the firmware is not available. The counter is the last one that an update or the registration gave to this firmware. */
export const findManifestFacts = async (
  db: Db,
  id: number,
): Promise<{ status: FirmwareStatus; facts: ManifestFacts | undefined } | undefined> => {
  const row = await db
    .selectFrom('firmwares as f')
    .select(['status', 'hardware_type', 'version', 'version_num', 'size_bytes', 'sha256', 'requires', 'minimum_from_version_num'])
    .select(['author_signatures', 'signed_parts'])
    .select(({ fn, selectFrom }) =>
      fn<number>('greatest', [
        'f.manifest_counter',
        selectFrom('updates as u')
          .select(({ fn: { max } }) => max('u.manifest_counter').as('counter'))
          .whereRef('u.firmware_id', '=', 'f.id'),
      ]).as('counter'),
    )
    .where('id', '=', id)
    .$narrowType<NarrowedFirmware & { signed_parts: SignedPart[] }>()
    .executeTakeFirst();
  if (!row) return undefined;
  const { status, version_num, size_bytes, sha256, counter, ...rest } = row;
  const isAvailable = status === 'available' && version_num !== null && size_bytes !== null && sha256 !== null;
  const facts = isAvailable && toManifestFacts({ ...rest, version_num, size_bytes, sha256 }, { allow_downgrade: false, counter });
  return { status, facts: facts || undefined };
};

/** The orders in which firmwares can be listed; each has an index. */
export const firmwareSorts = ['version_num_descending', 'version_num_ascending', 'created_dt_descending', 'created_dt_ascending'] as const;
type FirmwareSort = (typeof firmwareSorts)[number];

/** What has no ordinal has the lowest. */
const ordinalOf = (version_num: number | null) => version_num ?? 0;
const ordinal = sql`coalesce(version_num, 0)`;

const Id = z.int32();
const orders = {
  version_num: {
    Key: z.tuple([Id, Id]),
    columns: [ordinal, sql`id`],
    keyOf: (row: ListedFirmware) => [ordinalOf(row.version_num), row.id],
  },
  created_dt: { Key: z.tuple([Id]), columns: [sql`id`], keyOf: (row: ListedFirmware) => [row.id] },
};

export interface FirmwareFilter {
  hardware_type?: string | undefined;
  version?: string | undefined;
  status?: FirmwareStatus | undefined;
  /** Of a device's hardware, that they fit. */
  revision?: string | undefined;
  sort?: FirmwareSort | undefined;
  limit: number;
  cursor?: string | undefined;
}

/** Newest ordinal first, unless another order is wanted; what has no ordinal yet has the lowest. */
export const listFirmwares = async (
  db: Db,
  { hardware_type, version, status, revision, sort, limit, cursor }: FirmwareFilter,
): Promise<Page<ListedFirmware>> => {
  const list = listOf('firmwares', { hardware_type, version, status, revision, sort });
  const wanted = sort ?? 'version_num_descending';
  const { Key, columns, keyOf } = orders[fieldOf(wanted)];
  const direction = directionOf(wanted);
  const after: readonly number[] | undefined = decodeCursor<z.ZodMiniType<number[]>>(list, Key, cursor);
  let query: SelectQueryBuilder<DB, 'firmwares', ListedFirmware> = selectListedFirmware(db);
  if (hardware_type) query = query.where('hardware_type', '=', hardware_type);
  if (version) query = query.where('version', '=', version);
  if (status) query = query.where('status', '=', status);
  if (revision) query = query.where(fitsRevision(revisionsOf('firmwares'), sql`${revision}::text`));
  const rows = await query
    .where(comesAfter(columns, direction, after))
    .orderBy(inOrder(columns, direction))
    .limit(limit + 1)
    .execute();
  return toPage(list, rows, limit, keyOf);
};
