import { useQueryOfPage } from '../location.ts';
import type { Sorting } from './table.tsx';

type Direction = 'ascending' | 'descending';

/** `finished_dt_descending` is by `finished_dt`, the highest first. */
export const sortingOf = <Sort extends string>(
  typed: string | null,
  known: readonly Sort[],
): { sort: Sort; by: string; direction: Direction } | undefined => {
  const sort = known.find((each) => each === typed);
  const [, by = '', direction] = /^(.+)_(ascending|descending)$/.exec(sort ?? '') ?? [];
  return sort === undefined ? undefined : { sort, by, direction: direction as Direction };
};

/** Times and numbers begin with the latest, names with the first. Pressed again, it turns round. */
export const nextSort = (by: string, now: { by: string; direction: Direction }): string => {
  if (now.by === by) return `${by}_${now.direction === 'ascending' ? 'descending' : 'ascending'}`;
  return `${by}_${/_dt$|_on$|_num$/.test(by) ? 'descending' : 'ascending'}`;
};

/**
 * The order of a list, as the address says it: `?sort=created_dt_ascending`.
 *
 * @param known all orders that the service has for this list; the first one is what it takes by itself.
 */
export const useSorting = <Sort extends string>(known: readonly [Sort, ...Sort[]]): { sort: Sort; sorting: Sorting } => {
  const [query, change] = useQueryOfPage();
  const [usual] = known;
  const now = sortingOf(query.get('sort'), known) ?? sortingOf(usual, known);
  if (!now) throw new Error(`${usual} has no direction`);
  return {
    sort: now.sort,
    sorting: {
      by: now.by,
      isDescending: now.direction === 'descending',
      onChange: (by) => {
        const next = nextSort(by, now);
        change({ sort: next === usual ? '' : next });
      },
    },
  };
};
