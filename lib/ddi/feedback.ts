import type { ActionFeedback } from './protocol.ts';

/** What a device says of an action, in our words. */
export type Word = 'installed' | 'failed' | 'declined' | 'canceled' | 'at_work';

/**
 * As hawkBit understands it (its class DdiDeploymentBase), but for `rejected`, which it only notes: a device that will not install is asked no
 * more. `closed` with neither success nor failure counts as success, of which the version seen afterwards is the judge.
 */
export const wordOf = ({ status: { execution, result } }: ActionFeedback): Word => {
  switch (execution) {
    case 'closed':
      return result.finished === 'failure' ? 'failed' : 'installed';
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
  if (execution === 'closed') return result.finished === 'failure' ? 'goes_on' : 'canceled';
  return 'at_work';
};
