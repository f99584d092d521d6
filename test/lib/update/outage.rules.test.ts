import { expect, it } from 'vitest';
import { addSeconds } from '../../../lib/clock.ts';
import { heardSince } from '../../../lib/update/outage.ts';
import { startOfTime } from '../../support/fixtures.ts';

const minute = (n: number) => addSeconds(startOfTime, n * 60);
const outage = (from: number, until: number) => ({ began_dt: minute(from), ended_dt: minute(until) });

it.each([
  ['without an outage', [], 40],
  ['before an outage that has not touched it', [outage(0, 30)], 40],
  ['through an outage that lasts', [outage(70, 100)], 10],
  ['through one that is over', [outage(50, 80)], 10],
  ['through two, in whatever order', [outage(50, 60), outage(80, 90)], 20],
  ['through two in the other order', [outage(80, 90), outage(50, 60)], 20],
  ['through two that overlap, once', [outage(50, 80), outage(60, 90)], 0],
  ['through one within another, once', [outage(50, 90), outage(60, 70)], 0],
  ['through one that began before the deadline could run', [outage(-500, 90)], -550],
] as const)('an hour has been heard since, %s', (_, outages, since) => {
  expect(heardSince(minute(100), 3_600, [...outages])).toEqual(minute(since));
});
