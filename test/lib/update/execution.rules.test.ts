import { describe, expect, it } from 'vitest';
import {
  type ExecutionEvent,
  type ExecutionStatus,
  executionEvents,
  executionStatuses,
  grantsRetry,
  isUnfinished,
  retryDelaySeconds,
  transitions,
} from '../../../lib/update/execution.ts';

/** Written by hand: status, effect and reason; `-`: the event changes nothing. */
const table = `
              accepted     deferred                  refused                         started      proven     mismatched                    failed                     declined                        overdue                       canceled  offered            unclaimed         taken        installed                         cancel_requested                    cancel_refused
  QUEUED      IN_PROGRESS  QUEUED/wait/DEFERRED      REJECTED/retry/BACKEND_REJECTED IN_PROGRESS  SUCCEEDED  FAILED/retry/VERSION_MISMATCH FAILED/retry/DEVICE_FAILED REJECTED/retry/DEVICE_REJECTED TIMED_OUT/QUEUED_TOO_LONG     CANCELED   QUEUED/offer       QUEUED/wait       IN_PROGRESS  -                                 -                                   -
  IN_PROGRESS IN_PROGRESS  IN_PROGRESS/wait/DEFERRED REJECTED/retry/BACKEND_REJECTED IN_PROGRESS  SUCCEEDED  FAILED/retry/VERSION_MISMATCH FAILED/retry/DEVICE_FAILED REJECTED/retry/DEVICE_REJECTED TIMED_OUT/retry/NOT_CONFIRMED CANCELED   IN_PROGRESS/offer  IN_PROGRESS/wait  IN_PROGRESS  IN_PROGRESS/prove/AWAITING_PROOF  IN_PROGRESS/stop/CANCEL_REQUESTED   IN_PROGRESS/go_on/CANCEL_REFUSED
  SUCCEEDED   -            -                         -                               -            -          -                             -                          -                               -                             -         -                  -                 -            -                                 -                                   -
  FAILED      -            -                         -                               -            -          -                             -                          -                               -                             -         -                  -                 -            -                                 -                                   -
  TIMED_OUT   -            -                         -                               -            -          -                             -                          -                               -                             -         -                  -                 -            -                                 -                                   -
  REJECTED    -            -                         -                               -            -          -                             -                          -                               -                             -         -                  -                 -            -                                 -                                   -
  CANCELED    -            -                         -                               -            -          -                             -                          -                               -                             -         -                  -                 -            -                                 -                                   -
  REMOVED     -            -                         -                               -            -          -                             -                          -                               -                             -         -                  -                 -            -                                 -                                   -
`;

const [head = [], ...rows] = table
  .trim()
  .split('\n')
  .map((line) => line.trim().split(/\s+/));
const combinations = rows.flatMap(([status = '', ...next]) =>
  next.map((to, i) => [status as ExecutionStatus, head[i] as ExecutionEvent, to] as const),
);

describe('the state machine of an execution', () => {
  it('has every status and every event in the table of this test', () => {
    expect(head).toEqual(executionEvents);
    expect(rows.map(([status]) => status)).toEqual(executionStatuses);
    expect(combinations).toHaveLength(128);
  });

  it.each(combinations)('%s and %s: %s', (status, event, to) => {
    const transition = transitions[status][event];
    expect([transition?.to ?? '-', transition?.effect, transition?.reason].filter(Boolean).join('/')).toBe(to);
  });

  it('grants as many tries as the update says, for the ends it says', () => {
    const policy = { number_of_retries: 2, retry_failure_types: ['FAILED'] };
    expect([0, 1, 2].map((retries) => grantsRetry(policy, retries, 'FAILED'))).toEqual([true, true, false]);
    expect(grantsRetry(policy, 0, 'TIMED_OUT')).toBe(false);
  });

  it('waits twice as long before each retry, up to four hours', () => {
    expect([0, 1, 2, 3, 8, 10].map((retries) => retryDelaySeconds(retries))).toEqual([60, 120, 240, 480, 14_400, 14_400]);
  });

  it.each([
    ['QUEUED', true],
    ['IN_PROGRESS', true],
    ['SUCCEEDED', false],
    ['FAILED', false],
    ['TIMED_OUT', false],
    ['REJECTED', false],
    ['CANCELED', false],
    ['REMOVED', false],
  ] as const)('%s is unfinished: %s', (status, unfinished) => {
    expect(isUnfinished(status)).toBe(unfinished);
  });
});
