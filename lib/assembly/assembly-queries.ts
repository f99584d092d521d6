import { type RawBuilder, sql } from 'kysely';
import { addSeconds } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import type { FirmwareStatus } from '../firmware/firmware.ts';
import { decodeIdCursor, listOf, type Page, toPage } from '../http/page.ts';
import type { Assembly, AssemblyPart, AssemblyStatus, Install } from './assembly.ts';

export interface NewAssembly {
  hardware_compatibility: string[];
  signed: boolean;
  idempotency_key: string | null;
  request_hash: string;
  request_id: string;
  created_by: string;
  created_dt: Date;
}

/** Undefined when the caller has used this idempotency key before: waits for a request under way with the same key. */
export const insertAssembly = (trx: Trx, assembly: NewAssembly) =>
  trx
    .insertInto('assemblies')
    .values(assembly)
    .onConflict((oc) => oc.constraint('assemblies_created_by_idempotency_key_key').doNothing())
    .returning('id')
    .executeTakeFirst();

/** In the order of the list. */
export const insertParts = (trx: Trx, assembly_id: number, parts: readonly { firmware_id: number; install: Install }[]) =>
  trx
    .insertInto('assembly_parts')
    .values(parts.map(({ firmware_id, install }, position) => ({ assembly_id, position, firmware_id, ...install })))
    .execute();

/**
 * Longer than a message ever waits for its next try: at most the queue's visibility timeout of 1,800 s, or a delay of up to 900 s.
 */
const stalledAfterSeconds = 2_400;

const selectAssemblies = (now: Date): RawBuilder<unknown> => sql`
  SELECT a.id,
         CASE f.status
           WHEN 'rejected' THEN 'FAILED'
           WHEN 'awaiting_upload' THEN
             CASE WHEN greatest(a.created_dt, a.claimed_dt, a.last_error_dt, a.published_dt) < ${addSeconds(now, -stalledAfterSeconds)}
               THEN 'STALLED' ELSE 'IN_PROGRESS' END
           ELSE 'COMPLETED'
         END AS status,
         CASE WHEN f.status = 'rejected' THEN f.reason END AS reason,
         f.id AS firmware_id, f.hardware_type, f.version, f.version_num, f.size_bytes, f.sha256,
         (
           SELECT json_agg(
             json_build_object(
               'firmware_id', part.id, 'hardware_type', part.hardware_type, 'version', part.version, 'version_num', part.version_num,
               'size_bytes', part.size_bytes, 'sha256', part.sha256,
               'install', json_build_object('handler', p.handler, 'path', p.path, 'device', p.device)
             ) ORDER BY p.position
           )
           FROM assembly_parts p JOIN firmwares part ON part.id = p.firmware_id
           WHERE p.assembly_id = a.id
         ) AS parts,
         f.requires, f.minimum_from_version_num, a.hardware_compatibility, a.signed, f.comment, a.attempts, a.last_error, a.last_error_dt,
         a.created_by, a.request_id, a.created_dt, a.published_dt
  FROM assemblies a
  JOIN firmwares f ON f.assembly_id = a.id`;

export const findAssembly = async (db: Db, id: number, now: Date): Promise<Assembly | undefined> => {
  const { rows } = await sql<Assembly>`${selectAssemblies(now)} WHERE a.id = ${id}`.execute(db);
  return rows[0];
};

/** The assembly as it was when it was requested, whatever has happened since. */
export const getRequestedAssembly = async (db: Db, id: number): Promise<Assembly> => {
  const { rows } = await sql<Assembly>`${selectAssemblies(new Date(0))} WHERE a.id = ${id}`.execute(db);
  const [row] = rows;
  if (!row) throw new Error(`There is no assembly ${id}`);
  const untouched = { status: 'IN_PROGRESS', reason: null, version_num: null, size_bytes: null, sha256: null, attempts: 0 } as const;
  return { ...row, ...untouched, last_error: null, last_error_dt: null, published_dt: null };
};

export interface AssemblyFilter {
  hardware_type?: string | undefined;
  status?: AssemblyStatus | undefined;
  limit: number;
  cursor?: string | undefined;
}

/** The latest request first. */
export const listAssemblies = async (
  db: Db,
  { hardware_type, status, limit, cursor }: AssemblyFilter,
  now: Date,
): Promise<Page<Assembly>> => {
  const list = listOf('assemblies', { hardware_type, status });
  const before = decodeIdCursor(list, cursor);
  const conditions = [
    sql`true`,
    ...(hardware_type ? [sql`hardware_type = ${hardware_type}`] : []),
    ...(status ? [sql`status = ${status}`] : []),
    ...(before === undefined ? [] : [sql`id < ${before}`]),
  ];
  const { rows } = await sql<Assembly>`
    SELECT * FROM (${selectAssemblies(now)}) a
    WHERE ${sql.join(conditions, sql` AND `)}
    ORDER BY id DESC
    LIMIT ${limit + 1}`.execute(db);
  return toPage(list, rows, limit, (row) => [row.id]);
};

export interface ClaimedAssembly {
  id: number;
  firmware_id: number;
  version: string;
  object_key: string;
  hardware_compatibility: string[];
  signed: boolean;
}

/**
 * Begins the work on an assembly. Undefined when there is nothing to do, or when another delivery began the work less than `leaseSeconds`
 * ago; `findAssembly` tells which.
 */
export const claimAssembly = async (db: Db, id: number, now: Date, leaseSeconds: number): Promise<ClaimedAssembly | undefined> => {
  const { rows } = await sql<ClaimedAssembly>`
    UPDATE assemblies a SET claimed_dt = ${now}, attempts = a.attempts + 1
    FROM firmwares f
    WHERE a.id = ${id} AND f.assembly_id = a.id AND f.status = 'awaiting_upload' AND a.published_dt IS NULL
      AND (a.claimed_dt IS NULL OR a.claimed_dt < ${addSeconds(now, -leaseSeconds)})
    RETURNING a.id, f.id AS firmware_id, f.version, f.object_key, a.hardware_compatibility, a.signed`.execute(db);
  return rows[0];
};

export interface PartToAssemble extends AssemblyPart {
  status: FirmwareStatus;
  /** Why it is withdrawn. */
  reason: string | null;
  file_link: string;
}

/** In their order. Firmwares that were available once have a link, a size and hashes. */
export const listPartsToAssemble = async (db: Db, assembly_id: number): Promise<PartToAssemble[]> => {
  const { rows } = await sql<PartToAssemble>`
    SELECT f.id AS firmware_id, f.hardware_type, f.version, f.version_num, f.size_bytes, f.sha256, f.status, f.reason, f.file_link,
           json_build_object('handler', p.handler, 'path', p.path, 'device', p.device) AS install
    FROM assembly_parts p JOIN firmwares f ON f.id = p.firmware_id
    WHERE p.assembly_id = ${assembly_id}
    ORDER BY p.position`.execute(db);
  return rows;
};

/** The package is in S3. */
export const markPublished = async (db: Db, id: number, now: Date): Promise<void> => {
  await db
    .updateTable('assemblies')
    .set({ published_dt: now, claimed_dt: null })
    .where('id', '=', id)
    .where('published_dt', 'is', null)
    .execute();
};

/** Notes that the work has ended without a package; another try may begin at once. */
export const noteTrouble = async (db: Db, id: number, error: string, now: Date): Promise<void> => {
  await db.updateTable('assemblies').set({ last_error: error, last_error_dt: now, claimed_dt: null }).where('id', '=', id).execute();
};
