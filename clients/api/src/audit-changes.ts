import type { AuditLine } from './generated.ts';

/** A field that a change has made another one. */
export interface Change {
  field: string;
  /** undefined: there was nothing, or it is not told. */
  before: string | undefined;
  after: string;
}

const record = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};

/** A condition or a window in words: `from 02:00, until 05:00`. */
const inWords = (value: unknown): string => {
  if (value === null || value === undefined || value === '') return '–';
  if (Array.isArray(value)) return value.length === 0 ? '–' : value.map(inWords).join(', ');
  if (typeof value !== 'object') return String(value);
  return Object.entries(value)
    .map(([name, part]) => `${name} ${inWords(part)}`)
    .join('; ');
};

/** What became of it, field by field: `before` and `after` where a change has them, else what is told of it. */
export const changesOf = (outcome: AuditLine['outcome']): Change[] => {
  const { before, after, ...others } = record(outcome);
  return [
    ...differences('', record(before), record(after)),
    ...Object.entries(others).map(([field, value]) => ({ field, before: undefined, after: inWords(value) })),
  ];
};

/** Of a group of settings only those that differ: `rollout.maximum_per_minute`. */
const differences = (prefix: string, before: Record<string, unknown>, after: Record<string, unknown>): Change[] =>
  [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((name) => {
    const [was, is] = [before[name], after[name]];
    const field = `${prefix}${name}`;
    if (Object.keys(record(was)).length > 0 && Object.keys(record(is)).length > 0) return differences(`${field}.`, record(was), record(is));
    if (name in before && inWords(was) === inWords(is)) return [];
    return [{ field, before: name in before ? inWords(was) : undefined, after: inWords(is) }];
  });
