import { type RawBuilder, sql } from 'kysely';

/** Which way a list runs along its sort key. */
export type Direction = 'ascending' | 'descending';

/** A sort as callers name it: the field and the direction, `created_dt_descending`. */
export const directionOf = (sort: `${string}_${Direction}`): Direction => (sort.endsWith('_ascending') ? 'ascending' : 'descending');

/** Its field. */
export const fieldOf = <Field extends string>(sort: `${Field}_${Direction}`): Field => sort.slice(0, sort.lastIndexOf('_')) as Field;

const list = (parts: readonly unknown[]) => sql.join(parts.map((part) => sql`${part}`));

/** Which rows come after the one with the key `after` in a list that runs along these columns; all of them where there is no such row. */
export const comesAfter = (
  columns: readonly RawBuilder<unknown>[],
  direction: Direction,
  after: readonly unknown[] | undefined,
): RawBuilder<boolean> =>
  after === undefined ? sql`true` : sql`(${list(columns)}) ${direction === 'ascending' ? sql`>` : sql`<`} (${list(after)})`;

/** The order of such a list, for ORDER BY. One index serves both directions, because all columns run the same way. */
export const inOrder = (columns: readonly RawBuilder<unknown>[], direction: Direction): RawBuilder<unknown> =>
  sql.join(columns.map((column) => (direction === 'ascending' ? sql`${column}` : sql`${column} DESC`)));
