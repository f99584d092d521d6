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
  author_signatures?: readonly AuthorSignature[];
  /** Of a package. */
  assembly_id?: number;
  version_num?: number | null;
  /** null: there is no link by which it could be sent. */
  upload_expires_dt?: Date | null;
  comment: string;
  created_by: string;
  created_dt: Date;
}

const toRow = ({ requires = [], author_signatures = [], ...firmware }: NewFirmware) => ({
  ...firmware,
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

/** Puts another promise in the place of one that nobody has kept. Undefined when it was kept meanwhile. */
export const replaceDraft = (trx: Trx, id: number, firmware: NewFirmware): Promise<Firmware | undefined> =>
  trx
    .updateTable('firmwares')
    .set({ ...toRow(firmware), status: 'awaiting_upload', reason: null })
    .where('id', '=', id)
    .where('status', 'in', ['awaiting_upload', 'rejected'])
    .returning(firmwareColumns)
    .$narrowType<NarrowedFirmware>()
    .executeTakeFirst();

/** Notes that a fresh link was given out; for a file that is to come back, with its key. Undefined when no file is awaited any more. */
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

/** Deletes a firmware whose file nobody has ever had. Undefined when there is none, or none such. */
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
 * Keeps an ordinal for a firmware: later ones are given higher ones. Takes it from a promise that nobody has kept in time.
 * The unique constraint refuses one that is taken.
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

/** Those that have an ordinal, or for whom one is kept. */
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

/** Of a draft: its file is awaited, or here and not signed yet. */
const unregisteredStatuses = ['awaiting_upload', 'awaiting_signature'] as const;

export interface AvailableFirmware {
  file_link: string;
  size_bytes: number;
  sha256: string;
  sha1: string;
  md5: string;
}

/** A promise as somebody has read it: what is done with it is done only while it is the same. */
export interface Draft {
  id: number;
  /** Of its upload; each promise of other bytes has another one. */
  object_key: string;
}

/**
 * Turns a draft into a firmware with its ordinal, in one statement: the ordinal of the hardware type is raised only together with the change
 * of status. It is the one given, or the one that was requested, or the next one. Undefined when it was not this draft any more. While
 * devices report, the catalogue has to be locked (`lockCatalogue`): what they run is linked to it next.
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

/** The file is here, and its authors have not all signed yet. Undefined when it was not this draft any more. */
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
