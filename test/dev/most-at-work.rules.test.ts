import { expect, it } from 'vitest';
import { mostAtWork } from '../../dev/most-at-work.ts';

it('counts the devices of each zone that were at work at one moment', () => {
  const stretches = [
    { zone: 'north', device: 'S-1', from: 0, until: 10 },
    { zone: 'north', device: 'S-2', from: 5, until: 15 },
    { zone: 'north', device: 'S-3', from: 9, until: 11 },
    { zone: 'north', device: 'S-4', from: 12, until: 20 },
    { zone: 'south', device: 'S-5', from: 0, until: 100 },
  ];
  expect(mostAtWork(stretches)).toEqual(
    new Map([
      ['north', 3],
      ['south', 1],
    ]),
  );
});

it('counts a device once, however many executions it has, and lets one begin at the moment when another ends', () => {
  const stretches = [
    { zone: 'north', device: 'S-1', from: 0, until: 10 },
    { zone: 'north', device: 'S-1', from: 5, until: 20 },
    { zone: 'north', device: 'S-2', from: 20, until: 30 },
  ];
  expect(mostAtWork(stretches)).toEqual(new Map([['north', 1]]));
  expect(mostAtWork([])).toEqual(new Map());
});
