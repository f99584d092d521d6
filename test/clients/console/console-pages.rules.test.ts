// What is pure of the pages of changes and packages.
import { describe, expect, it } from 'vitest';
import { changesOf } from '../../../clients/api/src/index.ts';
import {
  emptyPackage,
  findWrongInPackage,
  movedUp,
  type PackageDraft,
  requestOfPackage,
} from '../../../clients/console/src/package/package-draft.ts';
import { addressOf } from '../../../clients/console/src/pages/audit-line.ts';
import { nextSort, sortingOf } from '../../../clients/console/src/ui/sort.ts';

describe('a line of what was changed', () => {
  it('tells each field, from what to what', () => {
    expect(changesOf({ before: { zone: null, tags: ['a'] }, after: { zone: 'north', tags: ['a', 'b'] } })).toEqual([
      { field: 'zone', before: '–', after: 'north' },
      { field: 'tags', before: 'a', after: 'a, b' },
    ]);
  });

  it('tells of a group of settings only what differs', () => {
    const rollout = { maximum_per_minute: 240, maximum_in_progress: null };
    expect(changesOf({ before: { rollout }, after: { rollout: { ...rollout, maximum_per_minute: 28 } } })).toEqual([
      { field: 'rollout.maximum_per_minute', before: '240', after: '28' },
    ]);
  });

  it('tells what was new, in words, and how many were changed', () => {
    expect(changesOf({ after: { maintenance_window: { from: '02:00', until: '05:00' }, comment: '' } })).toEqual([
      { field: 'maintenance_window', before: undefined, after: 'from 02:00; until 05:00' },
      { field: 'comment', before: undefined, after: '–' },
    ]);
    expect(changesOf({ created: 3 })).toEqual([{ field: 'created', before: undefined, after: '3' }]);
  });

  it('leads to the page of the changed thing, where it has one', () => {
    expect(addressOf({ resource: 'device', resource_id: 'scooter/S-1:7' })).toBe('/fleet/scooter/S-1%3A7');
    expect(addressOf({ resource: 'firmware', resource_id: '17' })).toBe('/firmwares/17');
    expect(addressOf({ resource: 'zone', resource_id: 'north' })).toBe('/zones');
    expect(addressOf({ resource: 'author_key', resource_id: '2' })).toBeUndefined();
    expect(addressOf({ resource: 'device', resource_id: null })).toBeUndefined();
  });
});

describe('the draft of a package', () => {
  const part = { key: 'a', firmwareId: 4, handler: 'rawfile' as const, place: '' };
  const draft: PackageDraft = { ...emptyPackage('a'), hardware_type: 'cabinet', version: ' 2.0 ', parts: [part] };

  it('becomes a request with the parts in their order', () => {
    const parts = [part, { key: 'b', firmwareId: 5, handler: 'raw' as const, place: ' /dev/mmcblk0p2 ' }];
    expect(requestOfPackage({ ...draft, parts, revisions: '1.0, 2.0' })).toEqual({
      ...{ hardware_type: 'cabinet', version: '2.0', comment: '', signed: true, hardware_compatibility: ['1.0', '2.0'] },
      parts: [
        { firmware_id: 4, install: { handler: 'rawfile' } },
        { firmware_id: 5, install: { handler: 'raw', device: '/dev/mmcblk0p2' } },
      ],
    });
  });

  it('says what is missing', () => {
    expect(findWrongInPackage(emptyPackage('a'))).toBe('type');
    expect(findWrongInPackage({ ...draft, version: ' ' })).toBe('version');
    expect(findWrongInPackage({ ...draft, parts: [] })).toBe('noParts');
    expect(findWrongInPackage({ ...draft, parts: [{ ...part, handler: 'archive' }] })).toBe('place');
    expect(findWrongInPackage({ ...draft, parts: [{ ...part, handler: 'raw', place: '/opt' }] })).toBe('place');
    expect(findWrongInPackage({ ...draft, revisions: ' ' })).toBe('revisions');
    expect(findWrongInPackage(draft)).toBeUndefined();
  });

  it('moves a part up by one place', () => {
    const keys = (parts: readonly { key: string }[]) => parts.map(({ key }) => key).join('');
    const parts = ['a', 'b', 'c'].map((key) => ({ ...part, key }));
    expect([keys(movedUp(parts, 'c')), keys(movedUp(parts, 'a'))]).toEqual(['acb', 'abc']);
  });
});

describe('the order of a list', () => {
  const known = ['created_dt_descending', 'created_dt_ascending'] as const;

  it('is read from the address, where it is one of the service’s', () => {
    expect(sortingOf('created_dt_ascending', known)).toEqual({ sort: 'created_dt_ascending', by: 'created_dt', direction: 'ascending' });
    expect(sortingOf('name_ascending', known)).toBeUndefined();
    expect(sortingOf(null, known)).toBeUndefined();
  });

  it('begins with the latest time and the first name, and turns round when it is pressed again', () => {
    const now = { by: 'external_id', direction: 'ascending' as const };
    expect(nextSort('external_id', now)).toBe('external_id_descending');
    expect(nextSort('last_seen_on', now)).toBe('last_seen_on_descending');
    expect(nextSort('external_id', { by: 'last_seen_on', direction: 'descending' })).toBe('external_id_ascending');
  });
});
