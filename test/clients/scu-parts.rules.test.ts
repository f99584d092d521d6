import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import * as z from 'zod/mini';
import type { Client, DryRun, UpdateDetail, Wait } from '../../clients/api/src/index.ts';
import type { Context } from '../../clients/cli/src/command.ts';
import { describeOutcome } from '../../clients/cli/src/commands/audit.ts';
import { formatCsvRow, parseCsv } from '../../clients/cli/src/csv.ts';
import {
  addFilterOptions,
  describeFilter,
  type Filter,
  type FilterOptions,
  filterOf,
  queryOf,
} from '../../clients/cli/src/filter-options.ts';
import { readFleet } from '../../clients/cli/src/import-devices.ts';
import { Output, printable } from '../../clients/cli/src/output.ts';
import { planLines } from '../../clients/cli/src/plan-lines.ts';
import { createProgram } from '../../clients/cli/src/program.ts';
import { Progress } from '../../clients/cli/src/progress.ts';
import { cut } from '../../clients/cli/src/screen.ts';
import { addUpdateOptions, toUpdateRequest, type UpdateOptions } from '../../clients/cli/src/update-request.ts';
import { sayWhatHappens } from '../../clients/cli/src/update-sentence.ts';
import { addTargetOptions, type TargetOptions, targetsOf } from '../../clients/cli/src/update-targets.ts';
import { updateView } from '../../clients/cli/src/update-view.ts';
import { sayWait } from '../../clients/cli/src/wait-words.ts';
import { watch } from '../../clients/cli/src/watch.ts';
import { describeWindow, maintenanceWindow } from '../../clients/cli/src/window-option.ts';
import { deviceFilterQuery, filterOfQuery } from '../../lib/fleet/device-filter-query.ts';

describe('CSV', () => {
  it('keeps separators, quotes and ends of lines within quotes, and the line in which a row begins', () => {
    expect(parseCsv('a,b\r\n"x, y","says ""hi"""\r\n"two\r\nlines",2\r\nlast,3')).toEqual([
      { line: 1, cells: ['a', 'b'] },
      { line: 2, cells: ['x, y', 'says "hi"'] },
      { line: 3, cells: ['two\nlines', '2'] },
      { line: 5, cells: ['last', '3'] },
    ]);
  });

  it.each([
    ['semicolons, as spreadsheets write them where the comma is in numbers', 'kind;external_id\nscooter;S-1\n'],
    ['tabs', 'kind\texternal_id\nscooter\tS-1'],
    ['a byte order mark and empty lines', '\uFEFFkind,external_id\n\n\nscooter,S-1\n\n'],
  ])('reads %s', (_, text) => {
    expect(parseCsv(text).map(({ cells }) => cells)).toEqual([
      ['kind', 'external_id'],
      ['scooter', 'S-1'],
    ]);
  });

  it('names the line in which a quote begins that is never closed', () => {
    expect(() => parseCsv('a,b\n1,2\n3,"four\n5,6\n')).toThrow('Line 3: a quote begins there and is never closed');
  });

  it('writes what it reads', () => {
    const cells = ['plain', 'a,b', 'says "hi"', 'two\nlines', ''];
    expect(parseCsv(formatCsvRow(cells))).toEqual([{ line: 1, cells }]);
  });
});

describe('a fleet in CSV', () => {
  it('takes kind from the option where a line does not say it, and names the columns that are not read', () => {
    expect(readFleet('External_ID,version,vega_mcu\nS-1,1,1.5.0\nS-2,,\n', 'scooter')).toEqual({
      lines: [
        { line: 2, device: { kind: 'scooter', external_id: 'S-1', version: 1 } },
        { line: 3, device: { kind: 'scooter', external_id: 'S-2' } },
      ],
      wrong: [],
      ignored: ['vega_mcu'],
    });
  });

  it('names each line that is wrong', () => {
    expect(readFleet('external_id,version\nS-1,v1\nS-2,1,extra\nS-3,2\n', 'scooter')).toMatchObject({
      lines: [{ line: 4 }],
      wrong: [
        { line: 2, external_id: 'S-1', errors: ['version: 1, 2 or nothing is wanted, not v1'] },
        { line: 3, external_id: 'S-2', errors: ['has 3 cells, and there are 2 columns'] },
      ],
    });
  });

  it('has zones, tags and revisions where a line says them', () => {
    const { lines, ignored } = readFleet('external_id,zone,tags,revision\nS-1,north,night centre,B2\nS-2,,,\n', 'scooter');
    expect(lines.map(({ device }) => device)).toEqual([
      { kind: 'scooter', external_id: 'S-1', zone: 'north', tags: ['night', 'centre'], revision: 'B2' },
      { kind: 'scooter', external_id: 'S-2' },
    ]);
    expect(ignored).toEqual([]);
  });

  it('is refused without a first line that names the columns', () => {
    expect(() => readFleet('S-1,1\nS-2,2\n', 'scooter')).toThrow('The first line names the columns');
  });
});

