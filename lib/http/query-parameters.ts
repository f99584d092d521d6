import * as z from 'zod/mini';

/** A query parameter that is off unless it is `true`. */
export const Flag = z
  .pipe(
    z._default(z.enum(['true', 'false']), 'false'),
    z.transform((text) => text === 'true'),
  )
  .check(z.meta({ type: 'boolean' }));
