import { describe, expect, it } from 'vitest';
import { addSeconds } from '../../../lib/clock.ts';
import { isPlausible, mayBeLate } from '../../../lib/report/device-clock.ts';

const received_dt = new Date('2026-11-24T08:00:00.000Z');
const registered_dt = addSeconds(received_dt, -7 * 86_400);
const heard = { received_dt, registered_dt };
const ago = (seconds: number) => addSeconds(received_dt, -seconds);
const day = 86_400;

describe('a stated time can be right', () => {
  it.each([
    ['confirmation', 0, true],
    ['confirmation', day, true],
    ['confirmation', 7 * day, true],
    ['confirmation', 7 * day + 0.001, false],
    ['confirmation', -0.001, false],
    ['confirmation', -10 * 365 * day, false],
    ['config_data', 60, true],
    ['feedback', 8 * day, false],
    ['observation', 30 * day, true],
    ['observation', 372 * day, true],
    ['observation', 372 * day + 1, false],
    ['observation', -1, false],
    ['package', 4_000 * day, true],
  ] as const)('%s, %f s before it came: %s', (source, seconds, expected) => {
    expect(isPlausible({ ...heard, source, occurred_dt: ago(seconds) })).toBe(expected);
  });

  it('not before the device was registered, unless the backend knew it before', () => {
    const young = { received_dt, registered_dt: ago(60) };
    expect(isPlausible({ ...young, source: 'confirmation', occurred_dt: ago(60) })).toBe(true);
    expect(isPlausible({ ...young, source: 'confirmation', occurred_dt: ago(61) })).toBe(false);
    expect(isPlausible({ ...young, source: 'observation', occurred_dt: ago(61) })).toBe(true);
  });

  it('not before the command that it is an answer to', () => {
    const asked_dt = ago(60);
    expect(isPlausible({ ...heard, asked_dt, source: 'confirmation', occurred_dt: ago(60) })).toBe(true);
    expect(isPlausible({ ...heard, asked_dt, source: 'confirmation', occurred_dt: ago(61) })).toBe(false);
  });
});

it('a report is late by a day at most; what the backend knows may be as old as it likes', () => {
  const late = (seconds: number, source: 'confirmation' | 'observation') => mayBeLate({ source, occurred_dt: ago(seconds) }, ago(0));
  expect([late(0, 'confirmation'), late(day, 'confirmation'), late(day + 1, 'confirmation')]).toEqual([true, true, false]);
  expect(late(30 * day, 'observation')).toBe(true);
});
