// What the console says of codes, filters and situations.
import { describe, expect, it } from 'vitest';
import type { DryRun } from '../../../clients/api/src/index.ts';
import { text } from '../../../clients/console/src/text.ts';
import { type Draft, emptyDraft } from '../../../clients/console/src/wizard/draft.ts';
import { reasons } from '../../../lib/update/execution.ts';

describe('the console says', () => {
  it('every reason of an execution in words', () => {
    expect(Object.values(reasons).filter((code) => !(code in text.reason))).toEqual([]);
  });

  it('a code in words, with what stands behind it', () => {
    expect(text.spoken('FAILURE_RATE: 20 of 162 devices asked ended as FAILED or TIMED_OUT')).toBe(
      'too many failures: 20 of 162 devices asked ended as failed or timed out',
    );
    expect(text.spoken('REJECTED: not before Friday')).toBe('not approved: not before Friday');
    expect(text.spoken('SUPERSEDED: 17')).toBe('Taken over by update #17');
    expect(text.spoken('REPLACED: 17')).toBe('replaced by update #17');
    expect(text.spoken('QUEUED_TOO_LONG')).toBe('Waited too long for its turn');
    expect(text.spoken('just looking: at it')).toBe('just looking: at it');
    expect(text.spoken('SOMETHING_NEW: 5')).toBe('SOMETHING_NEW: 5');
  });

  it('a filter in one line', () => {
    const filter = { kind: 'scooter', zone: 'north', retired: false } as const;
    expect(text.filterOf({ ...filter, tags: { all: ['night'], none: ['staff'] } })).toBe(
      'scooters, in zone north, tagged night, not tagged staff',
    );
    expect(text.filterOf({ zone: 'none', running: { hardware_type: 'vega_mcu', version: '1.4' } })).toBe(
      'all devices, in no zone, running vega_mcu 1.4',
    );
  });

  it('why nothing happens, where something is known', () => {
    const wait = { cause: 'RETRY', until_dt: null, since_dt: null, place: null } as const;
    expect(text.update.waitOf({ cause: 'RETRY', count: 3, since_dt: null, until_dt: null })).toBe('waits for its next try: 3');
    expect(text.waitsFor({ ...wait, cause: 'PACE', place: 4 })).toBe('waits for its turn, behind 3 others');
    expect(text.waitsFor({ ...wait, cause: 'PACE', place: 1 })).toBe('waits for its turn, as the next one');
  });

  it('what a new update would do, in one sentence, with the windows that hold devices back', () => {
    const later = { zone: 'north', cause: 'WINDOW', opens_dt: '2026-11-27T01:00:00Z', count: 760 } as const;
    const plan = { eligible: 760, when: { now: 0, later: [later] } } as unknown as DryRun;
    const firmware = { hardware_type: 'vega_mcu', version: '1.5.0' };
    const draft = { ...emptyDraft, filter: { ...emptyDraft.filter, zone: 'north' } };
    const say = (changes: Partial<Draft>) =>
      text.wizard.sentence({ draft: { ...draft, ...changes }, firmware, plan, isReady: true, isCounting: false });
    expect(say({})).toBe(
      'Updates 760 scooters of zone north to vega_mcu 1.5.0, 50 first, at most 1,000 a minute, within the windows of their zones; stops when 10 % have failed.',
    );
    expect(say({ window: 'ignore', canary: 'none' })).toBe(
      'Updates 760 scooters of zone north to vega_mcu 1.5.0, at most 1,000 a minute, outside maintenance windows too; stops when 10 % have failed.',
    );
  });

  it('when an update begins that is approved, and who has requested it', () => {
    expect(text.controls.approveSays(2, 'anna', null)).toBe('It begins at once, for 2 devices. Requested by anna.');
    expect(text.controls.approveSays(1, 'anna', '2019-01-01T00:00:00Z')).toBe('It begins at once, for 1 device. Requested by anna.');
    expect(text.controls.approveSays(1, 'anna', '2999-01-01T00:00:00Z')).toMatch(/^It begins \S.*2999.*, for 1 device\./);
  });
});
