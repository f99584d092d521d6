import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isOpen, nextOpening } from '../../../lib/fleet/local-time.ts';
import { type DayOfWeek, daysOfWeek } from '../../../lib/fleet/maintenance-window.ts';

const window = (from: string, until: string, days: readonly DayOfWeek[] = daysOfWeek) => ({ from, until, days: [...days] });
const local = (time_zone: string, ...windows: ReturnType<typeof window>[]) => ({ time_zone, windows });
const at = (text: string) => new Date(text);

describe('a window on a day like any other', () => {
  // Moscow is three hours ahead of UTC all year.
  const night = local('Europe/Moscow', window('02:00', '05:00'));

  it.each([
    ['before it opens', '2026-11-25T22:59:59.999Z', false],
    ['at the moment it opens', '2026-11-25T23:00:00Z', true],
    ['a moment before it closes', '2026-11-26T01:59:59.999Z', true],
    ['at the moment it closes', '2026-11-26T02:00:00Z', false],
  ])('%s', (_, moment, expected) => {
    expect(isOpen(night, at(moment))).toBe(expected);
  });

  it('opens next today, tomorrow, or is open', () => {
    expect(nextOpening(night, at('2026-11-25T20:00:00Z'))).toEqual(at('2026-11-25T23:00:00Z'));
    expect(nextOpening(night, at('2026-11-26T02:00:00Z'))).toEqual(at('2026-11-26T23:00:00Z'));
    expect(nextOpening(night, at('2026-11-26T00:30:00Z'))).toEqual(at('2026-11-26T00:30:00Z'));
  });

  it('across midnight belongs to the day on which it opens', () => {
    const friday = local('Europe/Moscow', window('22:00', '02:00', ['friday']));
    // 2026-11-27 is a Friday: 22:00 there is 19:00 UTC, and 01:59 on Saturday 22:59 UTC.
    expect(isOpen(friday, at('2026-11-27T18:59:00Z'))).toBe(false);
    expect(isOpen(friday, at('2026-11-27T19:00:00Z'))).toBe(true);
    expect(isOpen(friday, at('2026-11-27T22:59:00Z'))).toBe(true);
    expect(isOpen(friday, at('2026-11-27T23:00:00Z'))).toBe(false);
    // The early hours of Friday belong to Thursday.
    expect(isOpen(friday, at('2026-11-26T22:00:00Z'))).toBe(false);
    expect(nextOpening(friday, at('2026-11-27T23:00:00Z'))).toEqual(at('2026-12-04T19:00:00Z'));
  });

  it('is open without any window, and where all of several are open', () => {
    expect(isOpen(local('Europe/Moscow'), at('2026-11-26T12:00:00Z'))).toBe(true);
    const both = local('Europe/Moscow', window('01:00', '04:00'), window('03:00', '06:00'));
    expect(isOpen(both, at('2026-11-25T23:00:00Z'))).toBe(false);
    expect(nextOpening(both, at('2026-11-25T23:00:00Z'))).toEqual(at('2026-11-26T00:00:00Z'));
  });

  it('never opens where several have no time in common', () => {
    expect(nextOpening(local('UTC', window('01:00', '02:00'), window('03:00', '04:00')), at('2026-11-25T23:00:00Z'))).toBeNull();
  });
});

