import * as z from 'zod/mini';
import { DomainError } from '../errors.ts';

const maximumPage = 500;

/** Query parameters of every list. */
export const PageQuery = {
  limit: z
    ._default(z.coerce.number().check(z.int(), z.minimum(1), z.maximum(maximumPage)), 50)
    .check(z.meta({ description: 'Items a page, 1 to 500' })),
  cursor: z.optional(z.string().check(z.maxLength(512))).check(z.meta({ description: '`next_cursor` of the page before' })),
};

/** The shape of every list. */
export const pageOf = <S extends z.ZodMiniType>(item: S) =>
  z.object({ items: z.array(item), next_cursor: z.nullable(z.string()).check(z.meta({ description: 'null on the last page' })) });

export interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}

/** A cursor holds the sort key of the last item: pages stay stable while rows are added, and page 1,000 costs what page 1 does. */
export const encodeCursor = (key: readonly unknown[]): string => Buffer.from(JSON.stringify(key)).toString('base64url');

/** @throws `request.invalid` naming `cursor` for anything that `encodeCursor` did not write. */
export const decodeCursor = <S extends z.ZodMiniType>(schema: S, cursor: string | undefined): z.output<S> | undefined => {
  if (cursor === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
  } catch (error) {
    throw new DomainError('request.invalid', 'The cursor is not one of this list', {
      errors: [{ in: 'query', path: 'cursor', message: 'is not a next_cursor of this list' }],
      cause: error,
    });
  }
};

/** `rows` were asked for with one more than `limit`, which tells whether there is a next page. */
export const toPage = <Row>(rows: readonly Row[], limit: number, keyOf: (row: Row) => readonly unknown[]): Page<Row> => {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, next_cursor: rows.length > limit && last ? encodeCursor(keyOf(last)) : null };
};
