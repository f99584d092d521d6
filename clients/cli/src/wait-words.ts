import type { WaitsFor } from '../../api/src/index.ts';
import { formatNumber, formatTime } from './format.ts';

/** What an execution waits for. Those that come later than this release are told by their name. */
const words: Partial<Record<string, string>> = {
  START: 'the start of the update',
  RESUME: 'somebody to resume the update',
  STEP: 'the next step of the update, which is late',
  CANARY: 'the canary, which goes first',
  WINDOW: 'the maintenance window',
  BUDGET: 'the availability budget of the zone',
  PACE: 'the pace of the update',
  RETRY: 'the next try',
  DEFERRAL: 'the time until which it was put off',
  HANDOVER: 'the command, which is on its way to the backend',
  BACKEND: 'the backend',
  POLL: 'the next poll of the device',
  DEVICE: 'the device, which has to show what it runs',
  END: 'the next step of the update, which ends it',
  APPROVAL: 'the approval of the update',
};

/** `the pace of the update, place 12`; `the next poll of the device, last seen 2026-11-26 04:00:00Z`. */
export const sayWait = ({
  cause,
  since_dt,
  until_dt,
  place,
}: Pick<WaitsFor, 'cause' | 'since_dt' | 'until_dt'> & { place?: number | null }): string =>
  [
    words[cause] ?? cause,
    ...(place == null ? [] : [`place ${formatNumber(place)}`]),
    ...(cause === 'POLL' && since_dt === null ? ['never seen'] : []),
    ...(since_dt === null ? [] : [`${cause === 'POLL' ? 'last seen' : 'since'} ${formatTime(since_dt)}`]),
    ...(until_dt === null ? [] : [`until ${formatTime(until_dt)}`]),
  ].join(', ');
