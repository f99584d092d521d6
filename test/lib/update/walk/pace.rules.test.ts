import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addSeconds } from '../../../../lib/clock.ts';
import { delayUntilNextStep } from '../../../../lib/update/walk/delay.ts';
import { paceWindow } from '../../../../lib/update/walk/pace.ts';
import { startOfTime } from '../../../support/fixtures.ts';

describe('the window of a pace', () => {
  it.each([
    [1, 60, 1],
    [2, 30, 1],
    [3, 20, 1],
    [4, 15, 1],
    [5, 12, 1],
    [6, 10, 1],
    [7, 60, 7],
    [10, 6, 1],
    [12, 5, 1],
    [23, 30, 11],
    [60, 5, 5],
    [61, 5, 5],
    [100, 5, 8],
    [1_000, 5, 83],
    [30_000, 5, 2_500],
    [1_000_000, 5, 83_333],
  ])('%i a minute: in any %i s at most %i commands', (maximumPerMinute, seconds, maximumCommands) => {
    expect(paceWindow(maximumPerMinute)).toEqual({ seconds, maximumCommands });
  });

  it('never lets more than the pace through in a minute, and never less than 95 % of it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), (maximumPerMinute) => {
        const { seconds, maximumCommands } = paceWindow(maximumPerMinute);
        expect(60 % seconds).toBe(0);
        expect(maximumCommands).toBeGreaterThanOrEqual(1);
        expect(maximumCommands * (60 / seconds)).toBeLessThanOrEqual(maximumPerMinute);
        expect(maximumCommands * (60 / seconds)).toBeGreaterThanOrEqual(maximumPerMinute * 0.95);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('the delay until the next step', () => {
  const now = startOfTime;
  const secondsAgo = (seconds: number) => addSeconds(now, -seconds);

  it.each([
    ['devices wait for the pace only: the next second', 0, 0, 1],
    ['devices have waited for the pace for an hour: the next second', 3_600, -60, 1],
    ['a device is due in 4 s: then', 600, 4, 4],
    ['a device is due in 4.2 s: not before', 600, 4.2, 5],
    ['a device is due in an hour: after 30 s all the same, so that an end is seen', 3_600, 3_600, 30],
    ['nothing was released for a while and a device is due much later: a tenth of the while', 100, 3_600, 10],
    ['all devices are asked, just now: the next second', 0, null, 1],
    ['all devices are asked, 90 s ago: 9 s', 90, null, 9],
    ['all devices are asked, a day ago: 30 s', 86_400, null, 30],
    ['the clock went back since the last release: the next second', -50, null, 1],
  ])('%s', (_, releasedSecondsAgo, dueInSeconds, delay) => {
    const next_attempt_dt = dueInSeconds === null ? null : addSeconds(now, dueInSeconds);
    expect(
      delayUntilNextStep({
        now,
        lastReleaseDt: secondsAgo(releasedSecondsAgo),
        remaining: { next_attempt_dt },
        isReleasing: true,
        isAsleep: false,
      }),
    ).toBe(delay);
  });

  it('is always a whole number of seconds that SQS takes, and at least one', () => {
    const seconds = fc.integer({ min: -1_000_000_000, max: 1_000_000_000 }).map((milliseconds) => milliseconds / 1000);
    fc.assert(
      fc.property(seconds, fc.option(seconds), (released, due) => {
        const next_attempt_dt = due === null ? null : addSeconds(now, due);
        const delay = delayUntilNextStep({
          now,
          lastReleaseDt: secondsAgo(released),
          remaining: { next_attempt_dt },
          isReleasing: true,
          isAsleep: false,
        });
        expect(Number.isInteger(delay)).toBe(true);
        expect(delay).toBeGreaterThanOrEqual(1);
        expect(delay).toBeLessThanOrEqual(30);
      }),
      { numRuns: 2_000 },
    );
  });
});
