import type { AuditLine } from '../../../api/src/index.ts';

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
  const [was, is] = [record(before), record(after)];
  const fields = [...new Set([...Object.keys(was), ...Object.keys(is)])];
  return [
    ...fields.map((field) => ({ field, before: field in was ? inWords(was[field]) : undefined, after: inWords(is[field]) })),
    ...Object.entries(others).map(([field, value]) => ({ field, before: undefined, after: inWords(value) })),
  ];
};

/** Where in the console the changed thing is; undefined: it has no page. */
export const addressOf = ({ resource, resource_id }: Pick<AuditLine, 'resource' | 'resource_id'>): string | undefined => {
  if (resource_id === null) return undefined;
  const pages: Record<string, string> = { firmware: '/firmwares', update: '/updates', group: '/groups' };
  if (resource === 'zone') return '/zones';
  if (resource !== 'device') return pages[resource] && `${pages[resource]}/${encodeURIComponent(resource_id)}`;
  const [kind, ...rest] = resource_id.split('/');
  return `/fleet/${kind}/${encodeURIComponent(rest.join('/'))}`;
};
