// What of the console is pure: the draft of an update, what an update does now, looks of files, stories of devices.
import { describe, expect, it } from 'vitest';
import type { DeviceExecution, DeviceWithHistory, UpdateDetail } from '../../../clients/api/src/index.ts';
import { storyOf } from '../../../clients/console/src/device/story.ts';
import { readClaims } from '../../../clients/console/src/login/claims.ts';
import { gaugeOf, pollBeside, pollInterval, pollList, situationOf } from '../../../clients/console/src/update/situation.ts';
import { addUp, verdictOf } from '../../../clients/console/src/update/verdict.ts';
import { findWarning, guessFrom, lookOf } from '../../../clients/console/src/upload/file-looks.ts';
import {
  canarySizeOf,
  draftFrom,
  emptyDraft,
  findWrong,
  idsOf,
  idsOfCsv,
  planOf,
  requestOf,
} from '../../../clients/console/src/wizard/draft.ts';

const none = { QUEUED: 0, IN_PROGRESS: 0, SUCCEEDED: 0, FAILED: 0, TIMED_OUT: 0, REJECTED: 0, CANCELED: 0, REMOVED: 0 };
const now = new Date('2026-11-26T12:00:00Z');
const update = (changes: Partial<UpdateDetail>): UpdateDetail =>
  ({
    ...{ id: 7, status: 'IN_PROGRESS', reason: null, counts: none, reasons: [], finished_dt: null, start_dt: null },
    ...{ firmware_status: 'available', canary: null, canary_counts: null, canary_started_dt: null, canary_passed_dt: null },
    ...{
      pace_per_minute: 0,
      rollout: { maximum_per_minute: 100, maximum_in_progress: null, exponential: null, maximum_unavailable_percentage: 100 },
    },
    walk: { due_dt: null, is_late: false },
    backend_gate: { share: 1, failures: 0, closed_until: null, reason: null },
    ...changes,
  }) as UpdateDetail;

