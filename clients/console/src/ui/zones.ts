import { useQuery } from '@tanstack/react-query';
import type { Zone } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';

const none: readonly Zone[] = [];

/** To choose among: the first 500. */
export const useZones = (): readonly Zone[] => {
  const api = useApi();
  const { data } = useQuery({
    queryKey: ['zones', 'to choose among'],
    queryFn: async ({ signal }) => (await api.listZones({ limit: 500 }, { signal })).items,
    staleTime: 60_000,
  });
  return data ?? none;
};
