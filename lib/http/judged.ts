import * as z from 'zod/mini';
import type { FieldError } from '../errors.ts';
import { shorten } from '../text.ts';
import { fieldErrorsOf } from './parse-request.ts';

/** How many wrong fields of one item are shown: thousands of items have to fit into one answer. */
const maximumErrorsPerItem = 10;

/** A wrong field of one item; `path` begins within the item. */
export const ItemError = z.object({
  path: z.string().check(z.meta({ description: 'Dotted; empty: the item itself', example: 'version' })),
  message: z.string(),
});
export type ItemError = z.infer<typeof ItemError>;

/** An item of a list that is not well-formed. It is kept as it came, so that the other items can be processed. */
export class Malformed {
  readonly sent: unknown;
  readonly errors: readonly FieldError[];

  constructor(sent: unknown, errors: readonly FieldError[]) {
    this.sent = sent;
    this.errors = errors;
  }

  /** The text in a field of the item, if it has one that can be shown in an answer. */
  textOf(field: string): string | null {
    const { sent } = this;
    const value = typeof sent === 'object' && sent !== null && Object.hasOwn(sent, field) ? (sent as Record<string, unknown>)[field] : null;
    return typeof value === 'string' ? shorten(value.toWellFormed(), 128) : null;
  }

  get itemErrors(): ItemError[] {
    return this.errors
      .slice(0, maximumErrorsPerItem)
      .map(({ path, message }) => ({ path: shorten(path, 100), message: shorten(message, 200) }));
  }

  get summary(): string {
    const [first] = this.errors;
    const place = first?.path ? `${shorten(first.path, 60)}: ` : '';
    const rest = this.errors.length > 1 ? `, and ${this.errors.length - 1} more` : '';
    return `Not well-formed: ${place}${shorten(first?.message ?? 'wrong', 200)}${rest}`;
  }
}

/**
 * An item of a list that is judged on its own: parsed by its schema, or {@link Malformed}. The OpenAPI document shows the schema, so that
 * generated clients have its type; the route's description says what happens to malformed items.
 */
export const judged = <S extends z.ZodMiniType>(schema: S) =>
  z
    .union([
      schema,
      z.pipe(
        z.unknown(),
        z.transform((sent) => new Malformed(sent, errorsOf(schema, sent))),
      ),
    ])
    .check(z.meta({ override: ({ jsonSchema }) => showFirstOnly(jsonSchema) }));

const showFirstOnly = (shown: { anyOf?: object[] }): void => {
  const [first] = shown.anyOf ?? [];
  delete shown.anyOf;
  Object.assign(shown, first);
};

const errorsOf = (schema: z.ZodMiniType, sent: unknown): FieldError[] =>
  schema.safeParse(sent).error?.issues.flatMap((issue) => [...fieldErrorsOf('body', issue)]) ?? [];