describe('the draft of an update', () => {
  const draft = { ...emptyDraft, firmwareId: 3 };

  it('becomes a request with the defaults that are seen', () => {
    expect(requestOf(draft, 3, [])).toEqual({
      ...{ firmware_id: 3, targets: { filter: { kind: 'scooter' } }, allow_downgrade: false, force: false },
      ...{ unknown_version: 'INCLUDE', comment: '', rollout: { maximum_per_minute: 1000, maximum_in_progress: null } },
      abort: { threshold_percentage: 10, minimum_executions: 100, action: 'ABORT' },
      ...{ timeouts: { in_progress_minutes: 60 }, retry: { number_of_retries: 1 } },
    });
    expect(findWrong(draft, [])).toEqual({});
  });

  it('takes what was filled in: a filter, a canary of one’s own, a limit, a moment', () => {
    const filled = {
      ...{ ...draft, percentage: '2.5', atWork: '20' },
      filter: { ...draft.filter, generation: '2' as const, compare: 'running' as const, type: 'vega_mcu', of: ' 1.4 ' },
      ...{ canary: 'own' as const, canarySize: '30', canaryWait: '15', canarySuccess: '95', start: '2026-12-01T03:00' },
    };
    expect(requestOf(filled, 3, [])).toMatchObject({
      targets: { filter: { kind: 'scooter', version: 2, running: { hardware_type: 'vega_mcu', version: '1.4' }, percentage: 2.5 } },
      rollout: { maximum_per_minute: 1000, maximum_in_progress: 20 },
      canary: { size: 30, minimum_wait_minutes: 15, success_percentage: 95 },
      start_dt: new Date(2026, 11, 1, 3).toISOString(),
    });
    expect(requestOf({ ...filled, canary: 'none' }, 3, [])).toMatchObject({ canary: null });
  });

  it('says which fields are wrong', () => {
    expect(findWrong({ ...draft, choice: 'ids' }, [])).toEqual({ ids: 'none' });
    const tooMany = Array.from({ length: 10_001 }, (_, i) => `S-${i}`).join('\n');
    expect(findWrong({ ...draft, choice: 'ids', ids: tooMany }, [])).toEqual({ ids: 'tooMany' });
    expect(findWrong({ ...draft, choice: 'group' }, [])).toEqual({ group: 'group' });
    const filter = { ...draft.filter, compare: 'running' as const, type: 'vega_mcu' };
    expect(findWrong({ ...draft, perMinute: '0', percentage: '101', stopAt: '', retries: 'x', filter }, [])).toEqual({
      ...{ perMinute: 'number', percentage: 'percentage', stopAt: 'percentage', retries: 'number', filter: { of: 'version' } },
    });
    expect(findWrong({ ...draft, allowDowngrade: true, comment: ' ' }, [])).toEqual({ comment: 'comment' });
  });

  it('takes a window, a budget and a moment, which the dry run knows as well', () => {
    const hours = { from: '22:00', until: '04:00', days: ['monday' as const] };
    const filled = { ...draft, window: 'own' as const, hours, budget: '2.5', start: '2026-12-01T03:00' };
    const planned = {
      window: { from: '22:00', until: '04:00', days: ['monday'] },
      rollout: { maximum_per_minute: 1000, maximum_in_progress: null, maximum_unavailable_percentage: 2.5 },
      start_dt: new Date(2026, 11, 1, 3).toISOString(),
    };
    expect(planOf(filled, 3, [])).toMatchObject(planned);
    expect(requestOf(filled, 3, [])).toMatchObject(planned);
    expect(planOf({ ...draft, window: 'ignore' }, 3, [])).toMatchObject({ ignore_window: true, comment: '-' });
    expect(findWrong({ ...draft, window: 'ignore', budget: '101' }, [])).toEqual({ comment: 'comment', budget: 'percentage' });
    expect(findWrong({ ...draft, window: 'own', hours: { ...hours, until: '' } }, [])).toEqual({ hours: 'hours' });
    expect(findWrong({ ...draft, window: 'own', hours: { ...hours, days: [] } }, [])).toEqual({ hours: 'hours' });
  });

  it('takes devices out of older updates when that is asked for', () => {
    expect(planOf({ ...draft, supersede: true }, 3, [])).toMatchObject({ supersede: true });
    expect(planOf(draft, 3, [])).not.toHaveProperty('supersede');
  });

  it('stays open where devices are not named by their ids, and no condition of it passes by itself', () => {
    expect(planOf({ ...draft, continuous: true }, 3, [])).toMatchObject({ continuous: true });
    expect(planOf({ ...draft, continuous: true, replaces: '12' }, 3, [])).toMatchObject({ continuous: true, replaces_update_id: 12 });
    expect(planOf({ ...draft, continuous: true }, 3, [])).not.toHaveProperty('replaces_update_id');
    expect(planOf({ ...draft, replaces: '12' }, 3, [])).not.toHaveProperty('replaces_update_id');
    expect(planOf({ ...draft, continuous: true, choice: 'ids', ids: 'S-1' }, 3, [])).not.toHaveProperty('continuous');
    const filter = { ...draft.filter, not_seen_days: '3' };
    expect(findWrong({ ...draft, continuous: true, filter }, [])).toEqual({ continuous: 'passing' });
    expect(findWrong({ ...draft, filter }, [])).toEqual({});
  });

  it('takes a group, and a sample of it', () => {
    expect(requestOf({ ...draft, choice: 'group', group: 'beta', percentage: '5' }, 3, [])).toMatchObject({
      targets: { group: 'beta', percentage: 5 },
    });
  });

  it('begins with what another page has chosen', () => {
    expect(draftFrom(new URLSearchParams('firmware=7&kind=cabinet&zone=north'), '')).toMatchObject({
      ...{ firmwareId: 7, choice: 'filter', kind: 'cabinet', filter: { kind: 'cabinet', zone: 'north' } },
    });
    expect(draftFrom(new URLSearchParams('group=beta'), '')).toMatchObject({ choice: 'group', group: 'beta' });
    expect(draftFrom(new URLSearchParams('kind=scooter'), 'S-1\nS-2')).toMatchObject({ choice: 'ids', ids: 'S-1\nS-2' });
  });

  it('reads ids however they are separated, each once, and those of a CSV by their column', () => {
    expect(idsOf('S-1, S-2;S-3\n\nS-1  S-4')).toEqual(['S-1', 'S-2', 'S-3', 'S-4']);
    expect(idsOfCsv('kind,external_id\r\nscooter,S-1\r\nscooter,"S-2"\r\n')).toEqual(['S-1', 'S-2']);
    expect(idsOfCsv('\uFEFFid;zone\nS-7;north')).toEqual(['S-7']);
    expect(idsOfCsv('S-1\nS-2\n')).toEqual(['S-1', 'S-2']);
  });

  it('knows the canary that the service takes by itself: 0.5 % but at least 50, from 200 devices on', () => {
    expect([199, 200, 10_000, 100_000].map((eligible) => canarySizeOf(draft, eligible))).toEqual([0, 50, 50, 500]);
  });
});

