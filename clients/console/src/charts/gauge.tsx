import { formatShare } from '../format.ts';

/** How far a share is from its threshold: a bar up to one and a half times the threshold, with a mark where that is. */
export const Gauge = ({ share, threshold, label }: { share: number; threshold: number; label: string }) => {
  const end = Math.min(1, Math.max(threshold * 1.5, share * 1.1, 0.01));
  const place = (value: number) => (100 * Math.min(value, end)) / end;
  return (
    <svg className="gauge" viewBox="0 0 100 12" height="12" preserveAspectRatio="none" role="img" aria-label={label}>
      <rect className="track" y="3" width="100" height="6" />
      <rect className={share >= threshold ? 'fill-failed' : 'fill-accent'} y="3" width={place(share)} height="6" />
      <rect className="mark" x={Math.min(99.4, place(threshold))} width="0.6" height="12" />
      <title>{`${formatShare(share)} / ${formatShare(threshold)}`}</title>
    </svg>
  );
};
