import * as z from 'zod/mini';

/** A query parameter that is off unless it is `true`. */
export const Flag = z
  .pipe(
    z._default(z.enum(['true', 'false']), 'false'),
    z.transform((text) => text === 'true'),
  )
  .check(z.meta({ type: 'boolean' }));

/** A number of digits only: what `Number()` makes of `0x10`, `1e2` or a space is not what anybody meant. */
export const integerBetween = (minimum: number, maximum: number) =>
  z.pipe(z.string().check(z.regex(/^\d{1,15}$/, 'must be a number in digits')), z.transform(Number)).check(
    z.refine((value) => value >= minimum && value <= maximum, `must be between ${minimum} and ${maximum}`),
    z.meta({ type: 'integer', minimum, maximum }),
  );
