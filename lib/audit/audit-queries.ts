import type { Trx } from '../db/database.ts';
import type { AuditedResource } from './audit-line.ts';
import type { Author } from './author.ts';

export interface NewAuditLine {
  action: string;
  resource: AuditedResource;
  /** null: many at once. */
  resource_id: string | null;
  outcome: Readonly<Record<string, unknown>>;
}

/** In the transaction of the change: neither is ever without the other. */
export const writeAuditLine = async (trx: Trx, { subject, request_id }: Author, line: NewAuditLine, now: Date): Promise<void> => {
  await trx
    .insertInto('audit_lines')
    .values({ ...line, outcome: JSON.stringify(line.outcome), caller: subject, request_id, occurred_dt: now })
    .execute();
};

/** The fields that a change has made different, as they were and as they are. */
export const differenceOf = <T extends object>(before: T, after: T): { before: Partial<T>; after: Partial<T> } => {
  const names = (Object.keys(after) as (keyof T)[]).filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
  const pick = (row: T) => Object.fromEntries(names.map((name) => [name, row[name]])) as Partial<T>;
  return { before: pick(before), after: pick(after) };
};
