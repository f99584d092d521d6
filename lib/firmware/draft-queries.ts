import { type NotNull, sql } from 'kysely';
import type { AuthorSignature } from '../authors/signature.ts';
import type { Db, Trx } from '../db/database.ts';
import { type Firmware, type FirmwareRequirement, type ObjectFacts, registeredStatuses } from './firmware.ts';
import { firmwareColumns, type NarrowedFirmware } from './firmware-queries.ts';

export interface NewFirmware {
  hardware_type: string;
  version: string;
  object_key: string;
  size_bytes: number | null;
  sha256: string | null;
  requires?: readonly FirmwareRequirement[];
  minimum_from_version_num?: number | null;
  /** null: it fits all. */
  revisions?: readonly string[] | null;
  author_signatures?: readonly AuthorSignature[];
  /** Of a package. */
  assembly_id?: number;
  version_num?: number | null;
  /** null: no upload link was given out. */
  upload_expires_dt?: Date | null;
  comment: string;
  created_by: string;
  created_dt: Date;
}

const toRow = ({ requires = [], author_signatures = [], revisions = null, ...firmware }: NewFirmware) => ({
  ...firmware,
  revisions: revisions && [...revisions],
  requires: JSON.stringify(requires),
  author_signatures: JSON.stringify(author_signatures),
});

/** Reserves a version for its upload; undefined when the version exists already. */
export const insertDraft = (db: Db, firmware: NewFirmware): Promise<Firmware | undefined> =>
  db
    .insertInto('firmwares')
    .values({ ...toRow(firmware), status: 'awaiting_upload' })
    .onConflict((oc) => oc.constraint('firmwares_hardware_type_version_key').doNothing())
    .returning(firmwareColumns)
    .$narrowType<NarrowedFirmware>()
    .executeTakeFirst();

/** Replaces a draft whose file never came by another draft. Undefined when the file came meanwhile. */
export const replaceDraft = (trx: Trx, id: number, firmware: NewFirmware): Promise<Firmware | undefined> =>
  trx
    .updateTable('firmwares')
    .set({ ...toRow(firmware), status: 'awaiting_upload', reason: null })
    .where('id', '=', id)
    .where('status', 'in', ['awaiting_upload', 'rejected'])
    .returning(firmwareColumns)
    .$narrowType<NarrowedFirmware>()
    .executeTakeFirst();

/** Notes that a fresh link was given out; with its key if a lost file is to be uploaded again. Undefined when no file is awaited any more. */
export const extendUpload = (
  trx: Trx,
  id: number,
  upload: { upload_expires_dt: Date; object_key?: string },
): Promise<Firmware | undefined> =>
  trx
    .updateTable('firmwares')
    .set(upload)
    .where('id', '=', id)
    .where('status', 'in', ['awaiting_upload', 'lost'])
    .returning(firmwareColumns)
    .$narrowType<NarrowedFirmware>()
    .executeTakeFirst();

/** Deletes a firmware whose file no device has ever had. Undefined when there is no such firmware. */
export const deleteDraft = (trx: Trx, id: number) =>
  trx
    .deleteFrom('firmwares')
    .where('id', '=', id)
    .where('status', 'in', ['awaiting_upload', 'awaiting_signature', 'rejected'])
    .where('assembly_id', 'is', null)
    .returning(['hardware_type', 'version', 'status', 'size_bytes', 'sha256', 'comment'])
    .executeTakeFirst();

export interface KnownText {
  id: number;
  version: string;
}

/** The versions of a hardware type that are taken: not those that were rejected, or whose link has expired before the file came. */
export const listTakenVersions = (db: Db, hardware_type: string, now: Date): Promise<KnownText[]> =>
  db
    .selectFrom('firmwares')
    .select(['id', 'version'])
    .where('hardware_type', '=', hardware_type)
    .where(({ and, or, eb }) =>
      or([
        eb('status', 'in', [...registeredStatuses, 'awaiting_signature']),
        and([eb('status', '=', 'awaiting_upload'), or([eb('upload_expires_dt', 'is', null), eb('upload_expires_dt', '>=', now)])]),
      ]),
    )
    .orderBy('id')
    .execute();

/**
 * Reserves an ordinal for a firmware; later firmwares get higher ones. Takes the ordinal from a draft whose file did not come in time.
 * The unique constraint refuses an ordinal that is taken.
 */
