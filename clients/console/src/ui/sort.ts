// The orders of lists, by the names that the service has for them.

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
