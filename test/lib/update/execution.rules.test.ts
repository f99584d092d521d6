import { describe, expect, it } from 'vitest';
import {
  type ExecutionEvent,
  executionEvents,
  grantsRetry,
  isUnfinished,
  moveOf,
  type Phase,
  phases,
  retryDelaySeconds,
  transitions,
} from '../../../lib/update/execution.ts';

/** Written by hand: the phase, then the status, reason and effect if the event sets one; `-` for a reason: none is left. */
const table = `
  waiting
    released          released   hand_over
    offered           offered    hand_over
    started           waiting    IN_PROGRESS
    proven            ended      SUCCEEDED -
    mismatched        ended      FAILED VERSION_MISMATCH retriable
    failed            ended      FAILED DEVICE_FAILED retriable
    declined          ended      REJECTED DEVICE_REJECTED retriable
    overdue           ended      TIMED_OUT QUEUED_TOO_LONG
    retried           waiting    IN_PROGRESS RETRY retry
    canceled          ended      CANCELED UPDATE_CANCELED
    removed           ended      REMOVED RETIRED_DEVICE
  released
    claimed           calling    send
    withheld          waiting    hold_back
    started           released   IN_PROGRESS
    proven            ended      SUCCEEDED -
    mismatched        ended      FAILED VERSION_MISMATCH retriable
    failed            ended      FAILED DEVICE_FAILED retriable
    declined          ended      REJECTED DEVICE_REJECTED retriable
    overdue           ended      TIMED_OUT QUEUED_TOO_LONG
    retried           waiting    IN_PROGRESS RETRY retry
    canceled          ended      CANCELED UPDATE_CANCELED
    removed           ended      REMOVED RETIRED_DEVICE
  calling
    claimed           calling    send
    withheld          waiting    hold_back
    accepted          asked      IN_PROGRESS - answer
    deferred          waiting    DEFERRED answer
    unanswered        waiting    DEFERRED ask_again
    refused           ended      REJECTED BACKEND_REJECTED answer retriable
    started           asked      IN_PROGRESS -
    proven            ended      SUCCEEDED -
    mismatched        ended      FAILED VERSION_MISMATCH retriable
    failed            ended      FAILED DEVICE_FAILED retriable
    declined          ended      REJECTED DEVICE_REJECTED retriable
    overdue           ended      TIMED_OUT NOT_CONFIRMED retriable
    retried           waiting    IN_PROGRESS RETRY retry
    canceled          ended      CANCELED UPDATE_CANCELED
    removed           ended      REMOVED RETIRED_DEVICE
  offered
    unclaimed         waiting    withdraw
    taken             asked      IN_PROGRESS - send
    started           offered    IN_PROGRESS
    proven            ended      SUCCEEDED -
    mismatched        ended      FAILED VERSION_MISMATCH retriable
    failed            ended      FAILED DEVICE_FAILED retriable
    declined          ended      REJECTED DEVICE_REJECTED retriable
    overdue           ended      TIMED_OUT QUEUED_TOO_LONG
    retried           waiting    IN_PROGRESS RETRY retry
    canceled          ended      CANCELED UPDATE_CANCELED
    removed           ended      REMOVED RETIRED_DEVICE
  asked
    installed         installed  AWAITING_PROOF
    cancel_requested  canceling  CANCEL_REQUESTED
    proven            ended      SUCCEEDED -
    mismatched        ended      FAILED VERSION_MISMATCH retriable
    failed            ended      FAILED DEVICE_FAILED retriable
    declined          ended      REJECTED DEVICE_REJECTED retriable
    overdue           ended      TIMED_OUT NOT_CONFIRMED retriable
    retried           waiting    IN_PROGRESS RETRY retry
    canceled          ended      CANCELED UPDATE_CANCELED
    removed           ended      REMOVED RETIRED_DEVICE
  canceling
    installed         installed  AWAITING_PROOF
    cancel_refused    asked      CANCEL_REFUSED go_on
    proven            ended      SUCCEEDED -
    mismatched        ended      FAILED VERSION_MISMATCH retriable
    failed            ended      FAILED DEVICE_FAILED retriable
    declined          ended      REJECTED DEVICE_REJECTED retriable
    overdue           ended      TIMED_OUT NOT_CONFIRMED retriable
    retried           waiting    IN_PROGRESS RETRY retry
    canceled          ended      CANCELED UPDATE_CANCELED
    removed           ended      REMOVED RETIRED_DEVICE
  installed
    proven            ended      SUCCEEDED -
    mismatched        ended      FAILED VERSION_MISMATCH retriable
    failed            ended      FAILED DEVICE_FAILED retriable
    declined          ended      REJECTED DEVICE_REJECTED retriable
    overdue           ended      TIMED_OUT NOT_CONFIRMED retriable
    retried           waiting    IN_PROGRESS RETRY retry
    canceled          ended      CANCELED UPDATE_CANCELED
    removed           ended      REMOVED RETIRED_DEVICE
  ended
`;

