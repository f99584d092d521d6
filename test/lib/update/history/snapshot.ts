import { sql } from 'kysely';
import type { Db } from '../../../../lib/db/database.ts';

/** What a history writes, in an order in which rows can be put back. */
const tables = [
  'updates',
  'update_dispatches',
  'update_executions',
  'update_exclusions',
  'update_late_success_counts',
  'update_candidates',
  'update_claims',
  'outages',
  'device_firmwares',
  'device_firmware_history',
  'audit_lines',
  'device_seen_counts',
] as const;

/** A backup of the database, as far as a history writes it. */
export interface Backup {
  rows: Map<(typeof tables)[number], unknown[]>;
  firmwares: { id: number; status: string; revisions: string[] | null }[];
  devices: { id: number; zone: string | null; tags: string[]; revision: string | null; retired_dt: Date | null }[];
  zones: { name: string; maintenance_window: unknown }[];
  sequences: { name: string; last_value: number; is_called: boolean }[];
}

export const backUp = async (db: Db): Promise<Backup> => {
  const rows: Backup['rows'] = new Map();
  for (const table of tables) {
    const { rows: found } = await sql<{ row: unknown }>`SELECT to_jsonb(t) AS row FROM ${sql.table(table)} t`.execute(db);
    rows.set(
      table,
      found.map(({ row }) => row),
    );
  }
  const { rows: names } = await sql<{ name: string }>`
    SELECT sequencename AS name FROM pg_sequences WHERE schemaname = current_schema()`.execute(db);
  const sequences: Backup['sequences'] = [];
  for (const { name } of names) {
    const { rows: found } = await sql<
      Omit<Backup['sequences'][number], 'name'>
    >`SELECT last_value, is_called FROM ${sql.table(name)}`.execute(db);
    if (found[0]) sequences.push({ name, ...found[0] });
  }
  const firmwares = await db.selectFrom('firmwares').select(['id', 'status', 'revisions']).execute();
  const devices = await db.selectFrom('devices').select(['id', 'zone', 'tags', 'revision', 'retired_dt']).execute();
  const zones = await db.selectFrom('zones').select(['name', 'maintenance_window']).execute();
  return { rows, firmwares, devices, zones, sequences };
};

/** Takes the rows of the history before out of the database; ids begin anew, so that a history can be repeated. */
export const forgetHistory = async (db: Db, pristine: Backup): Promise<void> => {
  await sql`
    UPDATE backend_gate SET share = 1, changed_dt = '2026-01-01T00:00:00Z', failures = 0, closed_until = NULL, usual_latency_ms = NULL`.execute(
    db,
  );
  await restore(db, pristine);
};

/** The database is what it was at the backup: the ids given out since then are forgotten, too. */
export const restore = async (db: Db, { rows, firmwares, devices, zones, sequences }: Backup): Promise<void> => {
  await db.transaction().execute(async (trx) => {
    for (const table of [...tables].reverse()) {
      // The audit is append-only, by a trigger; whoever restores a backup is above triggers.
      if (table === 'audit_lines') await sql`SET LOCAL session_replication_role = replica`.execute(trx);
      await sql`DELETE FROM ${sql.table(table)}`.execute(trx);
      await sql`SET LOCAL session_replication_role = origin`.execute(trx);
    }
    for (const table of tables) {
      await sql`
        INSERT INTO ${sql.table(table)} OVERRIDING SYSTEM VALUE
        SELECT * FROM jsonb_populate_recordset(NULL::${sql.table(table)}, ${JSON.stringify(rows.get(table))}::jsonb)`.execute(trx);
    }
    await sql`
      UPDATE firmwares f SET status = old.status, revisions = old.revisions
      FROM jsonb_populate_recordset(NULL::firmwares, ${JSON.stringify(firmwares)}::jsonb) old WHERE old.id = f.id`.execute(trx);
    await sql`
      UPDATE devices d SET zone = old.zone, tags = old.tags, revision = old.revision, retired_dt = old.retired_dt
      FROM jsonb_populate_recordset(NULL::devices, ${JSON.stringify(devices)}::jsonb) old WHERE old.id = d.id`.execute(trx);
    // Those that were registered since.
    await sql`DELETE FROM devices WHERE id <> ALL (${devices.map(({ id }) => id)}::integer[])`.execute(trx);
    for (const { name, maintenance_window } of zones) {
      await trx
        .updateTable('zones')
        .set({ maintenance_window: maintenance_window === null ? null : JSON.stringify(maintenance_window) })
        .where('name', '=', name)
        .execute();
    }
    for (const { name, last_value, is_called } of sequences) await sql`SELECT setval(${name}, ${last_value}, ${is_called})`.execute(trx);
  });
};

