// The page is one file, so what is shown stands behind the # of the address: `#/updates/17?status=FAILED`. Links are ordinary links.
import { useCallback, useSyncExternalStore } from 'react';

const subscribe = (listener: () => void) => {
  addEventListener('hashchange', listener);
  return () => removeEventListener('hashchange', listener);
};
const read = (): string => location.hash.replace(/^#/, '') || '/';
const pathOf = (place: string): string => place.split('?')[0] ?? '/';
const queryOf = (place: string): string => place.split('?').slice(1).join('?');

export const goTo = (place: string, { replace = false }: { replace?: boolean } = {}): void => {
  if (!replace) {
    location.hash = place;
    return;
  }
  history.replaceState(null, '', `#${place}`);
  dispatchEvent(new HashChangeEvent('hashchange'));
};

/** For wouter's Router. */
export const useHashPath = (): [string, typeof goTo] => [useSyncExternalStore(subscribe, () => pathOf(read())), goTo];

type Changes = Readonly<Record<string, string | undefined>>;

/** Filters and sorting live in the address, so that a link to what somebody sees can be sent. An empty value takes its name away. */
export const useQueryOfPage = (): [query: URLSearchParams, change: (changes: Changes) => void] => {
  const text = useSyncExternalStore(subscribe, () => queryOf(read()));
  const change = useCallback((changes: Changes) => {
    const place = read();
    goTo(withChanges(pathOf(place), new URLSearchParams(queryOf(place)), changes), { replace: true });
  }, []);
  return [new URLSearchParams(text), change];
};

export const withChanges = (path: string, query: URLSearchParams, changes: Changes): string => {
  const next = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) {
    if (value === undefined || value === '') next.delete(name);
    else next.set(name, value);
  }
  return next.size === 0 ? path : `${path}?${next}`;
};

/** The address of a link within the console. */
export const linkTo = (path: string, query: Changes = {}): string => `#${withChanges(path, new URLSearchParams(), query)}`;

export const deviceLink = (kind: string, external_id: string): string => linkTo(`/fleet/${kind}/${encodeURIComponent(external_id)}`);

/** The devices that run a version. */
export const runnersLink = (hardware_type: string, version: string, further: Changes = {}): string =>
  linkTo('/fleet', { compare: 'running', type: hardware_type, of: version, ...further });