describe('summer time', () => {
  // Jerusalem 2026: on Friday 27 March 02:00 becomes 03:00, on Sunday 25 October 02:00 becomes 01:00 again.
  it('begins in Jerusalem: what opens at a time that is left out opens when the clock has jumped', () => {
    const night = local('Asia/Jerusalem', window('02:15', '05:00'));
    expect(nextOpening(night, at('2026-03-26T12:00:00Z'))).toEqual(at('2026-03-27T00:00:00Z'));
    expect(isOpen(night, at('2026-03-26T23:59:59Z'))).toBe(false);
    expect(isOpen(night, at('2026-03-27T00:00:00Z'))).toBe(true);
    expect(isOpen(night, at('2026-03-27T01:59:59Z'))).toBe(true);
    expect(isOpen(night, at('2026-03-27T02:00:00Z'))).toBe(false);
  });

  it('begins in Jerusalem: a window that is left out as a whole does not open on that day', () => {
    expect(nextOpening(local('Asia/Jerusalem', window('02:15', '02:45')), at('2026-03-26T12:00:00Z'))).toEqual(at('2026-03-27T23:15:00Z'));
  });

  it('ends in Jerusalem: an hour that comes twice is open twice', () => {
    const night = local('Asia/Jerusalem', window('01:00', '01:30'));
    expect(nextOpening(night, at('2026-10-24T12:00:00Z'))).toEqual(at('2026-10-24T22:00:00Z'));
    expect(isOpen(night, at('2026-10-24T22:30:00Z'))).toBe(false);
    expect(nextOpening(night, at('2026-10-24T22:30:00Z'))).toEqual(at('2026-10-24T23:00:00Z'));
    expect(isOpen(night, at('2026-10-24T23:29:59Z'))).toBe(true);
    expect(isOpen(night, at('2026-10-24T23:30:00Z'))).toBe(false);
  });

  // Chatham 2026: on Sunday 5 April 03:45 (+13:45) becomes 02:45 (+12:45), on Sunday 27 September 02:45 becomes 03:45.
  it('begins on Chatham, at a quarter to three', () => {
    const night = local('Pacific/Chatham', window('03:00', '05:00'));
    expect(nextOpening(night, at('2026-09-26T12:00:00Z'))).toEqual(at('2026-09-26T14:00:00Z'));
    expect(isOpen(night, at('2026-09-26T15:14:59Z'))).toBe(true);
    expect(isOpen(night, at('2026-09-26T15:15:00Z'))).toBe(false);
  });

  it('ends on Chatham: across the hour that comes twice the window stays open', () => {
    const night = local('Pacific/Chatham', window('02:00', '05:00'));
    expect(nextOpening(night, at('2026-04-04T06:00:00Z'))).toEqual(at('2026-04-04T12:15:00Z'));
    expect(isOpen(night, at('2026-04-04T14:30:00Z'))).toBe(true);
    expect(isOpen(night, at('2026-04-04T16:14:59Z'))).toBe(true);
    expect(isOpen(night, at('2026-04-04T16:15:00Z'))).toBe(false);
  });

  // São Paulo gave summer time up in 2019. Before, it began at midnight: on Sunday 4 November 2018 00:00 became 01:00.
  it('began in São Paulo at midnight: a window across it opened on the day before', () => {
    const night = local('America/Sao_Paulo', window('23:30', '02:00'));
    expect(nextOpening(night, at('2018-11-03T20:00:00Z'))).toEqual(at('2018-11-04T02:30:00Z'));
    expect(isOpen(night, at('2018-11-04T03:00:00Z'))).toBe(true);
    expect(isOpen(night, at('2018-11-04T03:59:59Z'))).toBe(true);
    expect(isOpen(night, at('2018-11-04T04:00:00Z'))).toBe(false);
  });

  it('ended in São Paulo at midnight: on Sunday 17 February 2019 the last hour of Saturday came twice', () => {
    const night = local('America/Sao_Paulo', window('23:30', '00:30', ['saturday']));
    expect(nextOpening(night, at('2019-02-16T20:00:00Z'))).toEqual(at('2019-02-17T01:30:00Z'));
    expect(isOpen(night, at('2019-02-17T02:15:00Z'))).toBe(false);
    expect(nextOpening(night, at('2019-02-17T02:15:00Z'))).toEqual(at('2019-02-17T02:30:00Z'));
    expect(isOpen(night, at('2019-02-17T03:29:59Z'))).toBe(true);
    expect(isOpen(night, at('2019-02-17T03:30:00Z'))).toBe(false);
  });

  it('is none in Moscow', () => {
    const night = local('Europe/Moscow', window('02:00', '05:00'));
    for (const day of ['2026-03-28', '2026-10-24']) expect(nextOpening(night, at(`${day}T12:00:00Z`))).toEqual(at(`${day}T23:00:00Z`));
  });
});

it('the next opening is open, and nothing before it is: in every zone, around both changes of the clock', () => {
  const zones = [
    'Europe/Moscow',
    'Asia/Jerusalem',
    'America/Sao_Paulo',
    'Pacific/Chatham',
    'Australia/Lord_Howe',
    'America/New_York',
    'UTC',
  ];
  const minutes = fc.integer({ min: 0, max: 1_439 });
  const text = (minute: number) => `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
  const days = fc.uniqueArray(fc.constantFrom(...daysOfWeek), { minLength: 1 });
  const windows = fc.array(
    fc.record({ from: minutes.map(text), until: minutes.map(text), days }).filter(({ from, until }) => from !== until),
    { minLength: 1, maxLength: 2 },
  );
  // Around the changes of 2026, and of 2018 in São Paulo.
  const changes = ['2018-11-04', '2019-02-17', '2026-03-08', '2026-03-27', '2026-04-04', '2026-09-26', '2026-10-24', '2026-11-01'];
  const moments = fc
    .tuple(fc.constantFrom(...changes), fc.integer({ min: -172_800, max: 172_800 }))
    .map(([day, seconds]) => new Date(at(`${day}T00:00:00Z`).getTime() + seconds * 1_000));
  fc.assert(
    fc.property(fc.constantFrom(...zones), windows, moments, (time_zone, some, moment) => {
      const opening = nextOpening({ time_zone, windows: some }, moment);
      const firstMinute = Math.ceil(moment.getTime() / 60_000);
      const last = opening ? opening.getTime() / 60_000 : firstMinute + 8 * 1_440;
      for (let minute = firstMinute; minute < last; minute += 7) {
        expect(isOpen({ time_zone, windows: some }, new Date(minute * 60_000))).toBe(false);
      }
      if (opening) expect(isOpen({ time_zone, windows: some }, opening)).toBe(true);
    }),
    { numRuns: 60 },
  );
});
