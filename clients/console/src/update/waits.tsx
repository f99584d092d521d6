import { useQuery } from '@tanstack/react-query';
import { type UpdateDetail, waitsOf } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { text } from '../text.ts';

/** Why nothing happens, or not yet to all: what those wait for that nobody has asked, as far as the first of them tell. */
export const Waits = ({ update: { id, counts, finished_dt } }: { update: UpdateDetail }) => {
  const api = useApi();
  const isOpen = finished_dt === null && counts.QUEUED > 0;
  const { data: waits } = useQuery({
    queryKey: ['update', id, 'waits'],
    queryFn: ({ signal }) => waitsOf(api, id, { signal }),
    enabled: isOpen,
    refetchInterval: isOpen ? 30_000 : false,
  });
  const seen = waits?.reduce((sum, { count }) => sum + count, 0) ?? 0;
  // That others are before it is what the pace says above.
  const held = waits?.filter(({ cause }) => cause !== 'PACE') ?? [];
  if (!isOpen || held.length === 0) return null;
  return (
    <div className="left-out">
      <p>{seen < counts.QUEUED ? text.update.firstWait(seen, counts.QUEUED) : text.update.allWait(counts.QUEUED)}</p>
      <ul>
        {held.map((wait) => (
          <li key={wait.cause}>{text.update.waitOf(wait)}</li>
        ))}
      </ul>
    </div>
  );
};