describe('what an update does now', () => {
  const counts = { ...none, QUEUED: 10, IN_PROGRESS: 2 };

  it.each([
    ['asks devices', { counts, pace_per_minute: 5 }, { kind: 'asking', perMinute: 100, slowedTo: null }],
    ['asked nobody of late', { counts: { ...none, QUEUED: 4 } }, { kind: 'nobodyAsked', waiting: 4 }],
    ['is paused', { counts, status: 'PAUSED', reason: 'tea' }, { kind: 'paused', reason: 'tea', atWork: 2, waiting: 10 }],
    ['is late', { counts, walk: { due_dt: '2026-11-26T11:00:00Z', is_late: true } }, { kind: 'late', due: '2026-11-26T11:00:00Z' }],
    [
      'rests until devices come to match',
      { counts: { ...none, SUCCEEDED: 3 }, continuous: true, rests_dt: '2026-11-26T11:00:00Z' },
      { kind: 'staysOpen', since: '2026-11-26T11:00:00Z' },
    ],
    [
      'would take in devices, if its firmware were not withdrawn',
      { counts: none, continuous: true, rests_dt: '2026-11-26T11:00:00Z', firmware_status: 'withdrawn' },
      { kind: 'withdrawn', atWork: 0 },
    ],
    [
      'waits for devices of older updates',
      { counts: { ...none, SUCCEEDED: 3 }, supersede: true },
      { kind: 'nobodyLeft', supersedes: true },
    ],
    ['has nobody left', { counts: { ...none, SUCCEEDED: 3 }, supersede: false }, { kind: 'nobodyLeft', supersedes: false }],
    ['has asked everybody', { counts: { ...none, IN_PROGRESS: 3 } }, { kind: 'everybodyAsked', atWork: 3, deadline: null }],
    ['has lost its firmware', { counts, firmware_status: 'withdrawn' }, { kind: 'withdrawn', atWork: 2 }],
    [
      'waits for the backend',
      { counts, backend_gate: { share: 0.1, failures: 3, closed_until: '2026-11-26T12:00:30Z', reason: '503' } },
      { kind: 'backendAway', reason: '503', until: '2026-11-26T12:00:30Z' },
    ],
    [
      'waits for its canary',
      {
        ...{ counts, canary: { size: 5, minimum_wait_minutes: 10, success_percentage: 90 }, canary_started_dt: '2026-11-26T11:55:00Z' },
        canary_counts: { ...none, SUCCEEDED: 3, IN_PROGRESS: 2 },
      },
      { kind: 'canaryAtWork', size: 5, open: 2, percentage: 90 },
    ],
    [
      'waits until its canary has waited',
      {
        ...{ counts, canary: { size: 5, minimum_wait_minutes: 10, success_percentage: 90 }, canary_started_dt: '2026-11-26T11:55:00Z' },
        canary_counts: { ...none, SUCCEEDED: 5 },
      },
      { kind: 'canaryWaits', until: '2026-11-26T12:05:00.000Z' },
    ],
    [
      'may ask no more at once',
      { counts, rollout: { maximum_per_minute: 100, maximum_in_progress: 2, exponential: null, maximum_unavailable_percentage: 100 } },
      { kind: 'atLimit', atWork: 2 },
    ],
    [
      'has ended',
      { status: 'COMPLETED', finished_dt: '2026-11-26T11:00:00Z', counts: { ...none, SUCCEEDED: 8, FAILED: 1, TIMED_OUT: 1 } },
      { kind: 'ended', status: 'COMPLETED', reason: null, succeeded: 8, failed: 2, total: 10 },
    ],
  ] as [string, Partial<UpdateDetail>, object][])('it %s', (_, changes, situation) => {
    expect(situationOf(update(changes), now)).toEqual(situation);
  });

  it('a stop rule’s gauge counts failures among those asked, and nobody who ran it already', () => {
    const rule = { failure_types: ['FAILED', 'TIMED_OUT', 'REJECTED'], threshold_percentage: 10, minimum_executions: 20, action: 'ABORT' };
    const judged = { ...none, SUCCEEDED: 22, FAILED: 2, IN_PROGRESS: 6, QUEUED: 70 };
    const reasons = [{ status: 'SUCCEEDED' as const, reason: 'ALREADY_ON_TARGET', count: 10, texts: [] }];
    expect(gaugeOf(rule, { counts: judged, reasons })).toEqual({
      share: 0.1,
      threshold: 0.1,
      failures: 2,
      stillToEnd: 6,
      isReached: false,
    });
    expect(gaugeOf({ ...rule, minimum_executions: 14 }, { counts: judged, reasons })).toMatchObject({ stillToEnd: 0, isReached: true });
  });

  it('is asked for every 2 s at first, then every 5 s, every 30 s while it is paused, and no more when it has ended', () => {
    const running = { status: 'IN_PROGRESS' as const, finished_dt: null };
    expect([
      pollInterval(running, 0),
      pollInterval(running, 60_000),
      pollInterval({ ...running, status: 'PAUSED' }, 0),
      pollInterval({ status: 'COMPLETED', finished_dt: '2026-11-26T11:00:00Z' }, 0),
    ]).toEqual([2_000, 5_000, 30_000, false]);
  });

  it('what stands still is seldom asked for, beside the update and in lists, too', () => {
    const running = { status: 'IN_PROGRESS', finished_dt: null, rests_dt: null } as const;
    const paused = { ...running, status: 'PAUSED' } as const;
    const resting = { ...running, rests_dt: '2026-11-26T11:00:00Z' };
    const ended = { ...running, status: 'COMPLETED', finished_dt: '2026-11-26T11:00:00Z' } as const;
    expect([running, paused, resting, ended].map((update) => pollBeside(update, 5_000))).toEqual([5_000, 30_000, 30_000, false]);
    expect([pollList([ended, running], 5_000), pollList([ended, paused], 5_000), pollList([], 5_000)]).toEqual([5_000, 30_000, 30_000]);
  });

  it('a firmware is judged by all its updates together', () => {
    const counts = addUp([
      { counts: { ...none, SUCCEEDED: 7, FAILED: 1 } },
      { counts: { ...none, SUCCEEDED: 1, TIMED_OUT: 1, QUEUED: 5 } },
    ]);
    expect(verdictOf(counts)).toEqual({ succeeded: 8, judged: 10, share: 0.8, atWork: 0 });
    expect(verdictOf(none)).toMatchObject({ share: null });
  });
});

