import { useQueryOfPage } from '../location.ts';
import { nextSort, sortingOf } from './sort.ts';
import type { Sorting } from './table.tsx';

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
