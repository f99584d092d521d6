import { sql } from 'kysely';
import * as z from 'zod/mini';
import type { Db, Trx } from '../db/database.ts';
import { decodeCursor, listOf, type Page, toPage } from '../http/page.ts';
import type { Actor } from './actor.ts';
import type { AuditedResource, AuditLine } from './audit-line.ts';

export interface NewAuditLine {
  action: string;
  resource: AuditedResource;
  /** null: many at once. */
  resource_id: string | null;
  outcome: Readonly<Record<string, unknown>>;
}

/** Writes the line in the transaction of its change, so that neither exists without the other. */
export const writeAuditLine = async (trx: Trx, { subject, request_id }: Actor, line: NewAuditLine, now: Date): Promise<void> => {
  await trx
    .insertInto('audit_lines')
    .values({ ...line, outcome: JSON.stringify(line.outcome), caller: subject, request_id, occurred_dt: now })
    .execute();
};

/** The same for a change of any number of resources, in one statement. */
export const writeAuditLines = async (
  trx: Trx,
  { subject, request_id }: Actor,
  lines: readonly NewAuditLine[],
  now: Date,
): Promise<void> => {
  await sql`
    INSERT INTO audit_lines (action, resource, resource_id, outcome, caller, request_id, occurred_dt)
    SELECT action, resource, resource_id, outcome, ${subject}, ${request_id}, ${now}::timestamptz
    FROM unnest(
      ${lines.map(({ action }) => action)}::text[],
      ${lines.map(({ resource }) => resource)}::text[],
      ${lines.map(({ resource_id }) => resource_id)}::text[],
      ${lines.map(({ outcome }) => JSON.stringify(outcome))}::jsonb[]
    ) AS line (action, resource, resource_id, outcome)`.execute(trx);
};

/** The fields that differ before and after a change, with both values. */
export const differenceOf = <T extends object>(before: T, after: T): { before: Partial<T>; after: Partial<T> } => {
  const names = (Object.keys(after) as (keyof T)[]).filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
  const pick = (row: T) => Object.fromEntries(names.map((name) => [name, row[name]])) as Partial<T>;
  return { before: pick(before), after: pick(after) };
};

export interface AuditFilter {
  caller?: string | undefined;
  action?: string | undefined;
  resource?: AuditedResource | undefined;
  resource_id?: string | undefined;
  request_id?: string | undefined;
  since?: Date | undefined;
  until?: Date | undefined;
}

const Cursor = z.tuple([z.int()]);

/** The latest first. */
export const listAuditLines = async (
  db: Db,
  { limit, cursor, ...filter }: AuditFilter & { limit: number; cursor?: string | undefined },
): Promise<Page<AuditLine>> => {
  const list = listOf('audit', filter);
  const before = decodeCursor(list, Cursor, cursor);
  const { since, until, ...equal } = filter;
  let query = db
    .selectFrom('audit_lines')
    .select([
      'id',
      'occurred_dt',
      'caller',
      'request_id',
      'action',
      'resource',
      'resource_id',
      sql<AuditLine['outcome']>`outcome`.as('outcome'),
    ])
    .$narrowType<{ resource: AuditedResource }>();
  for (const [column, value] of Object.entries(equal)) {
    if (value !== undefined) query = query.where(sql.ref<string>(column), '=', value);
  }
  if (since) query = query.where('occurred_dt', '>=', since);
  if (until) query = query.where('occurred_dt', '<', until);
  if (before) query = query.where(sql`id + 0`, '<', before[0]);
  const rows = await query
    .orderBy(sql`id + 0`, 'desc')
    .limit(limit + 1)
    .execute();
  return toPage(list, rows, limit, (row) => [row.id]);
};