/**
 * The rows, as they are after a command.
 *
 * @param sinceLine the id of the last line of the audit that is known
 */
export const takeSnapshot = async (db: Db, sinceLine = 0) => {
  const [executions, updates, known, claims, fleet] = await Promise.all([
    db
      .selectFrom('update_executions as e')
      .innerJoin('devices as d', 'd.id', 'e.device_id')
      .innerJoin('updates as u', 'u.id', 'e.update_id')
      .innerJoin('firmwares as f', 'f.id', 'u.firmware_id')
      .selectAll('e')
      .select([
        'd.external_id',
        'f.id as firmware_id',
        'f.version as wanted_version',
        'f.status as firmware_status',
        'u.status as update_status',
      ])
      .orderBy('e.id')
      .execute(),
    db.selectFrom('updates').selectAll().orderBy('id').execute(),
    db
      .selectFrom('device_firmwares as r')
      .innerJoin('devices as d', 'd.id', 'r.device_id')
      .select([
        'd.external_id',
        'r.hardware_type',
        'r.reported_version',
        'r.firmware_id',
        'r.firmware_update_dt',
        'r.observed_dt',
        'r.source',
      ])
      .orderBy('r.device_id')
      .orderBy('r.hardware_type')
      .execute(),
    db.selectFrom('update_claims').selectAll().orderBy('update_id').orderBy('device_id').execute(),
    findFleet(db, sinceLine),
  ]);
  return { executions, updates, known, claims, ...fleet };
};
export type Snapshot = Awaited<ReturnType<typeof takeSnapshot>>;

interface Fleet {
  devices: { external_id: string; zone: string | null; tags: string[]; revision: string | null; is_retired: boolean }[];
  firmwares: { id: number; status: string; revisions: string[] | null }[];
  zones: { name: string; maintenance_window: { from: string; until: string } | null }[];
  /** Of the audit, in their order. */
  lines: { id: number; caller: string; action: string; resource: string; resource_id: string | null; outcome: Record<string, unknown> }[];
}

/** What admins change, and which of their changes the audit knows: one statement, because there is one snapshot after each event. */
const findFleet = async (db: Db, sinceLine: number): Promise<Fleet> => {
  const { rows } = await sql<Fleet>`
    SELECT
      (SELECT jsonb_agg(d ORDER BY d.id) FROM (
        SELECT id, external_id, zone, tags, revision, retired_dt IS NOT NULL AS is_retired FROM devices
      ) d) AS devices,
      (SELECT jsonb_agg(f ORDER BY f.id) FROM (SELECT id, status, revisions FROM firmwares) f) AS firmwares,
      (SELECT jsonb_agg(z ORDER BY z.name) FROM (SELECT name, maintenance_window FROM zones) z) AS zones,
      (SELECT coalesce(jsonb_agg(l ORDER BY l.id), '[]') FROM (
        SELECT id, caller, action, resource, resource_id, outcome FROM audit_lines WHERE id > ${sinceLine}
      ) l) AS lines`.execute(db);
  const [fleet] = rows;
  if (!fleet) throw new Error('A statement of one row has answered none');
  return fleet;
};
