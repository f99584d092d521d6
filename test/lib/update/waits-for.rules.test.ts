import { expect, it } from 'vitest';
import { addSeconds } from '../../../lib/clock.ts';
import { offerTimesOf } from '../../../lib/ddi/poll-interval.ts';
import { type WaitFacts, waitsFor } from '../../../lib/update/waits-for.ts';
import { startOfTime as now } from '../../support/fixtures.ts';

const soon = addSeconds(now, 60);
const earlier = addSeconds(now, -60);
const longAgo = addSeconds(now, -86_400);

/** Nothing stands in its way but its turn. */
const facts: WaitFacts = {
  ...{ phase: 'waiting', channel: 'telematics', reason: null, is_canary: false, sent_dt: null, next_attempt_dt: null, last_seen_dt: null },
  ...{
    update_status: 'IN_PROGRESS',
    start_dt: null,
    paused_dt: null,
    due_dt: soon,
    released_dt: null,
    firmware_status: 'available',
    is_canary_open: false,
    opening: { isOpen: true },
    is_budget_full: false,
  },
  ...{ gate_failures: 0, gate_closed_until: null },
};

it.each([
  ['its turn', {}, { cause: 'PACE' }],
  [
    'its chunk, which is sent again after five minutes if its message is lost',
    { phase: 'released', released_dt: earlier },
    { cause: 'HANDOVER', since_dt: earlier, until_dt: addSeconds(now, 240) },
  ],
  [
    'a backend that is away, though its chunk has gone',
    { phase: 'released', released_dt: earlier, gate_failures: 1 },
    { cause: 'BACKEND' },
  ],
  ['its turn, when the step is due since a minute', { due_dt: earlier }, { cause: 'PACE' }],
  [
    'the step, when it is due since more than a minute',
    { due_dt: addSeconds(now, -61) },
    { cause: 'STEP', since_dt: addSeconds(now, -61) },
  ],
  ['the step of its update, which is late', { due_dt: longAgo }, { cause: 'STEP', since_dt: longAgo }],
  ['the step that ends it, which is late', { update_status: 'ABORTED', due_dt: longAgo }, { cause: 'STEP', since_dt: longAgo }],
  [
    'a resume, which sends the late step again',
    { update_status: 'PAUSED', paused_dt: earlier, due_dt: longAgo },
    { cause: 'RESUME', since_dt: earlier },
  ],
  ['the start of the update', { update_status: 'SCHEDULED', start_dt: soon }, { cause: 'START', until_dt: soon }],
  ['a resume', { update_status: 'PAUSED', paused_dt: earlier }, { cause: 'RESUME', since_dt: earlier }],
  ['the canary', { is_canary_open: true }, { cause: 'CANARY' }],
  ['its turn, when it is of the canary', { is_canary_open: true, is_canary: true }, { cause: 'PACE' }],
  ['its next try', { reason: 'RETRY: DEVICE_FAILED', next_attempt_dt: soon }, { cause: 'RETRY', until_dt: soon }],
  ['what the backend has put off', { reason: 'DEFERRED: in a ride', next_attempt_dt: soon }, { cause: 'DEFERRAL', until_dt: soon }],
  ['its turn, once that is over', { reason: 'DEFERRED: in a ride', next_attempt_dt: earlier }, { cause: 'PACE' }],
  ['a backend that is away', { gate_failures: 3, gate_closed_until: soon }, { cause: 'BACKEND', until_dt: soon }],
  ['a backend that is asked whether it is back', { gate_failures: 3, gate_closed_until: earlier }, { cause: 'BACKEND', until_dt: null }],
  ['the answer of the backend', { phase: 'calling', sent_dt: earlier }, { cause: 'BACKEND', since_dt: earlier }],
  ['a poll of a device that was not seen for a day', { channel: 'iot', last_seen_dt: longAgo }, { cause: 'POLL', since_dt: longAgo }],
  ['the first poll ever', { channel: 'iot' }, { cause: 'POLL', since_dt: null }],
  ['its device to come for it', { channel: 'iot', phase: 'offered', last_seen_dt: earlier }, { cause: 'POLL', since_dt: earlier }],
  [
    'its turn, when its device polls, whatever the backend does',
    { channel: 'iot', last_seen_dt: earlier, gate_failures: 3 },
    { cause: 'PACE' },
  ],
  ['its device', { phase: 'asked', sent_dt: earlier }, { cause: 'DEVICE', since_dt: earlier }],
  ['its end, when the update was canceled', { update_status: 'CANCELED' }, { cause: 'END' }],
  [
    'a resume, when the file is lost',
    { update_status: 'PAUSED', paused_dt: earlier, firmware_status: 'lost' },
    { cause: 'RESUME', since_dt: earlier },
  ],
  ['its end, when the firmware was withdrawn', { firmware_status: 'withdrawn' }, { cause: 'END' }],
] as const)('waits for %s', (_, change, expected) => {
  expect(waitsFor({ ...facts, ...change }, now, { aliveSeconds: 1_050 })).toEqual({
    until_dt: null,
    since_dt: null,
    place: null,
    ...expected,
  });
});

it('waits for nothing when it has ended', () => {
  expect(waitsFor({ ...facts, phase: 'ended' }, now, { aliveSeconds: 1_050 })).toBeNull();
});

it('waits for its turn, not for a poll, when it polls as often as it is to', () => {
  const polled = { ...facts, channel: 'iot', last_seen_dt: addSeconds(now, -40_000) };
  // Every four hours: two polls and a half, and the five minutes within which a poll is not written.
  expect(waitsFor(polled, now, offerTimesOf({ idleSeconds: 14_400, waitingSeconds: 30 }))?.cause).toBe('POLL');
  expect(waitsFor(polled, now, offerTimesOf({ idleSeconds: 21_600, waitingSeconds: 30 }))?.cause).toBe('PACE');
});
