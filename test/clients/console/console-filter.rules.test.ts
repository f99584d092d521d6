// Which devices are meant, as it is filled in, as it stands in an address, and as the service is asked.
import { describe, expect, it } from 'vitest';
import {
  emptyFilter,
  type FilterDraft,
  filterFromQuery,
  findWrongInFilter,
  fromFilter,
  isEditable,
  isEmptyFilter,
  queryOfFilter,
  toFilter,
  toListParameters,
  wordsOf,
} from '../../../clients/console/src/filter/filter.ts';

const catalogue = [
  { id: 3, hardware_type: 'vega_mcu', version: '1.4.2' },
  { id: 5, hardware_type: 'vega_mcu', version: '1.5.0' },
  { id: 6, hardware_type: 'vega_gsm', version: '1.5.0' },
];
const full: FilterDraft = {
  ...{ kind: 'scooter', id: 'S-0', generation: '2', channel: 'telematics', zone: 'north', tags: 'night, beta', any_tags: 'a b' },
  ...{ no_tags: 'c', revision: ' r2 ', compare: 'running', type: 'vega_mcu', of: '1.4.2', not_seen_days: '7', retired: 'false' },
};

describe('a filter', () => {
  it('survives the way into an address and back, and unknown words count as nothing', () => {
    expect(filterFromQuery(new URLSearchParams(queryOfFilter(full)))).toEqual(full);
    expect(queryOfFilter(emptyFilter)).toEqual({});
    const odd = filterFromQuery(new URLSearchParams('kind=boat&compare=like&zone=north&page=3'));
    expect(odd).toEqual({ ...emptyFilter, zone: 'north' });
    expect([isEmptyFilter(emptyFilter), isEmptyFilter(odd)]).toEqual([true, false]);
  });

  it('is asked for in the service’s own language', () => {
    expect(toFilter(full, catalogue)).toEqual({
      ...{ kind: 'scooter', external_id_prefix: 'S-0', version: 2, channel: 'telematics', zone: 'north', revision: 'r2' },
      tags: { all: ['night', 'beta'], any: ['a', 'b'], none: ['c'] },
      running: { hardware_type: 'vega_mcu', version: '1.4.2' },
      ...{ not_seen_days: 7, retired: false },
    });
    expect(toFilter(emptyFilter, catalogue)).toEqual({});
    expect(toFilter({ ...emptyFilter, kind: 'cabinet', generation: '2' }, catalogue)).toEqual({ kind: 'cabinet' });
  });

  it.each([
    ['running', { running: { hardware_type: 'vega_mcu', version: '1.5.0' } }],
    ['not_running', { not_running: { hardware_type: 'vega_mcu', version: '1.5.0' } }],
    ['older', { older_than_firmware_id: 5 }],
    ['unknown', { unknown_version: 'vega_mcu' }],
  ] as const)('compares versions: %s', (compare, filter) => {
    expect(toFilter({ ...emptyFilter, compare, type: 'vega_mcu', of: '1.5.0' }, catalogue)).toEqual(filter);
  });

  it('has dotted names in a list, and counts days until the last midnight, so that cursors stay good for a day', () => {
    const parameters = toListParameters(full, catalogue, new Date('2026-11-26T15:30:00Z'));
    expect(parameters).toEqual({
      ...{ kind: 'scooter', external_id_prefix: 'S-0', version: '2', channel: 'telematics', zone: 'north', revision: 'r2', retired: false },
      ...{ 'tags.all': 'night,beta', 'tags.any': 'a,b', 'tags.none': 'c' },
      ...{ 'running.hardware_type': 'vega_mcu', 'running.version': '1.4.2', not_seen_since: '2026-11-19T00:00:00.000Z' },
    });
    expect(toListParameters(full, catalogue, new Date('2026-11-26T23:59:59Z'))).toEqual(parameters);
  });

  it('says which of its fields are wrong', () => {
    const wrong = (changes: Partial<FilterDraft>) => findWrongInFilter({ ...emptyFilter, ...changes }, catalogue);
    expect(wrong({})).toEqual({});
    expect(wrong({ compare: 'running' })).toEqual({ type: 'type' });
    expect(wrong({ compare: 'running', type: 'vega_mcu' })).toEqual({ of: 'version' });
    expect(wrong({ compare: 'running', type: 'vega_mcu', of: '0.9-lab' })).toEqual({});
    expect(wrong({ compare: 'older', type: 'vega_mcu', of: '0.9-lab' })).toEqual({ of: 'notInCatalogue' });
    expect(wrong({ compare: 'unknown', type: 'vega_mcu' })).toEqual({});
    expect([wrong({ not_seen_days: '0' }), wrong({ not_seen_days: '3.5' })]).toEqual([
      { not_seen_days: 'number' },
      { not_seen_days: 'number' },
    ]);
  });

  it('of a group is filled in again as it was, unless it says more than there are fields for', () => {
    expect(fromFilter(toFilter(full, catalogue), catalogue)).toEqual({ ...full, tags: 'night beta', revision: 'r2' });
    expect(fromFilter({ older_than_firmware_id: 5 }, catalogue)).toMatchObject({ compare: 'older', type: 'vega_mcu', of: '1.5.0' });
    expect(isEditable({ zone: 'north', running: { firmware_id: 3 } }, catalogue)).toBe(true);
    expect(isEditable({ not_seen_since: '2026-11-01T00:00:00Z' }, catalogue)).toBe(false);
    expect(isEditable({ running: { firmware_id: 77 } }, catalogue)).toBe(false);
    expect(isEditable({ running: { firmware_id: 3 }, unknown_version: 'vega_gsm' }, catalogue)).toBe(false);
  });

  it('takes words however they are separated, each once', () => {
    expect(wordsOf(' night,beta;night\n staff ')).toEqual(['night', 'beta', 'staff']);
  });
});
