import * as z from 'zod/mini';

/** A part of a path that is a positive number of 31 bits. */
export const numberInPath = z.pipe(z.string().check(z.regex(/^[1-9]\d{0,9}$/, 'must be a positive number')), z.transform(Number)).check(
  z.refine((number) => number <= 2_147_483_647, 'is larger than any id'),
  z.meta({ type: 'integer', minimum: 1, maximum: 2_147_483_647 }),
);

/** `{id}` of a path. */
export const IdInPath = z.object({ id: numberInPath });
