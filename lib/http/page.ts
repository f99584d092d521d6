import { createHash } from 'node:crypto';
import * as z from 'zod/mini';
import { DomainError, type FieldError } from '../errors.ts';
import { hashOf } from './idempotency.ts';
import { integerBetween } from './query-parameters.ts';

const maximumPage = 500;

/** Query parameters of every list. */
export const PageQuery = {
  limit: z._default(integerBetween(1, maximumPage), 50).check(z.meta({ description: 'Items a page, 1 to 500' })),
  cursor: z
    .optional(z.string().check(z.maxLength(512)))
    .check(z.meta({ description: '`next_cursor` of the page before, of the same list under the same conditions' })),
};

/** The shape of every list. */
export const pageOf = <S extends z.ZodMiniType>(item: S) =>
  z.object({ items: z.array(item), next_cursor: z.nullable(z.string()).check(z.meta({ description: 'null on the last page' })) });

export interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}

/** A list with its conditions. A cursor belongs to one such list: in another it would silently leave out or repeat items. */
export interface List {
  id: string;
  /** Where a request has the cursor. */
  cursor: Pick<FieldError, 'in' | 'path'>;
}

export const listOf = (name: string, conditions: object = {}, cursor: List['cursor'] = { in: 'query', path: 'cursor' }): List => ({
  id: createHash('sha256')
    .update(`${name} ${hashOf(conditions)}`)
    .digest('base64url')
    .slice(0, 8),
  cursor,
});

/** A cursor holds the sort key of the last item: pages stay stable while rows are added, and page 1,000 costs as much as page 1. */
export const encodeCursor = ({ id }: List, key: readonly unknown[]): string => Buffer.from(JSON.stringify([id, key])).toString('base64url');

/** @throws `request.invalid` naming the cursor for anything that `encodeCursor` did not write for this list. */
export const decodeCursor = <S extends z.ZodMiniType>(list: List, key: S, cursor: string | undefined): z.output<S> | undefined => {
  if (cursor === undefined) return undefined;
  try {
    const [, decoded] = z.tuple([z.literal(list.id), key]).parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
    return decoded as z.output<S>;
  } catch (error) {
    throw new DomainError('request.invalid', 'The cursor is not one of this list', {
      errors: [{ ...list.cursor, message: 'is not a next_cursor of this list under these conditions' }],
      cause: error,
    });
  }
};

const IdCursor = z.tuple([z.int32()]);

/** For a list in the order of its ids: the id of the last item. */
export const decodeIdCursor = (list: List, cursor: string | undefined): number | undefined => decodeCursor(list, IdCursor, cursor)?.[0];

/** Lambda's answers have at most 6 MB, and some of that is needed around the items and for fields that are added to them later. */
const maximumPageBytes = 3_500_000;

/**
 * `rows` has one row more than `limit` if there is a next page. A page of large items ends early, before it becomes larger than an answer can
 * be.
 */
export const toPage = <Row>(
  list: List,
  rows: readonly Row[],
  limit: number,
  keyOf: (row: Row) => readonly unknown[],
  mostBytes: (row: Row) => number = mostBytesOf,
): Page<Row> => {
  const items = withinBytes(rows.slice(0, limit), mostBytes);
  const last = items.at(-1);
  return { items, next_cursor: rows.length > items.length && last ? encodeCursor(list, keyOf(last)) : null };
};

/** The first rows that fit, at least one. Rows are written as JSON only if they may be too large together. */
const withinBytes = <Row>(rows: readonly Row[], mostBytes: (row: Row) => number): Row[] => {
  if (rows.reduce((sum, row) => sum + mostBytes(row), 0) <= maximumPageBytes) return [...rows];
  let bytes = 0;
  const end = rows.findIndex((row) => {
    bytes += Buffer.byteLength(JSON.stringify(row));
    return bytes > maximumPageBytes;
  });
  return rows.slice(0, end === -1 ? rows.length : Math.max(1, end));
};

/** An upper bound of a value's bytes as JSON: a character takes up to six (`\u0001`), a number, a date or another single value up to thirty. */
const mostBytesOf = (value: unknown): number => {
  if (typeof value === 'string') return 6 * value.length + 3;
  if (typeof value !== 'object' || value === null || value instanceof Date) return 30;
  let bytes = 2;
  for (const key in value) bytes += 6 * key.length + 4 + mostBytesOf((value as Record<string, unknown>)[key]);
  return bytes;
};