const expected = new Map<string, string>();
let from = '';
for (const line of table.split('\n').filter((each) => each.trim() !== '')) {
  const [word = '', ...rest] = line.trim().split(/\s+/);
  if (rest.length === 0) from = word;
  else expected.set(`${from} ${word}`, rest.join(' '));
}
const combinations = phases.flatMap((phase) => executionEvents.map((event) => [phase, event] as const));

const written = (phase: Phase, event: ExecutionEvent): string | undefined => {
  const transition = transitions[phase][event];
  if (!transition) return undefined;
  const { to, status, reason, effect, mayRetry } = transition;
  return [to, status, reason === null ? '-' : reason, effect, mayRetry && 'retriable'].filter(Boolean).join(' ');
};

describe('the state machine of an execution', () => {
  it.each(combinations)('%s and %s', (phase, event) => {
    expect(written(phase, event)).toBe(expected.get(`${phase} ${event}`));
  });

  it('has nothing that the table of this test has not', () => {
    expect(combinations.filter(([phase, event]) => written(phase, event) !== undefined)).toHaveLength(expected.size);
  });

  it('leads to every phase, and uses every event', () => {
    const made = combinations.flatMap(([phase, event]) => transitions[phase][event] ?? []);
    expect([...new Set(made.map(({ to }) => to))].sort()).toEqual([...phases].sort());
    expect(executionEvents.filter((event) => !phases.some((phase) => transitions[phase][event]))).toEqual([]);
  });

  it('never goes back to QUEUED, and ends with a status that is an end', () => {
    for (const { to, status } of combinations.flatMap(([phase, event]) => transitions[phase][event] ?? [])) {
      expect(status).not.toBe('QUEUED');
      if (to === 'ended') expect(['SUCCEEDED', 'FAILED', 'TIMED_OUT', 'REJECTED', 'CANCELED', 'REMOVED']).toContain(status);
    }
  });

  const asked = { phase: 'asked', retries: 0, may_retry: true, number_of_retries: 2, retry_failure_types: ['FAILED'] } as const;
  const now = new Date('2026-11-24T08:00:00.000Z');

  it('is tried again in place of an end that the update tries again, a minute later', () => {
    expect(moveOf(asked, 'failed', now)).toMatchObject({
      ...{ from: 'asked', event: 'retried', to: 'waiting', status: 'IN_PROGRESS', reason: 'RETRY: DEVICE_FAILED' },
      next_attempt_dt: new Date('2026-11-24T08:01:00.000Z'),
    });
  });

  it.each([
    ['the tries are used up', { retries: 2 }, 'failed', 'FAILED'],
    ['the update has been stopped', { may_retry: false }, 'failed', 'FAILED'],
    ['the update does not try this end again', {}, 'overdue', 'TIMED_OUT'],
    ['nobody was asked', { phase: 'waiting', retry_failure_types: ['TIMED_OUT'] }, 'overdue', 'TIMED_OUT'],
  ] as const)('is not tried again when %s', (_, what, event, status) => {
    expect(moveOf({ ...asked, ...what }, event, now)).toMatchObject({ event, to: 'ended', status, next_attempt_dt: null });
  });

  it('does not move by what the table has not', () => {
    expect(moveOf(asked, 'released', now)).toBeUndefined();
    expect(moveOf({ ...asked, phase: 'ended' }, 'proven', now)).toBeUndefined();
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
