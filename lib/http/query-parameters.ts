import * as z from 'zod';

/** A query parameter that is off unless it is `true`. */
export const Flag = z
  .enum(['true', 'false'])
  .default('false')
  .transform((text) => text === 'true')
  .meta({ type: 'boolean' });
