import * as z from 'zod/mini';

/** The name of a zone, a group or a tag: characters that everybody types in the same way. */
export const Word = z
  .string()
  .check(
    z.regex(/^[a-z0-9][a-z0-9_.-]{0,63}$/, 'must have 1 to 64 of the characters a-z, 0-9, _ . and -, and begin with a letter or a digit'),
  );

/** In a filter this means devices without a zone, so no zone may have this name. */
export const none = 'none';

export const ZoneName = Word.check(
  z.refine((name) => name !== none, `must not be ${none}, which stands for devices without a zone`),
  z.meta({ description: 'The name of a zone', example: 'north', not: { const: none } }),
);

export const maximumTags = 20;
export const Tag = Word.check(z.meta({ example: 'night' }));
export const Tags = z.array(Tag).check(
  z.maxLength(maximumTags),
  z.refine((tags) => new Set(tags).size === tags.length, 'has a tag more than once'),
  z.meta({ uniqueItems: true }),
);
