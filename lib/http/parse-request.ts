import type { APIGatewayProxyEvent } from 'aws-lambda';
import * as z from 'zod/mini';
import { DomainError, type FieldError, maximumFieldErrors } from '../errors.ts';
import { shorten } from '../text.ts';
import type { Route } from './route.ts';

/** The parts of a request for which a route has schemas. A route that declares no query accepts none. */
export interface RequestParts {
  path: unknown;
  query: unknown;
  headers: unknown;
  body: unknown;
}

const noQuery = z.strictObject({});

/**
 * Checks every part and reports the wrong fields of all of them at once.
 *
 * @throws `request.invalid` with the first wrong fields and their number.
 */
export const parseRequest = (route: Route, event: APIGatewayProxyEvent, body: unknown): RequestParts => {
  const wrong = new WrongFields();
  const parse = (part: FieldError['in'], schema: z.ZodMiniType | undefined, value: unknown): unknown => {
    if (!schema) return undefined;
    const result = safeParse(schema, value);
    if (result.success) return result.data;
    for (const issue of result.error.issues) for (const error of fieldErrorsOf(part, issue)) wrong.add(error);
    return undefined;
  };
  for (const [name, values] of Object.entries(event.multiValueQueryStringParameters ?? {})) {
    if (values && values.length > 1) wrong.add({ in: 'query', path: name, message: 'comes more than once' });
  }
  const request = {
    path: parse('path', route.pathParameters, pathParametersOf(event)),
    query: parse('query', route.query ?? noQuery, event.queryStringParameters ?? {}),
    headers: parse('header', route.headers, event.headers),
    body: parse('body', route.body, body),
  };
  wrong.throwIfAny();
  return request;
};

/** @throws `request.malformed` for a value that is nested too deep for the stack. */
const safeParse = (schema: z.ZodMiniType, value: unknown) => {
  try {
    return schema.safeParse(value);
  } catch (error) {
    if (error instanceof RangeError) throw new DomainError('request.malformed', 'The request is nested too deep', { cause: error });
    throw error;
  }
};

/** Keeps the first wrong fields and counts all: even a request with a million wrong fields gets an answer of moderate size. */
class WrongFields {
  readonly #first: FieldError[] = [];
  #count = 0;

  add(error: FieldError): void {
    this.#count += 1;
    if (this.#first.length < maximumFieldErrors) this.#first.push(error);
  }

  throwIfAny(): void {
    if (this.#count === 0) return;
    throw new DomainError('request.invalid', summarize(this.#first, this.#count), { errors: this.#first, errorCount: this.#count });
  }
}

/** The first of the wrong fields, for people. */
export const summarize = (errors: readonly FieldError[], count: number): string =>
  `Wrong: ${errors
    .slice(0, 5)
    .map(({ in: part, path, message }) => `${part}${path && ` ${shorten(path, 60)}`} (${shorten(message, 200)})`)
    .join(', ')}${count > 5 ? ` and ${count - 5} more` : ''}`;

type Issue = z.core.$ZodIssue;
type UnionIssue = z.core.$ZodIssueInvalidUnion;

/** The wrong fields that an issue of zod reports. */
export function* fieldErrorsOf(part: FieldError['in'], issue: Issue, outer: PropertyKey[] = []): Iterable<FieldError> {
  const path = [...outer, ...issue.path];
  const at = (place: PropertyKey[], message: string): FieldError => ({ in: part, path: place.map(String).join('.'), message });
  if (issue.code === 'unrecognized_keys') {
    for (const key of issue.keys) yield at([...path, key], 'is not a known field');
  } else if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const meant = findMeant(issue);
    if (meant) for (const inner of meant) yield* fieldErrorsOf(part, inner, path);
    else yield at(path, describeChoices(issue));
  } else {
    yield at(path, issue.message);
  }
}

/**
 * Of the forms that a field may have, the one that the sender meant: the one that knows most of the fields that were sent. Undefined when the
 * value has none of these types, or several forms are equally near.
 */
const findMeant = ({ errors }: UnionIssue): Issue[] | undefined => {
  const distances = errors
    .filter((issues) => !issues.some(({ path, code }) => path.length === 0 && code !== 'unrecognized_keys'))
    .map((issues) => ({ issues, unknown: countUnknown(issues) }))
    .sort((a, b) => a.unknown - b.unknown || a.issues.length - b.issues.length);
  const [nearest, next] = distances;
  const isClear = nearest && (!next || next.unknown !== nearest.unknown || next.issues.length !== nearest.issues.length);
  return isClear ? nearest.issues : undefined;
};

const countUnknown = (issues: readonly Issue[]): number =>
  issues.reduce((sum, issue) => sum + (issue.code === 'unrecognized_keys' ? issue.keys.length : 0), 0);

/** Joins the first error of each form, for example to `needs external_ids or filter`. */
const describeChoices = ({ errors }: UnionIssue): string => {
  const choices = errors.flatMap(([first]) => {
    if (!first) return [];
    const place = first.code === 'unrecognized_keys' ? first.keys.slice(0, 1) : first.path;
    const message = first.code === 'unrecognized_keys' ? 'is not a known field' : first.message;
    return [place.length > 0 ? `${place.map(String).join('.')} (${message})` : message];
  });
  return [...new Set(choices)].join(', or ');
};

/**
 * The parameters of the path, decoded exactly once. API Gateway (REST) passes them on as they are in the address, serverless-offline decodes
 * them. So a parameter is decoded here only if it occurs in the address in the same form.
 */
export const pathParametersOf = ({ path, pathParameters }: APIGatewayProxyEvent): Record<string, string | undefined> => {
  const segments = new Set(path.split('/'));
  return Object.fromEntries(
    Object.entries(pathParameters ?? {}).map(([name, value]) => [name, value && segments.has(value) ? decode(value) : value]),
  );
};

/** A text that is not well encoded stays as it is. */
const decode = (value: string): string => {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
};
