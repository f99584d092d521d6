import type { ActionFeedback } from './protocol.ts';

/** What a device says of an action, in our words. */
export type Word = 'installed' | 'failed' | 'declined' | 'canceled' | 'at_work';

/**
 * As hawkBit understands it (its class DdiRootController), but for `rejected`, which it only notes: a device that will not install is asked
 * no more. `closed` with `none` counts as success there and here. hawkBit refuses a result that is missing or no word of the protocol; the
 * device would send it again for ever, so here it is taken for a failure.
 */
export const wordOf = ({ status: { execution, result } }: ActionFeedback): Word => {
  switch (execution) {
    case 'closed':
      return isSuccess(result) ? 'installed' : 'failed';
    case 'canceled':
      return 'canceled';
    case 'rejected':
      return 'declined';
    default:
      return 'at_work';
  }
};

/**
 * What a device answers when it is asked to stop. As hawkBit understands it, but that `canceled` is taken at its word, too: hawkBit
 * leaves such an action open for ever.
 */
export const cancelWordOf = ({ status: { execution, result } }: ActionFeedback): 'canceled' | 'goes_on' | 'at_work' => {
  if (execution === 'canceled') return 'canceled';
  if (execution === 'rejected') return 'goes_on';
  if (execution === 'closed') return isSuccess(result) ? 'canceled' : 'goes_on';
  return 'at_work';
};

type Result = ActionFeedback['status']['result'];

const isSuccess = ({ finished }: Result): boolean => finished === 'success' || finished === 'none';

/** In the device's own words, and what it said instead of how it has ended; null: it said nothing. */
export const detailOf = ({ status: { execution, result, details } }: ActionFeedback): string | null => {
  const isUnclear = execution === 'closed' && result.finished === null;
  const lines = isUnclear ? [`closed, but result.finished is neither success, failure nor none: ${result.sent}`, ...details] : details;
  const text = lines.join('\n');
  return text.trim() === '' ? null : text;
};
