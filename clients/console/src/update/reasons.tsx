import type { UpdateDetail } from '../../../api/src/index.ts';
import { formatNumber } from '../format.ts';
import { text } from '../text.ts';
import { Section } from '../ui/page.tsx';
import { ExecutionBadge, type ExecutionStatus } from '../ui/status.tsx';

type Reason = UpdateDetail['reasons'][number];

/** Why devices are where they are, in their own words, the most frequent first; who simply succeeded or waits says nothing. */
export const tellingReasons = (reasons: readonly Reason[]): Reason[] =>
  reasons.filter(({ reason, texts }) => reason !== null || texts.length > 0).toSorted((a, b) => b.count - a.count);

export const Reasons = ({
  update,
  onChoose,
}: {
  update: UpdateDetail;
  onChoose: (status: ExecutionStatus, reason: string | undefined) => void;
}) => {
  const telling = tellingReasons(update.reasons);
  if (telling.length === 0) return null;
  const most = Math.max(...telling.map(({ count }) => count));
  return (
    <Section title={text.update.reasons}>
      <ol className="reasons">
        {telling.map(({ status, reason, count, texts }) => (
          <li key={`${status} ${reason}`}>
            <span className="of">
              <ExecutionBadge status={status} />
              <button type="button" className="as-link" onClick={() => onChoose(status, reason ?? undefined)}>
                {reason === null ? text.update.noReason : text.spoken(reason)}
              </button>
              <strong className="number">{formatNumber(count)}</strong>
            </span>
            <svg className="length" viewBox="0 0 100 4" preserveAspectRatio="none" height="4" aria-hidden="true">
              <rect className={`fill-${status.toLowerCase()}`} width={Math.max(0.5, (100 * count) / most)} height="4" />
            </svg>
            {texts.length > 0 && (
              <ul className="words">
                {texts.map((each) => (
                  <li key={each.text}>
                    <q>{text.spoken(each.text)}</q> {each.count > 1 && <span className="small">{formatNumber(each.count)}×</span>}
                  </li>
                ))}
              </ul>
            )}
          </li>
        ))}
      </ol>
    </Section>
  );
};
