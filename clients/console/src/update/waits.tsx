import { useQuery } from '@tanstack/react-query';
import { type UpdateDetail, type Wait, waitsOf } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { text } from '../text.ts';

const none: readonly Wait[] = [];

/** What those wait for that nobody has asked, as far as the first of them tell; none once nobody waits. */
export const useWaits = ({ id, counts, finished_dt }: UpdateDetail): readonly Wait[] => {
  const api = useApi();
  const isOpen = finished_dt === null && counts.QUEUED > 0;
  const { data } = useQuery({
    queryKey: ['update', id, 'waits'],
    queryFn: ({ signal }) => waitsOf(api, id, { signal }),
    enabled: isOpen,
    refetchInterval: isOpen ? 30_000 : false,
  });
  return isOpen ? (data ?? none) : none;
};

/** Why nothing happens, or not yet to all. */
export const Waits = ({ waits, waiting }: { waits: readonly Wait[]; waiting: number }) => {
  const seen = waits.reduce((sum, { count }) => sum + count, 0);
  // That others are before it is what the pace says above.
  const held = waits.filter(({ cause }) => cause !== 'PACE');
  if (held.length === 0) return null;
  return (
    <div className="left-out">
      <p>{seen < waiting ? text.update.firstWait(seen, waiting) : text.update.allWait(waiting)}</p>
      <ul>
        {held.map((wait) => (
          <li key={wait.cause}>{text.update.waitOf(wait)}</li>
        ))}
      </ul>
    </div>
  );
};