/** Nothing here asks the service. */
const noClient = {} as Client;
const optionsOf = <Options extends object>(add: (command: Command) => Command, words: readonly string[]): Options =>
  add(new Command('scu').exitOverride().configureOutput({ writeErr: () => {} }))
    .parse([...words], { from: 'user' })
    .opts<Options>();

describe('conditions that choose devices', () => {
  const filterFrom = (...words: string[]) =>
    filterOf(
      noClient,
      optionsOf<FilterOptions>((command) => addFilterOptions(command), words),
    );
  const everyCondition = [
    ...['--kind', 'scooter', '--prefix', 'S-0', '--version', 'none', '--channel', 'iot', '--zone', 'north', '--tag', 'night,old'],
    ...['--tag', 'third', '--tag-any', 'a', '--tag-none', 'b,c', '--revision', "B2 'new'", '--running', 'vega_mcu@1.4.0'],
    ...['--not-running', '17', '--older-than', '18', '--unknown-version', 'vega_gsm', '--not-seen-days', '7'],
    ...['--not-seen-since', '2026-11-01T00:00:00.000Z', '--no-retired', '--failed-in', '#3', '--percentage', '10%'],
  ];
  const everyField: Filter = {
    ...{ kind: 'scooter', external_id_prefix: 'S-0', version: 'none', channel: 'iot', zone: 'north', revision: "B2 'new'" },
    tags: { all: ['night', 'old', 'third'], any: ['a'], none: ['b', 'c'] },
    ...{ running: { hardware_type: 'vega_mcu', version: '1.4.0' }, not_running: { firmware_id: 17 }, older_than_firmware_id: 18 },
    ...{ unknown_version: 'vega_gsm', not_seen_days: 7, not_seen_since: '2026-11-01T00:00:00.000Z', retired: false },
    ...{ failed_in_update_id: 3, percentage: 10 },
  };

  it('are the same filter as options and in a request', async () => {
    expect(await filterFrom(...everyCondition)).toEqual(everyField);
    expect(await filterFrom()).toEqual({});
    expect(await filterFrom('--retired', '--version', '2')).toEqual({ retired: true, version: 2 });
  });

  it('are all there that the API has as query parameters, and mean the same there', () => {
    const query = queryOf(everyField);
    const parsed = z
      .object(deviceFilterQuery)
      .parse(Object.fromEntries(Object.entries(query).map(([name, value]) => [name, String(value)])));
    expect(filterOfQuery(parsed)).toEqual(everyField);
    // Another way to say what `running` and `not_running` say, and an older name of it.
    const others = ['running.firmware_id', 'runs_firmware_id', 'not_running.hardware_type', 'not_running.version'];
    expect(Object.keys(deviceFilterQuery).filter((name) => !(name in query))).toEqual(others);
  });

  it('of a group are shown as the options that say the same', async () => {
    expect(describeFilter(everyField)).toBe(
      "--kind scooter --prefix S-0 --version none --channel iot --zone north --revision 'B2 '\\''new'\\''' --tag night,old,third --tag-any a " +
        '--tag-none b,c --running vega_mcu@1.4.0 --not-running 17 --older-than 18 --unknown-version vega_gsm --not-seen-days 7 ' +
        '--not-seen-since 2026-11-01T00:00:00.000Z --failed-in 3 --percentage 10 --no-retired',
    );
    expect(describeFilter({})).toBe('every device');
  });

  it.each([
    [['--running', 'vega_mcu@'], '--running vega_mcu@: a hardware type and a version are wanted'],
    [['--not-running', '1.4.0'], '--not-running 1.4.0: a hardware type and a version are wanted'],
    [['--older-than', 'newest'], 'newest names no firmware'],
    [['--failed-in', 'last'], 'last is no id of an update'],
  ])('%j is refused before anything is sent', async (words, message) => {
    await expect(filterFrom(...words)).rejects.toThrow(message);
  });
});