describe('a file', () => {
  const bytes = (text: string) => new TextEncoder().encode(text);

  it.each([
    ['elf', Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 2)],
    ['zip', bytes('PK\u0003\u0004')],
    ['git-lfs', bytes('version https://git-lfs.github.com/spec/v1\noid sha256:ab\n')],
    ['html', bytes('\n<!DOCTYPE html><html>')],
    ['ihex', bytes(':10010000214601360121470136007EFE09D2190140\n')],
    ['text', bytes('Not found')],
    ['binary', Uint8Array.of(0, 1, 2, 250)],
    ['empty', new Uint8Array()],
  ] as const)('looks like %s', (look, content) => {
    expect(lookOf(content)).toBe(look);
  });

  it('is warned of when it looks unlike the last one of its type, or unlike any firmware, or is of another size', () => {
    const last = { version: '1.4', look: 'binary' as const, sizeBytes: 1_000 };
    expect(findWarning('elf', 1_000, last)).toEqual({ kind: 'other', look: 'elf', before: 'binary', version: '1.4' });
    expect(findWarning('html', 1_000, undefined)).toEqual({ kind: 'suspicious', look: 'html' });
    expect(findWarning('text', 1_000, { ...last, look: 'text' })).toBeUndefined();
    expect(findWarning('binary', 100, last)).toEqual({ kind: 'size', times: 10, isLarger: false, version: '1.4' });
    expect(findWarning('binary', 1_200, last)).toBeUndefined();
  });

  it('tells its type and its version by its name', () => {
    const types = ['audio_lock', 'audio_unlock', 'vega_mcu'];
    expect(guessFrom('vega_mcu-1.5.0.bin', types)).toEqual({ hardware_type: 'vega_mcu', version: '1.5.0' });
    expect(guessFrom('audio_unlock_v2.0-rc1.mp3', types)).toEqual({ hardware_type: 'audio_unlock', version: '2.0-rc1' });
    expect(guessFrom('firmware.bin', types)).toEqual({ hardware_type: '', version: '' });
  });
});

