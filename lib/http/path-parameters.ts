import * as z from 'zod/mini';

/** `{id}` of a path: a positive number of 31 bits. */
export const IdInPath = z.object({
  id: z.pipe(z.string().check(z.regex(/^[1-9]\d{0,9}$/, 'must be a positive number')), z.transform(Number)).check(
    z.refine((id) => id <= 2_147_483_647, 'is larger than any id'),
    z.meta({ type: 'integer', minimum: 1, maximum: 2_147_483_647 }),
  ),
});
