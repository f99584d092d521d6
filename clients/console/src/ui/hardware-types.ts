import { useQuery } from '@tanstack/react-query';
import type { HardwareType } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';

/** There are a dozen of them, and they seldom change. */
export const useHardwareTypes = (): readonly HardwareType[] => {
  const api = useApi();
  const { data } = useQuery({
    queryKey: ['hardware types'],
    queryFn: ({ signal }) => api.listHardwareTypes({ limit: 500 }, { signal }),
    staleTime: 300_000,
  });
  return data?.items ?? [];
};