describe('the devices of an update', () => {
  const targetsFrom = (...words: string[]) =>
    targetsOf(noClient, optionsOf<TargetOptions>(addTargetOptions, words), { hardwareType: async () => 'vega_mcu' });

  it.each<[string[], Awaited<ReturnType<typeof targetsFrom>>]>([
    [['--all'], { filter: { kind: 'scooter' } }],
    [['--all', '--kind', 'cabinet'], { filter: { kind: 'cabinet' } }],
    [['--devices', 'S-1, S-2', '--devices', 'S-3'], { kind: 'scooter', external_ids: ['S-1', 'S-2', 'S-3'] }],
    [['--group', 'night-shift', '--percentage', '5'], { group: 'night-shift', percentage: 5 }],
    [
      ['--zone', 'north', '--tag', 'night', '--not-running', '1.4.0'],
      {
        filter: { kind: 'scooter', zone: 'north', tags: { all: ['night'] }, not_running: { hardware_type: 'vega_mcu', version: '1.4.0' } },
      },
    ],
  ])('%j', async (words, targets) => {
    expect(await targetsFrom(...words)).toEqual(targets);
  });

  it.each([
    [[], 'Which devices?'],
    [['--kind', 'cabinet'], 'Which devices?'],
    [['--all', '--devices', 'S-1'], 'named or chosen, not both'],
    [['--zone', 'north', '--devices', 'S-1'], 'named or chosen, not both'],
    [['--group', 'night-shift', '--zone', 'north'], 'A group says itself'],
    [['--group', 'night-shift', '--kind', 'cabinet'], 'A group says itself'],
    [['--group', 'night-shift', '--all'], 'A group says itself'],
  ])('%j are refused, because it is not clear which are meant', async (words, message) => {
    await expect(targetsFrom(...words)).rejects.toThrow(message);
  });
});

it('an update is asked for as its options say', async () => {
  const words = [
    ...['--firmware', '17', '--zone', 'north', '--budget', '10%', '--window', '02:00-05:00 monday', '--continuous', '--replaces', '#3'],
    ...['--canary', '1%', '--exclude-unknown', '--comment', 'baseline'],
  ];
  expect(await toUpdateRequest(noClient, optionsOf<UpdateOptions>(addUpdateOptions, words))).toEqual({
    ...{ firmware_id: 17, targets: { filter: { kind: 'scooter', zone: 'north' } }, rollout: { maximum_unavailable_percentage: 10 } },
    ...{ window: { from: '02:00', until: '05:00', days: ['monday'] }, continuous: true, replaces_update_id: 3, canary: { percentage: 1 } },
    ...{ timeouts: {}, unknown_version: 'EXCLUDE', comment: 'baseline' },
  });
});

it('a maintenance window is shown as it is typed', () => {
  for (const typed of ['02:00-05:00', '22:00-04:00 monday,friday']) expect(describeWindow(maintenanceWindow(typed))).toBe(typed);
  const everyDay = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'] as const;
  expect(describeWindow({ from: '02:00', until: '05:00', days: [...everyDay] })).toBe('02:00-05:00');
  expect(() => maintenanceWindow('at night')).toThrow('Two times of day are wanted');
});

it('a dry run says in words when the turn of devices comes', () => {
  const plan: DryRun = {
    ...{
      eligible: 1_600,
      needs_approval: true,
      continuous: null,
      superseded: [{ update_id: 7, executions: 400, at_work: 12 }],
      reasons: [],
      parts: [],
    },
    when: {
      now: 1_200,
      later: [
        { zone: 'north', cause: 'WINDOW', opens_dt: '2026-11-26T23:00:00.000Z', count: 300 },
        { zone: 'centre', cause: 'BUDGET', opens_dt: null, count: 80 },
        { zone: null, cause: 'WINDOW', opens_dt: null, count: 20 },
      ],
    },
  };
  expect(planLines(plan, { paint: (_, text) => text }, new Date('2026-11-26T21:30:00Z')).slice(0, 8)).toEqual([
    '1,600 devices would be updated.',
    '400 of them are taken from update 7.',
    '12 more are at work for update 7, and are taken in when they have ended there.',
    '  1,200 at once, at the pace of the update',
    '  300 in zone north when its window opens: 2026-11-26 23:00:00Z, in 1 h 30 min',
    '  80 in zone centre as others there have ended: its budget is used up until then',
    '  20 in no zone never: its window does not open',
    'Somebody else would have to approve it.',
  ]);
});

