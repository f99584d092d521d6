import * as z from 'zod/mini';

/** PostgreSQL cannot store NUL, and half a surrogate pair would silently become another character. */
export const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\u0000');

/** A text of a request that goes into the database. */
export const requestedText = (maximumLength: number) =>
  z
    .string()
    .check(
      z.maxLength(maximumLength),
      z.refine(isStorable, 'must be well-formed Unicode without NUL, which PostgreSQL cannot store'),
      z.meta({ pattern: '^[^\\u0000]*$' }),
    );

/** Cuts a long text for people to read. */
export const shorten = (text: string, maximumLength: number): string =>
  text.length > maximumLength ? `${text.slice(0, maximumLength).toWellFormed()}…` : text;