export const reserveVersionNum = async (trx: Trx, hardware_type: string, version_num: number, now: Date): Promise<void> => {
  await trx
    .updateTable('firmwares')
    .set({ version_num: null })
    .where('hardware_type', '=', hardware_type)
    .where('version_num', '=', version_num)
    .where('status', '=', 'awaiting_upload')
    .where('upload_expires_dt', '<', now)
    .execute();
  await trx
    .updateTable('hardware_types')
    .set((eb) => ({ last_version_num: eb.fn<number>('greatest', ['last_version_num', eb.val(version_num)]) }))
    .where('name', '=', hardware_type)
    .execute();
};

/** The versions that have an ordinal, or a reserved one. */
export const listNumberedVersions = (trx: Trx, hardware_type: string): Promise<{ version: string; version_num: number }[]> =>
  trx
    .selectFrom('firmwares')
    .select(['version', 'version_num'])
    .where('hardware_type', '=', hardware_type)
    .where('version_num', 'is not', null)
    .$narrowType<{ version_num: NotNull }>()
    .execute();

/** The highest ordinal that was ever given out. */
export const getLastVersionNum = async (trx: Trx, hardware_type: string): Promise<number> => {
  const query = trx.selectFrom('hardware_types').select('last_version_num').where('name', '=', hardware_type);
  return (await query.executeTakeFirstOrThrow()).last_version_num;
};

/** What a manifest is numbered with (README.md of this folder). */
const nextManifestCounter = sql<number>`nextval('firmware_manifest_counter')`;

/** The statuses of a draft: its file is awaited, or it is here and not signed yet. */
const unregisteredStatuses = ['awaiting_upload', 'awaiting_signature'] as const;

export interface AvailableFirmware {
  file_link: string;
  size_bytes: number;
  sha256: string;
  sha1: string;
  md5: string;
}

/** A draft as the caller has read it. Statements change it only if it is still the same. */
export interface Draft {
  id: number;
  /** The key of its upload; a draft for other bytes has another one. */
  object_key: string;
}

/**
 * Turns a draft into an available firmware with an ordinal: the one given here, or the one that was requested, or the next one. One statement
 * changes the status and raises the hardware type's last ordinal. Undefined when it was not this draft any more. The catalogue has to be
 * locked (`lockCatalogue`), because devices that run this version are linked to the firmware next.
 */
export const makeAvailable = (db: Db, { id, object_key }: Draft, facts: AvailableFirmware, version_num: number | null = null) =>
  db
    .with('draft', (cte) =>
      cte
        .selectFrom('firmwares')
        .select(['id', 'hardware_type'])
        .select(sql<number | null>`coalesce(${version_num}::integer, version_num)`.as('wanted_num'))
        .where('id', '=', id)
        .where('object_key', '=', object_key)
        .where('status', 'in', unregisteredStatuses)
        .forUpdate(),
    )
    .with('ordinal', (cte) =>
      cte
        .updateTable('hardware_types')
        .from('draft')
        .set({ last_version_num: sql<number>`greatest(last_version_num, coalesce(draft.wanted_num, last_version_num + 1))` })
        .whereRef('hardware_types.name', '=', 'draft.hardware_type')
        .returning(sql<number>`coalesce(draft.wanted_num, hardware_types.last_version_num)`.as('version_num')),
    )
    .updateTable('firmwares')
    .from(['draft', 'ordinal'])
    .set((eb) => ({
      ...facts,
      status: 'available',
      upload_expires_dt: null,
      version_num: eb.ref('ordinal.version_num'),
      manifest_counter: nextManifestCounter,
    }))
    .whereRef('firmwares.id', '=', 'draft.id')
    .returning(['firmwares.id', 'firmwares.version_num'])
    .$narrowType<{ version_num: NotNull }>()
    .executeTakeFirst();

/** Notes that the file is here, but not all authors have signed it yet. Undefined when it was not this draft any more. */
export const awaitSignatures = (trx: Trx, { id, object_key }: Draft, facts: AvailableFirmware) =>
  trx
    .updateTable('firmwares')
    .set({ ...facts, status: 'awaiting_signature', upload_expires_dt: null })
    .where('id', '=', id)
    .where('object_key', '=', object_key)
    .where('status', 'in', unregisteredStatuses)
    .returning('id')
    .executeTakeFirst();

/**
 * Stores the size and hashes of a package's file before anybody can see the file, so that no other file is ever registered as this package.
 * False when it is no draft any more, or one of its parts is not available any more.
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

/** Undefined when it was not this draft any more. Its ordinal, if it had one, is free again. */
export const rejectDraft = (db: Db, { id, object_key }: Draft, reason: string) =>
  db
    .updateTable('firmwares')
    .set({ status: 'rejected', reason, version_num: null, upload_expires_dt: null })
    .where('id', '=', id)
    .where('object_key', '=', object_key)
    .where('status', '=', 'awaiting_upload')
    .returning('id')
    .executeTakeFirst();