it('the audit says in words what became of a change', () => {
  const rollout = { maximum_per_minute: 30, maximum_in_progress: null };
  expect(
    describeOutcome({
      before: { status: 'IN_PROGRESS', reason: null, rollout },
      after: { status: 'PAUSED', reason: 'too many fail', rollout: { ...rollout, maximum_in_progress: 5 } },
    }),
  ).toBe('status IN_PROGRESS → PAUSED; reason – → too many fail; rollout.maximum_in_progress – → 5');
  expect(describeOutcome({ by_update_id: 12, canceled: 300 })).toBe('by_update_id 12; canceled 300');
});

it('lets no text of a device command the terminal', () => {
  expect(printable('ok\x1b[2J\x1b]0;title\x07\nnext\u202egnp')).toBe('ok [2J ]0;title next gnp');
});

it('cuts a line to what is seen of it: colours take no room', () => {
  expect(cut('\x1b[31mabcdef\x1b[0m', 6)).toBe('\x1b[31mabcdef\x1b[0m');
  expect(cut('\x1b[31mabcdef\x1b[0mghi', 6)).toBe('\x1b[31mabcdef\x1b[0m');
  expect(cut('\x1b[31mabcdefg\x1b[0m', 6)).toBe('\x1b[31mabcde…\x1b[0m');
});

it('every command has a summary and a help with an example', async () => {
  const help = (command: Command): string => {
    let text = '';
    command.configureOutput({ writeOut: (part) => (text += part) }).outputHelp();
    return text;
  };
  const leaves = (command: Command): Command[] =>
    [command, ...command.commands.flatMap(leaves)].filter(({ options }) => options.some(({ long }) => long === '--json'));
  const commands = leaves(await createProgram());
  expect(commands.map((command) => [command.parent?.name(), command.name()].filter((name) => name !== 'scu').join(' '))).toEqual([
    ...['login', 'logout', 'whoami'],
    ...['firmware upload', 'firmware sign', 'firmware list', 'firmware view', 'firmware download', 'firmware revisions'],
    'firmware withdraw',
    ...['type list', 'type add', 'package create', 'package view'],
    ...['key new', 'key list', 'key add', 'key approve', 'key revoke', 'root sign', 'root publish', 'root list'],
    ...['device list', 'device view', 'device import', 'device export', 'device tag', 'device change', 'device rename', 'device retire'],
    ...['device reinstate', 'device token', 'zone list', 'zone view', 'zone add', 'zone change', 'zone delete'],
    ...['group list', 'group view', 'group members', 'group add', 'group change', 'group delete', 'observe'],
    ...['update plan', 'update create', 'update list', 'update view', 'update devices', 'update timeline', 'update watch'],
    ...['update approve', 'update reject', 'update pause', 'update resume', 'update cancel', 'update pace', 'update retry'],
    ...['stats', 'stats versions', 'stats times', 'audit', 'api'],
  ]);
  for (const command of commands) {
    expect(command.summary()).not.toBe('');
    expect(help(command)).toMatch(/\nExamples?:\n {2}\$ /);
    expect(help(command)).toContain('--json');
  }
});

it('only the command that is called is loaded; the help says the same of all others', async () => {
  const summaries = (program: Command) => program.commands.map((command) => [command.name(), command.summary()]);
  const [all, one] = [await createProgram(), await createProgram('stats')];
  expect(summaries(one)).toEqual(summaries(all));
  expect(one.commands.filter(({ commands, options }) => commands.length + options.length > 0).map((each) => each.name())).toEqual([
    'stats',
  ]);
});

