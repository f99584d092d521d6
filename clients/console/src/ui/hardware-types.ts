import { queryOptions, useQuery } from '@tanstack/react-query';
import type { Client, HardwareType } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';

/** There are a dozen of them, and they seldom change. */
export const hardwareTypesQuery = (api: Client) =>
  queryOptions({
    queryKey: ['hardware types'],
    queryFn: async ({ signal }): Promise<readonly HardwareType[]> => (await api.listHardwareTypes({ limit: 500 }, { signal })).items,
    staleTime: 300_000,
  });

const none: readonly HardwareType[] = [];

export const useHardwareTypes = (): readonly HardwareType[] => useQuery(hardwareTypesQuery(useApi())).data ?? none;
