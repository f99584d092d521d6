import { useQuery } from '@tanstack/react-query';
import { useApi } from '../api.ts';

/** The newest 500 that a device can be updated to. */
export const useAvailableFirmwares = () => {
  const api = useApi();
  return useQuery({
    queryKey: ['firmwares', 'available'],
    queryFn: async ({ signal }) => (await api.listFirmwares({ status: 'available', limit: 500 }, { signal })).items,
    staleTime: 5_000,
  });
};