const now = new Date('2026-11-26T05:00:00Z');
const none = { QUEUED: 0, IN_PROGRESS: 0, SUCCEEDED: 0, FAILED: 0, TIMED_OUT: 0, REJECTED: 0, CANCELED: 0, REMOVED: 0 };
const update = (changes: Partial<UpdateDetail>): UpdateDetail =>
  ({
    ...{ id: 17, hardware_type: 'vega_mcu', firmware_version: '1.5.0', firmware_status: 'available', status: 'IN_PROGRESS', reason: null },
    ...{ counts: { ...none, QUEUED: 300, IN_PROGRESS: 180, SUCCEEDED: 500, FAILED: 20 }, not_eligible: {}, progress: 0.52 },
    ...{
      late_successes: 0,
      claimed: 0,
      rollout: { maximum_per_minute: 1_000, maximum_in_progress: null, exponential: null, maximum_unavailable_percentage: 100 },
    },
    ...{ canary: null, canary_started_dt: null, canary_passed_dt: null, canary_counts: null, abort: [], start_dt: null },
    ...{ window: null, ignore_window: false, continuous: false, rests_dt: null, supersede: false },
    ...{
      finished_dt: null,
      walk: { due_dt: null, is_late: false },
      reasons: [],
      pace_per_minute: 412,
      at_work: null,
      estimated_end_dt: null,
    },
    ...{ backend_errors: [], backend_gate: { share: 1, failures: 0, closed_until: null, reason: null } },
    ...changes,
  }) as UpdateDetail;
const canary = { size: 50, minimum_wait_minutes: 10, success_percentage: 90 };

it.each([
  ['0: nobody has failed', { SUCCEEDED: 3 }, '0', 0],
  ['6: more have failed than may', { SUCCEEDED: 3, FAILED: 2 }, '1', 6],
])('a watch until an update that stays open has nothing left to do ends with %s', async (_, counts, acceptFailures, exitCode) => {
  const seen = update({ status: 'IN_PROGRESS', continuous: true, rests_dt: '2026-11-26T11:00:00Z', counts: { ...none, ...counts } });
  const written: string[] = [];
  const stream = { isTTY: false, write: (text: string) => written.push(text) > 0 } as never;
  const context = {
    ...{ output: new Output('table', stream), progress: new Progress(stream), signal: new AbortController().signal },
    client: () => ({ getUpdate: async () => seen }) as unknown as Client,
  } as unknown as Context;
  expect(await watch(context, 7, { until: 'rest', acceptFailures })).toBe(exitCode);
  expect(written.join('')).toMatch(/Stays open: .* waits for devices that come to match\.\n$/);
});

