import { useState } from 'react';
import type { ListExclusionsReason, UpdateDetail } from '../../../api/src/index.ts';
import { useApi } from '../api.ts';
import { formatNumber } from '../format.ts';
import { deviceLink } from '../location.ts';
import { text } from '../text.ts';
import { useList } from '../ui/list.ts';
import { Answer } from '../ui/states.tsx';
import { More } from '../ui/table.tsx';
import { totalOf } from './situation.ts';

/** How large a share of what was chosen takes part, and who does not, by reason. */
export const LeftOut = ({ update: { id, not_eligible, counts } }: { update: UpdateDetail }) => {
  const reasons = Object.entries(not_eligible).filter(([, count]) => count > 0);
  const left = reasons.reduce((sum, [, count]) => sum + count, 0);
  if (left === 0) return null;
  const total = totalOf(counts);
  return (
    <>
      <p className="left-out">{text.update.leftOut(total, total + left)}</p>
      <details>
        <summary>{text.update.whoIsLeftOut(left)}</summary>
        <ul className="plan">
          {reasons.map(([reason, count]) => (
            <Reason key={reason} updateId={id} reason={reason as ListExclusionsReason} count={count} />
          ))}
        </ul>
      </details>
    </>
  );
};

const Reason = ({ updateId, reason, count }: { updateId: number; reason: ListExclusionsReason; count: number }) => {
  const [isOpen, setOpen] = useState(false);
  return (
    <li>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>
          <strong className="number">{formatNumber(count)}</strong> {text.eligibility[reason] ?? reason}
        </summary>
        {isOpen && <Devices updateId={updateId} reason={reason} />}
      </details>
    </li>
  );
};

const Devices = ({ updateId, reason }: { updateId: number; reason: ListExclusionsReason }) => {
  const api = useApi();
  const list = useList(
    ['update', updateId, 'exclusions', reason],
    (page, options) => api.listExclusions(updateId, { ...page, reason }, options),
    { limit: 100 },
  );
  return (
    <Answer query={{ ...list, data: list.items }} lines={2}>
      {(items) => (
        <>
          <p className="ids">
            {items.map(({ kind, external_id }) => (
              <span key={external_id}>
                <a href={deviceLink(kind, external_id)}>{external_id}</a>{' '}
              </span>
            ))}
          </p>
          <More query={list} />
        </>
      )}
    </Answer>
  );
};
