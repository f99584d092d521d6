import type { AuditLine } from '../../../api/src/index.ts';

/** Where in the console the changed thing is; undefined: it has no page. */
export const addressOf = ({ resource, resource_id }: Pick<AuditLine, 'resource' | 'resource_id'>): string | undefined => {
  if (resource_id === null) return undefined;
  const pages: Record<string, string> = { firmware: '/firmwares', update: '/updates', group: '/groups' };
  if (resource === 'zone') return '/zones';
  if (resource !== 'device') return pages[resource] && `${pages[resource]}/${encodeURIComponent(resource_id)}`;
  const [kind, ...rest] = resource_id.split('/');
  return `/fleet/${kind}/${encodeURIComponent(rest.join('/'))}`;
};