describe('why an update stands still is one sentence', () => {
  it.each<[string, Partial<UpdateDetail>, string]>([
    ['nothing holds it', {}, 'Asks up to 1,000 devices a minute.'],
    ['it begins later', { status: 'SCHEDULED', start_dt: '2026-11-26T22:00:00.000Z' }, 'Begins at 2026-11-26 22:00:00Z.'],
    [
      'it is paused',
      { status: 'PAUSED', reason: 'many failures' },
      'Paused: many failures. Nobody is asked; 180 devices at work. Go on: scu update resume 17',
    ],
    [
      'it was aborted',
      { status: 'ABORTED', reason: 'FAILURES: 12 %' },
      'Stopped: FAILURES: 12 %. 180 devices at work, which it waits for.',
    ],
    [
      'its step is late',
      { walk: { due_dt: '2026-11-26T04:50:00.000Z', is_late: true } },
      'Its next step was due at 2026-11-26 04:50:00Z and has not come. Send its message again: scu update resume 17',
    ],
    [
      'devices that it is to have are at work for older updates',
      { supersede: true, counts: { ...none, SUCCEEDED: 500 } },
      'All of its devices have ended. It waits for those that are still at work for the updates whose place it has taken.',
    ],
    ['its last step follows', { counts: { ...none, SUCCEEDED: 500 } }, 'All of its devices have ended, and it ends with its next step.'],
    ['the file is gone', { firmware_status: 'lost' }, 'Waits until the file of the firmware is there again.'],
    [
      'the firmware is withdrawn',
      { firmware_status: 'withdrawn' },
      'The firmware is withdrawn: nobody else is asked. 180 devices at work.',
    ],
    [
      'the backend is away',
      { backend_gate: { share: 0.5, failures: 3, closed_until: '2026-11-26T05:00:30.000Z', reason: '503' } },
      'The backend does not answer (503). Tried again at 2026-11-26 05:00:30Z.',
    ],
    [
      'its canary is at work',
      { canary, canary_started_dt: '2026-11-26T04:59:00.000Z', canary_counts: { ...none, IN_PROGRESS: 7, SUCCEEDED: 43 } },
      'The canary of 50 devices goes first: 7 of them have not ended. The rest follows when 90 % have succeeded.',
    ],
    [
      'its canary has ended and has to wait',
      { canary, canary_started_dt: '2026-11-26T04:59:00.000Z', canary_counts: { ...none, SUCCEEDED: 50 } },
      'The canary has ended. The rest follows at 2026-11-26 05:09:00Z, if it has passed.',
    ],
    [
      'as many are at work as may be',
      { rollout: { maximum_per_minute: 1_000, maximum_in_progress: 180, exponential: null, maximum_unavailable_percentage: 100 } },
      '180 devices at work, as many as it may ask at once. The next ones follow as they end.',
    ],
    [
      'all that are left have put it off',
      { reasons: [{ status: 'QUEUED', reason: 'DEFERRED', count: 300, texts: [] }] },
      '300 devices put it off just now, and will be asked again; 180 devices at work.',
    ],
    [
      'all were asked, and some are silent',
      {
        counts: { ...none, SUCCEEDED: 998, IN_PROGRESS: 2 },
        at_work: { since_dt: '2026-11-26T04:40:00.000Z', deadline_dt: '2026-11-26T05:41:00.000Z' },
      },
      'Everybody has been asked. It waits until 2 devices show what they run, or until the last deadline at 2026-11-26 05:41:00Z.',
    ],
    [
      'it is continuous, and all have ended',
      { continuous: true, rests_dt: '2026-11-26T04:00:00.000Z', counts: { ...none, SUCCEEDED: 998, FAILED: 2 } },
      'Stays open: since 2026-11-26 04:00:00Z it waits for devices that come to match.',
    ],
    ['all were asked', { counts: { ...none, IN_PROGRESS: 1 } }, 'Everybody has been asked. It waits until 1 device shows what it runs.'],
    [
      'it has ended with failures',
      { status: 'COMPLETED', finished_dt: '2026-11-26T04:59:00.000Z', counts: { ...none, SUCCEEDED: 980, FAILED: 15, TIMED_OUT: 5 } },
      'Done, with failures: 980 of 1,000 devices succeeded, 20 failed.',
    ],
  ])('when %s', (_, changes, sentence) => {
    expect(sayWhatHappens(update(changes), now)).toBe(sentence);
  });
});

it.each<[string, Partial<UpdateDetail>, Wait['cause'][], string]>([
  [
    'all windows are closed',
    { counts: { ...none, QUEUED: 300, SUCCEEDED: 500 } },
    ['WINDOW'],
    '300 devices wait for the next maintenance window, which opens at 2026-11-26 23:00:00Z.',
  ],
  [
    'budgets are used up',
    {},
    ['BUDGET', 'WINDOW'],
    '180 devices at work, as many as the budgets of their zones allow. The next ones follow as they end.',
  ],
  ['only some are held back', {}, ['BUDGET', 'PACE'], 'Asks up to 1,000 devices a minute.'],
])('why an update stands still is one sentence also when %s', (_, changes, causes, sentence) => {
  const waits = causes.map((cause) => ({
    cause,
    count: 1,
    since_dt: null,
    until_dt: cause === 'WINDOW' ? '2026-11-26T23:00:00.000Z' : null,
  }));
  expect(sayWhatHappens(update(changes), now, waits)).toBe(sentence);
});

it('the screen of an update says its own window and budget, and that it ignores those of zones', () => {
  const linesOf = (seen: UpdateDetail) => updateView(seen, { paint: (_, text) => text, width: 200, now });
  const rollout = { maximum_per_minute: 1_000, maximum_in_progress: null, exponential: null, maximum_unavailable_percentage: 5 };
  expect(linesOf(update({ rollout, window: { from: '02:00', until: '05:00', days: ['friday'] } }))).toEqual(
    expect.arrayContaining([
      'Pace       412 asked in the last minute; at most 1,000 a minute, 5 % of a zone at work',
      'Window     02:00-05:00 friday, by the clocks of the devices',
    ]),
  );
  expect(linesOf(update({ ignore_window: true }))).toContain('Window     none: also outside the windows of zones');
});