it('a device’s story has its updates and what it was seen to run on one line, the latest first', () => {
  const device = {
    created_dt: '2026-01-01T00:00:00Z',
    history: { items: [{ hardware_type: 'vega_mcu', version: '1.5', firmware_update_dt: '2026-02-02T00:00:00Z' }], next_cursor: null },
  } as unknown as DeviceWithHistory;
  const execution = { id: 5, queued_dt: '2026-02-01T00:00:00Z', sent_dt: null, finished_dt: '2026-02-03T00:00:00Z' } as DeviceExecution;
  const waiting = { id: 6, queued_dt: '2026-02-04T00:00:00Z', sent_dt: null, finished_dt: null } as DeviceExecution;
  expect(storyOf(device, [execution, waiting]).map(({ kind, dt }) => [kind, dt])).toEqual([
    ['execution', '2026-02-04T00:00:00Z'],
    ['execution', '2026-02-03T00:00:00Z'],
    ['version', '2026-02-02T00:00:00Z'],
    ['registered', '2026-01-01T00:00:00Z'],
  ]);
});

describe('a token', () => {
  const tokenOf = (claims: object) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.x`;

  it('tells whose it is and what it grants', () => {
    expect(readClaims(tokenOf({ sub: 'ä@b', scope: 'read updates:write' }), undefined)).toEqual({
      ...{ who: 'ä@b', subject: 'ä@b', scopes: new Set(['read', 'updates:write']) },
    });
    expect(readClaims(tokenOf({ sub: '1', name: 'Ada', scp: ['read'] }), undefined)).toEqual({
      ...{ who: 'Ada', subject: '1', scopes: new Set(['read']) },
    });
    expect(readClaims(tokenOf({ sub: '1', scope: 'read' }), 'firmware:write')).toEqual({
      ...{ who: '1', subject: '1', scopes: new Set(['firmware:write']) },
    });
  });

  it('that is no JWT tells nothing, and breaks nothing', () => {
    expect(readClaims('opaque', 'read')).toEqual({ who: '?', subject: undefined, scopes: new Set(['read']) });
  });
});
