import * as z from 'zod/mini';

/** A query parameter that is off unless it is `true`. Its text is checked by hand, so that the OpenAPI document can say "boolean". */
export const Flag = z
  .pipe(
    z.optional(z.unknown().check(z.refine((text) => text === 'true' || text === 'false', 'must be true or false'))),
    z.transform((text) => text === 'true'),
  )
  .check(z.meta({ type: 'boolean' }));

/** A query parameter that chooses yes or no; if it is left out, it does not restrict anything. */
export const YesOrNo = z
  .pipe(
    z.optional(z.unknown().check(z.refine((text) => text === 'true' || text === 'false', 'must be true or false'))),
    z.transform((text) => (text === undefined ? undefined : text === 'true')),
  )
  .check(z.meta({ type: 'boolean' }));

/** The same, where it matters whether the parameter is there at all. */
export const OptionalFlag = z
  .optional(
    z.pipe(
      z.unknown().check(z.refine((text) => text === 'true' || text === 'false', 'must be true or false')),
      z.transform((text) => text === 'true'),
    ),
  )
  .check(z.meta({ type: 'boolean' }));

/** A number in digits only. `Number()` would also accept `0x10`, `1e2` and a space, which nobody means. */
export const integerBetween = (minimum: number, maximum: number) =>
  z
    .pipe(
      z.unknown().check(z.refine((text) => typeof text === 'string' && /^\d{1,15}$/.test(text), 'must be a number in digits')),
      z.transform(Number),
    )
    .check(
      z.refine((value) => value >= minimum && value <= maximum, `must be between ${minimum} and ${maximum}`),
      z.meta({ type: 'integer', minimum, maximum }),
    );