it('the screen of an update that supersedes says how many devices it has yet to take over', () => {
  const linesOf = (seen: UpdateDetail) => updateView(seen, { paint: (_, text) => text, width: 200, now });
  expect(linesOf(update({ claimed: 1_200 }))).toContain(
    'To come    1,200 from older updates, of which those at work follow when they have ended there',
  );
});

it('the screen of an update is text that can be read without colours', () => {
  const seen = update({
    ...{ canary, canary_started_dt: '2026-11-26T04:30:00.000Z', canary_passed_dt: '2026-11-26T04:45:00.000Z' },
    ...{ canary_counts: { ...none, SUCCEEDED: 49, FAILED: 1 }, estimated_end_dt: '2026-11-26T05:03:00.000Z' },
    abort: [{ failure_types: ['ALL'], threshold_percentage: 10, minimum_executions: 1_000, action: 'ABORT' }],
    not_eligible: { DOWNGRADE: 12 },
    reasons: [{ status: 'FAILED', reason: 'DEVICE_FAILED', count: 20, texts: [{ text: 'flash\x1b[2J error', count: 20 }] }],
  });
  expect(updateView(seen, { paint: (_, text) => text, width: 60, now })).toEqual([
    'Update 17: vega_mcu 1.5.0  IN_PROGRESS',
    'Asks up to 1,000 devices a minute.',
    '',
    '██████████░░░░░░░░░░ 52 %   520 of 1,000 have ended',
    '',
    '  QUEUED         300  ████████████',
    '  IN_PROGRESS    180  ███████',
    '  SUCCEEDED      500  ███████████████████',
    '  FAILED          20  █',
    '',
    'Canary     50 devices, passed 2026-11-26 04:45:00Z: 49 SUCCEEDED, 1 FAILED',
    'Pace       412 asked in the last minute; at most 1,000 a minute',
    'End        about 2026-11-26 05:03:00Z, in 3 min',
    'Stop rule  ABORT at 10 % failed: 2.8 % now, judged from 1,000 ended on',
    'Left out   12 DOWNGRADE',
    '',
    'Reasons',
    '  FAILED       20  DEVICE_FAILED: "flash [2J error" (20)',
  ]);
});

it('the end of an update that waits for silent devices says what it waits for, and what is not asked yet says why', () => {
  const at_work = { since_dt: '2026-11-26T04:40:00.000Z', deadline_dt: '2026-11-26T05:41:00.000Z' };
  const silent = update({ counts: { ...none, SUCCEEDED: 998, IN_PROGRESS: 2 }, at_work, estimated_end_dt: at_work.deadline_dt });
  const linesOf = (seen: UpdateDetail, waits: Wait[] = []) => updateView(seen, { paint: (_, text) => text, width: 200, now, waits });
  expect(linesOf(silent)).toContain(
    'End        about 2026-11-26 05:41:00Z, in 41 min; 2 at work, the first silent since 2026-11-26 04:40:00Z: what has not shown its version by its deadline is TIMED_OUT',
  );
  const waits: Wait[] = [
    { cause: 'POLL', count: 12, since_dt: '2026-11-20T10:00:00.000Z', until_dt: null },
    { cause: 'RETRY', count: 1, since_dt: null, until_dt: '2026-11-26T05:10:00.000Z' },
  ];
  expect(linesOf(update({}), waits)).toEqual(
    expect.arrayContaining([
      'Waiting    12 for the next poll of the device, last seen 2026-11-20 10:00:00Z',
      '           1 for the next try, until 2026-11-26 05:10:00Z',
    ]),
  );
});

it.each([
  [{ cause: 'PACE', since_dt: null, until_dt: null, place: 1_200 }, 'the pace of the update, place 1,200'],
  [{ cause: 'POLL', since_dt: null, until_dt: null }, 'the next poll of the device, never seen'],
  [
    { cause: 'DEVICE', since_dt: '2026-11-26T04:40:00.000Z', until_dt: null },
    'the device, which has to show what it runs, since 2026-11-26 04:40:00Z',
  ],
] as const)('an execution that waits says for what: %j', (wait, words) => {
  expect(sayWait(wait)).toBe(words);
});
