import { useInfiniteQuery } from '@tanstack/react-query';

interface PageOfItems {
  items: unknown[];
  next_cursor: string | null;
}

/** How soon to ask again; perhaps what is shown tells. */
type Poll<Page extends PageOfItems> = number | false | ((items: Page['items']) => number | false);

/**
 * A list of any length, a page at a time as it is asked for. It is asked for again every so often while its first page alone is shown: a
 * reader who went on below has chosen what to look at.
 */
export const useList = <Page extends PageOfItems>(
  key: readonly unknown[],
  list: (page: { cursor?: string; limit: number }, options: { signal: AbortSignal }) => Promise<Page>,
  { limit = 50, pollMilliseconds = false, isEnabled = true }: { limit?: number; pollMilliseconds?: Poll<Page>; isEnabled?: boolean } = {},
) => {
  const query = useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam, signal }) => list({ limit, ...(pageParam !== null && { cursor: pageParam }) }, { signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (page: Page) => page.next_cursor,
    refetchInterval: ({ state }) => {
      const [first, ...others] = state.data?.pages ?? [];
      if (others.length > 0) return false;
      return typeof pollMilliseconds === 'function' ? pollMilliseconds(first?.items ?? []) : pollMilliseconds;
    },
    enabled: isEnabled,
    // While a filter changes, the old rows stay until the new ones are there: nothing jumps. `isPlaceholderData` says so.
    placeholderData: (before) => before,
  });
  const items: Page['items'][number][] | undefined = query.data?.pages.flatMap((page) => page.items);
  return { ...query, items };
};
