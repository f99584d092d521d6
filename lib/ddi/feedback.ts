import type { ActionFeedback } from './protocol.ts';

/** What a device says about an action, in this service's words. */
export type Word = 'installed' | 'failed' | 'declined' | 'canceled' | 'at_work';

/**
 * Reads feedback as hawkBit does (its class DdiRootController), with two exceptions. hawkBit only notes `rejected`; here a device that will not
 * install is not asked any more. hawkBit refuses a result that is missing or unknown; the device would send it again for ever, so here it is
 * a failure. `closed` with `none` counts as success there and here.
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
 * Reads what a device answers when it is asked to stop, as hawkBit does, except that `canceled` ends the execution here, too: hawkBit leaves
 * such an action open for ever.
 */
export const cancelWordOf = ({ status: { execution, result } }: ActionFeedback): 'canceled' | 'goes_on' | 'at_work' => {
  if (execution === 'canceled') return 'canceled';
  if (execution === 'rejected') return 'goes_on';
  if (execution === 'closed') return isSuccess(result) ? 'canceled' : 'goes_on';
  return 'at_work';
};

type Result = ActionFeedback['status']['result'];

const isSuccess = ({ finished }: Result): boolean => finished === 'success' || finished === 'none';

/** The device's own words, preceded by an unclear result if it sent one; null: it said nothing. */
export const detailOf = ({ status: { execution, result, details } }: ActionFeedback): string | null => {
  const isUnclear = execution === 'closed' && result.finished === null;
  const lines = isUnclear ? [`closed, but result.finished is neither success, failure nor none: ${result.sent}`, ...details] : details;
  const text = lines.join('\n');
  return text.trim() === '' ? null : text;
};
