// The command line and the client as their users have them: packed, installed into an empty folder, and run against the whole service.
import { execFile, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createClient } from '../../clients/api/src/index.ts';
import { type Stack, startStack } from '../../dev/stack/stack.ts';
import { callEveryOperation } from '../support/every-operation.ts';
import { startScriptedServer } from '../support/scripted-server.ts';
import { ended, hasTerminal, openTerminal } from '../support/terminal.ts';

const CLIENTS = fileURLToPath(new URL('../../clients', import.meta.url));
const TSC = fileURLToPath(new URL('../../node_modules/.bin/tsc', import.meta.url));
const SCOOTERS = 30;
const everyScope = [
  'read',
  'firmware:write',
  'devices:write',
  'devices:report',
  'updates:write',
  'updates:approve',
  'keys:write',
  'audit:read',
];
const hasZsh = spawnSync('zsh', ['--version']).status === 0;

let stack: Stack;
/** An empty folder, where the tarball was installed. */
let folder: string;
let bin: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'scu '));
  const pack = async (name: string) => {
    const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: join(CLIENTS, name) });
    const [{ filename }] = JSON.parse(stdout.slice(stdout.indexOf('['))) as [{ filename: string }];
    return join(folder, filename);
  };
  const install = async () => {
    const tarballs = await Promise.all(['cli', 'api'].map(pack));
    await mkdir(join(folder, 'installed'));
    await writeFile(join(folder, 'installed', 'package.json'), '{"type": "module"}');
    await run('npm', ['install', '--offline', '--no-audit', '--no-fund', ...tarballs], { cwd: join(folder, 'installed') });
    bin = join(folder, 'installed', 'node_modules', '.bin');
  };
  await mkdir(join(folder, 'clone', '.local'), { recursive: true });
  const stackFile = join(folder, 'clone', '.local', 'stack.json');
  [stack] = await Promise.all([
    startStack({ isBuilt: true, stackFile, simulator: { scooters: SCOOTERS, cabinets: 1, install_seconds: 0.2, seed: 7 } }),
    install(),
  ]);
});
const opened: { close(): void }[] = [];
afterAll(async () => {
  for (const each of opened) each.close();
  await stack?.stop();
  await rm(folder, { recursive: true, force: true });
});

const run = promisify(execFile);

/** Nothing of whoever runs the tests, and a home of its own. */
const environment = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  PATH: `${bin}:${process.env['PATH']}`,
  HOME: folder,
  XDG_CONFIG_HOME: join(folder, 'config'),
  ...more,
});
const inPipeline = (token = stack.token) => environment({ SCU_URL: stack.api_url, SCU_TOKEN: token });

interface Options {
  env?: NodeJS.ProcessEnv;
  input?: string;
  cwd?: string;
}

const scu = async (words: string[], { env = inPipeline(), input = '', cwd = folder }: Options = {}) => {
  const child = spawn('scu', words, { cwd, env });
  const [stdout, stderr] = [child.stdout, child.stderr].map((stream) => {
    const parts: string[] = [];
    stream.setEncoding('utf8').on('data', (part: string) => parts.push(part));
    return parts;
  });
  child.stdin.end(input);
  const exitCode = await ended(child);
  return { exitCode, stdout: stdout?.join('') ?? '', stderr: stderr?.join('') ?? '' };
};
/** The answer of a command that has to succeed. */
const answerOf = async (words: string[], options?: Options): Promise<string> => {
  const { exitCode, stdout, stderr } = await scu(words, options);
  if (exitCode !== 0) throw new Error(`scu ${words.join(' ')} ended with ${exitCode}: ${stderr}`);
  return stdout;
};
const jsonOf = async (...words: string[]) => JSON.parse(await answerOf([...words, '--json']));
const linesOf = async (...words: string[]) =>
  (await answerOf([...words, '--json']))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

describe('a fleet and its firmwares', () => {
  it('device import reports each wrong line by number and goes on; --strict stores nothing', async () => {
    const scooters = Array.from({ length: SCOOTERS }, (_, i) => `scooter,S-${String(i + 1).padStart(5, '0')},${(i % 2) + 1}`);
    const lines = [
      'kind,external_id,version',
      ...scooters.slice(0, 2),
      'boat,B-1,1',
      'scooter,not an id,1',
      'scooter,S-1,seven',
      ...scooters.slice(2),
    ];
    await writeFile(join(folder, 'fleet.csv'), lines.join('\n'));
    const strict = await scu(['device', 'import', 'fleet.csv', '--strict']);
    expect(strict).toMatchObject({ exitCode: 5, stdout: '' });
    expect(await linesOf('device', 'list')).toEqual([]);

    const { exitCode, stdout, stderr } = await scu(['device', 'import', 'fleet.csv']);
    expect({ exitCode, stdout }).toEqual({ exitCode: 5, stdout: '30 added, 0 changed, 0 unchanged, 3 refused\n' });
    expect(stderr.split('\n').map((line) => /^Line \d+/.exec(line)?.[0])).toEqual(expect.arrayContaining(['Line 4', 'Line 5', 'Line 6']));
  });

  it('device import --strict stops at a line that the service refuses', async () => {
    const { exitCode, stderr } = await scu(['device', 'import', '-', '--strict'], { input: 'external_id\nS-00001\nnot an id\n' });
    expect(exitCode).toBe(5);
    expect(stderr).toMatch(/^scu: Line 3: external_id: .+\nNothing was stored/);
  });

  it('device list finds devices by the beginning of their ids', async () => {
    expect((await linesOf('device', 'list', '--prefix', 'S-0002')).map(({ external_id }) => external_id)).toEqual(
      Array.from({ length: 10 }, (_, i) => `S-0002${i}`),
    );
  });

  it('device export writes CSV that import takes', async () => {
    const csv = await answerOf(['device', 'export']);
    expect(csv.split('\n').slice(0, 2)).toEqual([
      expect.stringMatching(/^kind,external_id,version,channel,last_seen_dt,.*vega_mcu/),
      expect.stringMatching(/^scooter,S-00001,1,telematics,,/),
    ]);
    expect(await answerOf(['device', 'import', '-'], { input: csv })).toBe('0 added, 0 changed, 30 unchanged, 0 refused\n');
  });

  it('firmware upload, list, view and download bring the same bytes; another file under the version is refused', async () => {
    const bytes = randomBytes(200_000);
    await writeFile(join(folder, 'mcu.bin'), bytes);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const upload = ['firmware', 'upload', 'mcu.bin', '--type', 'vega_mcu', '--version', '1.5.0'];
    const { exitCode, stdout, stderr } = await scu([...upload, '--json']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ version: '1.5.0', status: 'available', sha256 });
    expect(stdout).not.toContain('X-Amz-Signature');
    expect(await jsonOf(...upload)).toMatchObject({ id: JSON.parse(stdout).id, sha256 });

    expect(await linesOf('firmware', 'list', '--type', 'vega_mcu')).toMatchObject([{ version: '1.5.0', device_count: 0 }]);
    expect(await answerOf(['firmware', 'list'])).toMatch(/^ID +TYPE +VERSION .*\n\d+ +vega_mcu +1\.5\.0 +available +200\.0 kB/);
    expect(await answerOf(['firmware', 'view', 'vega_mcu@1.5.0'])).toContain(sha256);
    expect(await answerOf(['firmware', 'download', 'vega_mcu@1.5.0'])).toBe('vega_mcu-1.5.0.bin\n');
    expect((await readFile(join(folder, 'vega_mcu-1.5.0.bin'))).equals(bytes)).toBe(true);

    await writeFile(join(folder, 'other.bin'), randomBytes(10));
    const other = await scu(['firmware', 'upload', 'other.bin', '--type', 'vega_mcu', '--version', '1.5.0']);
    expect(other).toMatchObject({ exitCode: 5, stdout: '', stderr: expect.stringContaining('firmware.exists') });
  });

  it('an author signs with no word more than before, by the environment; a pipeline has the key on standard input', async () => {
    await writeFile(join(folder, 'signed.bin'), randomBytes(2_000));
    const type = ['--type', 'audio_unlock'];
    for (const owner of ['ada', 'bob']) {
      await answerOf(['key', 'new', `${owner}.pem`]);
      expect(await answerOf(['key', 'add', `${owner}.pem.pub`, '--owner', owner, ...type])).toContain(`of ${owner} is added`);
    }
    const demand = ['api', 'PATCH', '/v1/hardware-types/audio_unlock', '--data', '@-'];
    await answerOf(demand, { input: '{"author_signatures_required": 2}' });

    const upload = ['firmware', 'upload', 'signed.bin', ...type, '--version', '3.0.0'];
    const env = { ...inPipeline(), SCU_SIGN_WITH: 'ada.pem' };
    expect(await answerOf(upload, { env })).toContain('waits for signatures of its authors');
    const update = ['update', 'create', '--firmware', 'audio_unlock@3.0.0', '--all', '--yes'];
    expect(await scu(update)).toMatchObject({ exitCode: 5, stderr: expect.stringContaining('awaiting_signature') });

    const sign = ['firmware', 'sign', 'signed.bin', ...type, '--version', '3.0.0', '--key', '-', '--firmware', 'audio_unlock@3.0.0'];
    expect(await answerOf(sign, { input: await readFile(join(folder, 'bob.pem'), 'utf8') })).toMatch(/^Firmware \d+ is available\.\n$/);
    expect(await answerOf(upload, { env })).toContain('is available');
    const owners = (await jsonOf('firmware', 'view', 'audio_unlock@3.0.0')).author_signatures.map(({ owner }: { owner: string }) => owner);
    expect(owners).toEqual(['ada', 'bob']);
    await answerOf(demand, { input: '{"author_signatures_required": 0}' });
  });

  it('type add and list, package create and view', async () => {
    expect(await answerOf(['type', 'add', 'cabinet_fan', '--kind', 'cabinet', '--channel', 'iot', '--max-size', '1000000'])).toContain(
      'is added',
    );
    expect((await linesOf('type', 'list')).map(({ name }) => name)).toContain('cabinet_fan');
    const made = await jsonOf(
      'package',
      'create',
      '--type',
      'cabinet',
      '--version',
      '2026.11',
      '--part',
      'vega_mcu@1.5.0,path=/opt/mcu.bin',
    );
    expect(made).toMatchObject({ status: 'COMPLETED', parts: [{ hardware_type: 'vega_mcu', install: { path: '/opt/mcu.bin' } }] });
    expect(await answerOf(['package', 'view', String(made.id)])).toContain('rawfile /opt/mcu.bin');
  });
});

const target = ['--firmware', 'vega_mcu@1.5.0', '--version', '1'];

describe('a plan', () => {
  it('plan and create --dry-run show the reasons as a table, and change nothing', async () => {
    const devices = ['--firmware', 'vega_mcu@1.5.0', '--devices', 'S-00001,S-00002,S-nowhere'];
    const plan = await answerOf(['update', 'plan', ...devices]);
    expect(plan.split('\n')).toEqual([
      '2 devices would be updated.',
      '',
      'REASON          DEVICES  FOR EXAMPLE       THEY',
      'ELIGIBLE        2        S-00001, S-00002  would be updated',
      'UNKNOWN_DEVICE  1        S-nowhere         are not registered',
      '',
    ]);
    expect(await answerOf(['update', 'create', ...devices, '--dry-run'])).toBe(plan);
    expect(await linesOf('update', 'list')).toEqual([]);
  });

  it('create asks; where nobody can be asked it wants --yes, and nothing happens', async () => {
    expect(await scu(['update', 'create', ...target])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('say --yes') });
    expect(await linesOf('update', 'list')).toEqual([]);
  });
});

describe('zones, tags and groups', () => {
  it('a zone is added, changed and deleted; devices move into it, and it is not deleted before they have left', async () => {
    const added = await answerOf(['zone', 'add', 'north', '--time-zone', 'Europe/Moscow', '--budget', '10%', '--window', '02:00-05:00']);
    expect(added).toMatch(/^Zone north\ntime zone +Europe\/Moscow\nbudget +10 %\nwindow +02:00-05:00\ndevices +0\n/);
    expect(await answerOf(['device', 'change', 'S-00029', 'S-00030', '--zone', 'north'])).toBe(
      'Scooter S-00029: in zone north, generation 1, reached by telematics\n' +
        'Scooter S-00030: in zone north, generation 2, reached by telematics\n',
    );
    expect(await jsonOf('zone', 'change', 'north', '--no-window', '--budget', '50', '--comment', 'harbour')).toMatchObject({
      ...{ maximum_unavailable_percentage: 50, maintenance_window: null, comment: 'harbour', devices: 2 },
    });
    expect(await answerOf(['zone', 'list'])).toMatch(
      /^NAME +TIME ZONE +BUDGET +WINDOW +DEVICES +COMMENT\nnorth +Europe\/Moscow +50 % +- +2 +harbour\n$/,
    );
    expect(await scu(['zone', 'delete', 'north'])).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('say --yes') });
    expect(await scu(['zone', 'delete', 'north', '--yes'])).toMatchObject({ exitCode: 5, stdout: '' });
    expect((await scu(['zone', 'change', 'north'])).exitCode).toBe(2);
    expect((await scu(['zone', 'view', 'nowhere'])).exitCode).toBe(1);
  });

  it('tags are added to named devices and to those of a filter; an id that nobody has is told', async () => {
    expect(await answerOf(['device', 'tag', 'S-00030', '--add', 'night,trial'])).toBe('1 device has other tags now\n');
    const named = await scu(['device', 'tag', 'S-00030', 'S-nowhere', '--add', 'night']);
    expect(named).toMatchObject({ exitCode: 5, stdout: '0 devices have other tags now; 1 had them already; not registered: S-nowhere\n' });
    expect(await jsonOf('device', 'tag', '--zone', 'north', '--tag-none', 'night', '--add', 'day', '--remove', 'trial')).toMatchObject({
      changed: 1,
    });
    expect(
      (await linesOf('device', 'list', '--zone', 'north', '--tag-any', 'night,day')).map(({ external_id, tags }) => [external_id, tags]),
    ).toEqual([
      ['S-00029', ['day']],
      ['S-00030', ['night', 'trial']],
    ]);
    expect(await linesOf('device', 'list', '--zone', 'north', '--tag', 'night', '--version', '1')).toEqual([]);
    for (const words of [['S-00030'], ['--add', 'night'], ['S-00030', '--zone', 'north', '--add', 'night']])
      expect((await scu(['device', 'tag', ...words])).exitCode).toBe(2);
  });

  it('a group keeps conditions, lists who fulfils them, and is the target of an update; its words can be pasted', async () => {
    const conditions = '--kind scooter --zone north --tag night --not-running vega_mcu@0.9';
    expect(await answerOf(['group', 'add', 'night-shift', ...conditions.split(' '), '--comment', 'collected at night'])).toBe(
      `Group night-shift means: ${conditions}\n`,
    );
    expect((await linesOf('group', 'members', 'night-shift')).map(({ external_id }) => external_id)).toEqual(['S-00030']);
    expect(await answerOf(['update', 'plan', '--firmware', 'vega_mcu@1.5.0', '--group', 'night-shift'])).toMatch(/^1 device would/);
    expect(await answerOf(['group', 'change', 'night-shift', '--zone', 'north'])).toBe('Group night-shift means: --zone north\n');
    expect(await jsonOf('group', 'view', 'night-shift')).toMatchObject({ devices: 2, comment: 'collected at night' });
    expect(await answerOf(['group', 'list'])).toMatch(/night-shift +--zone north +collected at night\n$/);
    expect(await jsonOf('group', 'delete', 'night-shift', '--yes')).toEqual({ deleted: 'night-shift' });
    expect(await linesOf('group', 'list')).toEqual([]);
  });

  it('a dry run says who waits for a window and who for a budget, as the options of the update ask', async () => {
    const at = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString().slice(11, 16);
    const plan = ['update', 'plan', '--firmware', 'vega_mcu@1.5.0'];
    const closed = await answerOf([...plan, '--devices', 'S-00001', '--window', `${at(2)}-${at(3)}`]);
    expect(closed).toMatch(
      /^1 device would be updated\.\n {2}0 at once, at the pace of the update\n {2}1 in no zone when its window opens: \d{4}-/,
    );
    const budget = await answerOf([...plan, '--zone', 'north', '--budget', '1%']);
    expect(budget).toMatch(/^2 devices would be updated\.\n {2}1 at once, .*\n {2}1 in zone north as others there have ended: its budget/);
    expect(await answerOf([...plan, '--zone', 'north', '--not-running', '1.4.0'])).toMatch(/^2 devices would/);
    expect((await scu([...plan, '--all', '--ignore-window'])).stderr).toContain('is needed with ignore_window');
  });

  it('a device is given another id, retired and taken back, and leaves its zone; the audit tells it', async () => {
    await answerOf(['device', 'import', '-'], { input: 'kind,external_id,zone,tags,revision\ncabinet,A-0001,north,new spare,B2\n' });
    const cabinet = ['--kind', 'cabinet'];
    expect(await answerOf(['device', 'rename', 'A-0001', 'A-0002', ...cabinet])).toBe('Cabinet A-0001 is A-0002 now.\n');
    expect(await answerOf(['device', 'view', 'A-0002', ...cabinet])).toMatch(
      /zone +north\ntags +new spare\nrevision +B2\n[\s\S]*before +A-0001 until/,
    );
    expect((await scu(['device', 'retire', 'A-0002', ...cabinet])).exitCode).toBe(2);
    expect(await answerOf(['device', 'retire', 'A-0002', ...cabinet, '--yes'])).toBe('Cabinet A-0002 is retired.\n');
    expect(await linesOf('device', 'list', '--zone', 'north', ...cabinet, '--no-retired')).toEqual([]);
    expect(await linesOf('device', 'list', '--retired')).toMatchObject([{ external_id: 'A-0002' }]);
    expect(await answerOf(['device', 'reinstate', 'A-0002', ...cabinet])).toBe('Cabinet A-0002 is in service.\n');
    await answerOf(['device', 'change', 'A-0002', ...cabinet, '--no-zone', '--no-revision']);
    await answerOf(['device', 'change', 'S-00029', 'S-00030', '--no-zone']);
    expect(await answerOf(['zone', 'delete', 'north', '--yes'])).toBe('Zone north is deleted.\n');

    const auditor = inPipeline(await stack.tokenFor({ subject: 'auditor', scopes: everyScope }));
    const lines = await answerOf(['audit', '--resource', 'device', '--csv'], { env: auditor });
    for (const what of ['retire', 'reinstate', 'change', 'tag']) expect(lines).toMatch(new RegExp(`,${what},device`));
    const last = await answerOf(['audit', '--did', 'reinstate', '--since', '2026-01-01', '--limit', '1', '--json'], { env: auditor });
    expect(JSON.parse(last)).toMatchObject({ action: 'reinstate', resource_id: 'cabinet/A-0002' });
    expect(await answerOf(['audit', '--resource', 'zone', '--id', 'north'], { env: auditor })).toMatch(/delete[\s\S]*change[\s\S]*add/);
  });
});

describe.concurrent('an update', () => {
  it('is paused, changed, watched with --timeout, resumed and canceled', async () => {
    const start = new Date(Date.now() + 3_600_000).toISOString();
    await answerOf(['firmware', 'upload', 'mcu.bin', '--type', 'audio_battery_low', '--version', '3.0']);
    const { id } = await jsonOf('update', 'create', '--firmware', 'audio_battery_low@3.0', '--version', '1', '--yes', '--start', start);
    expect((await scu(['update', 'watch', String(id), '--timeout', '1s'])).exitCode).toBe(7);
    expect(await answerOf(['update', 'pause', `#${id}`, '--reason', 'lunch'])).toBe(`Update ${id} is paused.\n`);
    expect(await answerOf(['update', 'view', String(id)])).toContain('Paused: lunch.');
    expect(await jsonOf('update', 'pace', String(id), '--per-minute', '60')).toMatchObject({
      update: { rollout: { maximum_per_minute: 60 } },
    });
    expect(await answerOf(['update', 'resume', String(id)])).toBe(`Update ${id} goes on.\n`);
    expect((await scu(['update', 'cancel', String(id)])).exitCode).toBe(2);
    expect(await answerOf(['update', 'cancel', String(id), '--yes'])).toBe(`Update ${id} is canceled.\n`);
    expect((await scu(['update', 'watch', String(id)])).exitCode).toBe(6);
    expect((await linesOf('update', 'list', '--status', 'CANCELED')).map((update) => update.id)).toContain(id);
  });

  it('create --watch prints lines where there is no terminal, and ends with the result as exit code', async () => {
    const canary = ['--canary', '5', '--canary-wait', '0'];
    const { exitCode, stdout, stderr } = await scu(['update', 'create', ...target, ...canary, '--yes', '--watch']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toMatch(
      /^Update (\d+): 15 devices to vega_mcu 1\.5\.0\n[\s\S]*update \1 COMPLETED 100 %: 15 SUCCEEDED;.*Done: 15 of 15 devices succeeded\.\n$/,
    );
    // biome-ignore lint/suspicious/noControlCharactersInRegex: there must be none
    expect(stdout).not.toMatch(/\x1b/);
    const id = /^Update (\d+)/.exec(stdout)?.[1] ?? '';
    expect((await linesOf('update', 'watch', id)).at(-1)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 15 } });
    expect((await scu(['update', 'watch', id, '--until', 'canary'])).exitCode).toBe(0);
    expect((await linesOf('update', 'devices', id, '--status', 'SUCCEEDED')).length).toBe(15);
    expect((await answerOf(['update', 'devices', id, '--csv', '--limit', '1'])).split('\n')).toEqual([
      expect.stringMatching(/^kind,external_id,status,reason,/),
      expect.stringMatching(/^scooter,S-\d+,SUCCEEDED,/),
      '',
    ]);
    expect(await linesOf('update', 'devices', id, '--canary')).toHaveLength(5);
    expect(await linesOf('update', 'devices', id, '--no-canary', '--device', 'S-00002')).toEqual([]);
    expect(await linesOf('update', 'devices', id, '--device', 'S-00001')).toMatchObject([{ external_id: 'S-00001', status: 'SUCCEEDED' }]);
    expect(await answerOf(['update', 'devices', id, '--left-out'])).toBe('None.\n');
    for (const condition of [
      ['--firmware', 'vega_mcu@1.5.0'],
      ['--type', 'vega_mcu'],
      ['--by', 'local-engineer'],
    ]) {
      expect((await linesOf('update', 'list', ...condition)).map((update) => String(update.id))).toContain(id);
    }
    expect(await linesOf('update', 'list', '--by', 'nobody')).toEqual([]);
    expect(await answerOf(['device', 'view', 'S-00001', '--history'])).toMatch(/vega_mcu +1\.5\.0 +yes/);
    expect(await answerOf(['stats'])).toMatch(/vega_mcu +\d+ +1\.5\.0 +15 /);
    expect(await answerOf(['update', 'timeline', id, '--points', '5'])).toMatch(/^TIME +QUEUED.*\n(.*\n){4}.* 15\n$/);
    expect((await linesOf('update', 'timeline', id, '--points', '3')).at(-1)).toMatchObject({ counts: { SUCCEEDED: 15 } });
    expect(await answerOf(['stats', 'versions', 'vega_mcu'])).toMatch(/^DAY +DEVICES.* 1\.5\.0.*\n\d{4}-\d\d-\d\d /);
    expect(await answerOf(['stats', 'versions', 'vega_mcu', '--csv'])).toMatch(
      /^day,version,devices,share\n(.*\n)*\d{4}-\d\d-\d\d,1\.5\.0,15,/,
    );
    expect(await answerOf(['stats', 'times', 'vega_mcu'])).toMatch(/FROM +UNTIL +NUMBER(.|\n)*VERSION(.|\n)*1\.5\.0 +15 /);
    for (const what of ['versions', 'times']) expect((await scu(['stats', what, 'hoverboard'])).exitCode).toBe(2);
    const [latest] = await linesOf('update', 'devices', id, '--sort', 'finished_dt_descending', '--limit', '1');
    expect(latest).toMatchObject({ status: 'SUCCEEDED' });
    // Another test adds S-unknown.
    const last = (await linesOf('device', 'list', '--sort', 'external_id_descending', '--limit', '3')).map(
      ({ external_id }) => external_id,
    );
    expect(last.filter((external_id) => external_id !== 'S-unknown').slice(0, 2)).toEqual(['S-00030', 'S-00029']);
    expect((await scu(['update', 'retry', id, '--yes'])).exitCode).toBe(5);
    expect((await scu(['update', 'pause', id])).exitCode).toBe(5);
  });

  it('with failures it ends with 6, unless so many are accepted; retry tries those again', async () => {
    // The backend does not know it, and refuses to ask it.
    await answerOf(['device', 'import', '-'], { input: 'external_id,version\nS-unknown,2\n' });
    await answerOf(['firmware', 'upload', 'mcu.bin', '--type', 'audio_locate', '--version', '1.6.0']);
    const create = ['update', 'create', '--firmware', 'audio_locate@1.6.0', '--devices', 'S-unknown', '--yes'];
    const failed = await scu([...create, '--watch', '--json']);
    expect(failed.exitCode).toBe(6);
    const { id, counts } = JSON.parse(failed.stdout.trim().split('\n').at(-1) ?? '');
    expect(counts).toMatchObject({ REJECTED: 1 });
    expect((await scu(['update', 'watch', `${id}`, '--accept-failures', '1'])).exitCode).toBe(0);
    expect((await scu(['update', 'watch', `${id}`, '--accept-failures', '99%'])).exitCode).toBe(6);
    expect(await jsonOf('update', 'retry', `${id}`, '--yes')).toMatchObject({ retry_of_update_id: id });
  });
});

describe.concurrent('what else there is', () => {
  it('observe asks named devices, and imports what the backend knows', async () => {
    expect(await answerOf(['observe', 'S-00001'])).toMatch(/1 devices asked, 1 answered[\s\S]*S-00001 +audio_battery_low +not known +/);
    expect(await jsonOf('observe', '--add-unknown')).toMatchObject({ status: 'COMPLETED', devices_added: 1 });
  });

  it('device token is shown once, and asked for', async () => {
    await answerOf(['device', 'import', '-'], { input: 'kind,external_id,channel\ncabinet,C-9001,iot\n' });
    expect((await scu(['device', 'token', 'C-9001', '--kind', 'cabinet'])).exitCode).toBe(2);
    expect(await answerOf(['device', 'token', 'C-9001', '--kind', 'cabinet', '--yes'])).toMatch(/^[\w-]{43}\n$/);
  });

  it('api calls any operation', async () => {
    expect(JSON.parse(await answerOf(['api', 'get', '/v1/firmwares?hardware_type=vega_mcu']))).toMatchObject({
      items: [{ version: '1.5.0' }],
    });
    const lookup = await answerOf(['api', 'POST', '/v1/devices/lookup', '--data', '@-'], { input: '{"external_ids": ["S-00003"]}' });
    expect(JSON.parse(lookup)).toMatchObject({ items: [{ external_id: 'S-00003' }] });
  });

  it('firmware withdraw says why', async () => {
    await answerOf(['firmware', 'upload', 'mcu.bin', '--type', 'audio_lock', '--version', '0.1']);
    expect(await jsonOf('firmware', 'withdraw', 'audio_lock@0.1', '--reason', 'fails', '--yes')).toMatchObject({
      status: 'withdrawn',
      reason: 'fails',
    });
  });

  it.each([
    [['update', 'wtch'], 'Did you mean watch?'],
    [['firmware', 'upload', 'mcu.bin'], "required option '--type <name>' not specified"],
    [['update', 'plan', '--firmware', '1'], 'Which devices?'],
    [['device', 'list', '--kind', 'boat'], 'Allowed choices are scooter, cabinet'],
    [['update', 'watch', '1', '--timeout', 'soon'], 'A time like 90s'],
    [['firmware', 'view', 'nothing'], 'names no firmware'],
  ])('a wrong command line ends with 2 and says what is wrong: scu %s', async (words, message) => {
    expect(await scu(words)).toMatchObject({ exitCode: 2, stdout: '', stderr: expect.stringContaining(message) });
  });
});

it.concurrent('the examples in the README of the client are right, by their types and when they run', async () => {
  const readme = await readFile(join(CLIENTS, 'api', 'README.md'), 'utf8');
  const examples = [...readme.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code]) => code).join('');
  const installed = join(folder, 'installed');
  await writeFile(join(installed, 'examples.ts'), examples);
  await writeFile(join(installed, 'gsm.bin'), randomBytes(1_000));
  const types = fileURLToPath(new URL('../../node_modules/@types', import.meta.url));
  const options = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--module', 'nodenext', '--target', 'es2024'];
  await run(TSC, [...options, '--typeRoots', types, '--types', 'node', 'examples.ts'], { cwd: installed });
  const { stdout } = await run(process.execPath, ['examples.ts'], { cwd: installed, env: inPipeline() });
  expect(stdout).toContain('S-00030');
  expect(stdout).toContain('COMPLETED');
  expect(stdout).toContain('firmware.not_found');
});

describe.concurrent('who calls', () => {
  it('beside npm start nothing has to be set', async () => {
    const beside = { env: environment(), cwd: join(folder, 'clone') };
    expect(await answerOf(['whoami'], beside)).toMatch(/token +from npm start\nsubject +local-engineer/);
    expect((await scu(['stats'], beside)).exitCode).toBe(0);
  });

  it('4: without a service or a token, with a token that is wrong, and with one that lacks the scope', async () => {
    expect(await scu(['stats'], { env: environment() })).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('scu login') });
    expect(await scu(['stats'], { env: inPipeline('wrong') })).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('auth.') });
    const reader = inPipeline(await stack.tokenFor({ subject: 'reader', scopes: ['read'] }));
    const refused = await scu(['device', 'import', 'fleet.csv'], { env: reader });
    expect(refused).toMatchObject({ exitCode: 4, stdout: '', stderr: expect.stringContaining('devices:write') });
  });

  it('login by a browser keeps a token that only its owner may read, renews it, and logout forgets it', async () => {
    const browser = join(folder, 'browser.mjs');
    await writeFile(browser, '#!/usr/bin/env node\nawait fetch(process.argv[2]);\n');
    await chmod(browser, 0o755);
    const env = environment({ BROWSER: browser, XDG_CONFIG_HOME: join(folder, 'browser') });
    expect(await answerOf(['login', '--url', stack.api_url, '--issuer', stack.issuer], { env })).toBe(
      `Logged in to ${stack.api_url} as local-engineer.\n`,
    );
    const file = join(folder, 'browser', 'scu', 'config.json');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await answerOf(['whoami'], { env })).toMatch(
      /token +from login[\s\S]*scopes +read firmware:write devices:write updates:write\n/,
    );

    const kept = JSON.parse(await readFile(file, 'utf8'));
    const { token } = kept.services[stack.api_url];
    kept.services[stack.api_url] = { ...kept.services[stack.api_url], token: 'has run out', expires_at: 0 };
    await writeFile(file, JSON.stringify(kept));
    await answerOf(['stats'], { env });
    const renewed = JSON.parse(await readFile(file, 'utf8')).services[stack.api_url];
    expect(renewed.token).not.toBe('has run out');
    expect(renewed.expires_at).toBeGreaterThan(Date.now());
    expect(token.split('.')).toHaveLength(3);

    expect(await answerOf(['logout'], { env })).toBe(`Logged out of ${stack.api_url}.\n`);
    expect((await scu(['stats'], { env })).exitCode).toBe(4);
    expect((await scu(['logout'], { env })).exitCode).toBe(4);
  });

  it('login by a code on another device, and with a token from standard input; a wrong one is not kept', async () => {
    const env = environment({ XDG_CONFIG_HOME: join(folder, 'device') });
    const device = await scu(['login', '--url', stack.api_url, '--issuer', stack.issuer, '--device'], { env });
    expect(device).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('type this code: LOCAL') });
    const withToken = ['login', '--url', stack.api_url, '--with-token'];
    expect((await scu(withToken, { env, input: 'wrong\n' })).exitCode).toBe(4);
    expect(await answerOf(withToken, { env, input: `${stack.token}\n` })).toContain('Logged in');
    await answerOf(['stats'], { env });
    await answerOf(['logout'], { env });
  });

  it('a token from a file is read anew for each command', async () => {
    const file = join(folder, 'token.txt');
    await writeFile(file, `${stack.token}\n`);
    const env = environment({ SCU_URL: stack.api_url, SCU_TOKEN_FILE: file });
    expect(await answerOf(['whoami'], { env })).toContain('from SCU_TOKEN_FILE');
    await answerOf(['stats'], { env });
  });
});

describe.concurrent('when it does not go as planned', () => {
  const json = { 'content-type': 'application/json' };

  it('a service that is away is asked again after as long as it says; then the command ends with 1', async () => {
    const server = await startScriptedServer((response, count) => {
      if (count === 1) response.writeHead(503, { ...json, 'retry-after': '0' }).end('{"code": "database.unavailable", "detail": "away"}');
      else response.writeHead(200, json).end('{"items": [], "next_cursor": null}');
    });
    const env = environment({ SCU_URL: server.url, SCU_TOKEN: 'any' });
    expect(await scu(['type', 'list'], { env })).toEqual({ exitCode: 0, stdout: 'None.\n', stderr: '' });
    expect(server.requests).toHaveLength(2);

    const away = await startScriptedServer((response) => {
      response.writeHead(503, { ...json, 'retry-after': '0' }).end('{"code": "database.unavailable", "detail": "The database is away"}');
    });
    const failed = await scu(['type', 'list'], { env: environment({ SCU_URL: away.url, SCU_TOKEN: 'any' }) });
    expect(failed).toEqual({ exitCode: 1, stdout: '', stderr: 'scu: The database is away\n(503 database.unavailable)\n' });
    expect(away.requests).toHaveLength(4);
  });

  const interrupt = async (words: string[], env: NodeJS.ProcessEnv, isUnderWay: (stdout: string) => void) => {
    const child = spawn('scu', words, { cwd: folder, env });
    opened.push({ close: () => void child.kill() });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (part) => {
      stdout += part;
    });
    child.stderr.on('data', (part) => {
      stderr += part;
    });
    await vi.waitFor(() => isUnderWay(stdout), { timeout: 20_000, interval: 30 });
    child.kill('SIGINT');
    return { exitCode: await ended(child), stderr };
  };

  it('130: Ctrl-C in the middle of an upload', async () => {
    // The storage takes the bytes and never answers.
    const storage = await startScriptedServer(() => {});
    const service = await startScriptedServer((response) => {
      const upload = { method: 'PUT', url: `${storage.url}/put`, headers: {}, expires_dt: '2099-01-01T00:00:00Z' };
      response.writeHead(201, json).end(JSON.stringify({ id: 1, status: 'awaiting_upload', upload }));
    });
    const words = ['firmware', 'upload', 'mcu.bin', '--type', 'vega_mcu', '--version', '2.0.0'];
    const env = environment({ SCU_URL: service.url, SCU_TOKEN: 'any' });
    const interrupted = await interrupt(words, env, () => expect(storage.requests).toHaveLength(1));
    expect(interrupted).toEqual({ exitCode: 130, stderr: 'scu: Stopped.\n' });
  });

  it('130: Ctrl-C in the middle of a watch says how to see it again; the update goes on', async () => {
    const start = new Date(Date.now() + 3_600_000).toISOString();
    await answerOf(['firmware', 'upload', 'mcu.bin', '--type', 'audio_lock', '--version', '9.0']);
    const { id } = await jsonOf('update', 'create', '--firmware', 'audio_lock@9.0', '--devices', 'S-00030', '--yes', '--start', start);
    const interrupted = await interrupt(['update', 'watch', `${id}`], inPipeline(), (stdout) => expect(stdout).toContain('SCHEDULED'));
    expect(interrupted).toEqual({ exitCode: 130, stderr: `Update ${id} goes on; see it again: scu update watch ${id}\nscu: Stopped.\n` });
    expect(await jsonOf('update', 'view', `${id}`)).toMatchObject({ status: 'SCHEDULED' });
  });
});

describe.runIf(hasTerminal).concurrent('on a terminal', () => {
  const open = (command: string, env = inPipeline()) => {
    const terminal = openTerminal(command, { cwd: folder, env });
    opened.push(terminal);
    return terminal;
  };

  it('asks before it does harm; watches an update on one screen without flicker', async () => {
    await writeFile(join(folder, 'next.bin'), randomBytes(1_000));
    await answerOf(['firmware', 'upload', 'next.bin', '--type', 'audio_unlock', '--version', '1.7.0']);
    const terminal = open('scu update create --firmware audio_unlock@1.7.0 --version 1 --watch');
    await terminal.waitFor('Update 15 devices to audio_unlock@1.7.0? [y/N]');
    terminal.type('y\r');
    await terminal.waitFor('Done: 15 of 15 devices succeeded.');
    expect(await terminal.exitCode).toBe(0);
    const pictures = terminal.text().split('\x1b[?2026h').slice(1);
    expect(pictures.length).toBeGreaterThan(1);
    for (const picture of pictures) {
      expect(picture).toMatch(/Update \d+: audio_unlock 1\.7\.0/);
      // What was there is written over, never erased first: that is what flickers.
      // biome-ignore lint/suspicious/noControlCharactersInRegex: commands of the terminal begin with one
      expect(picture).not.toMatch(/\x1b\[2?J[\s\S]*Update/);
    }
    expect(terminal.text().endsWith('\x1b[?25h')).toBe(true);
  });

  it('a no changes nothing', async () => {
    const terminal = open('scu firmware withdraw vega_mcu@1.5.0 --reason no');
    await terminal.waitFor('devices run? [y/N]');
    terminal.type('n\r');
    expect(await terminal.exitCode).toBe(1);
    expect(await jsonOf('firmware', 'view', 'vega_mcu@1.5.0')).toMatchObject({ status: 'available' });
  });

  it('shows progress, and colours unless NO_COLOR is set', async () => {
    const list = async (more: NodeJS.ProcessEnv) => {
      const terminal = open('scu firmware list', { ...inPipeline(), ...more });
      await terminal.exitCode;
      return terminal.text();
    };
    expect(await list({})).toContain('\x1b[32mavailable');
    expect(await list({ NO_COLOR: '1' })).not.toContain('\x1b[');
    const upload = open('scu firmware upload mcu.bin --type audio_unlock --version 1.8.0');
    expect(await upload.exitCode).toBe(0);
    expect(upload.text()).toContain('registering');
  });

  it('what is offered has a line each, however long its description', async () => {
    const lines = (await answerOf(['complete', '--', 'update', ''])).trimEnd().split('\n');
    expect(lines.filter((line) => !/^([a-z]+\t\S.*|:4)$/.test(line))).toEqual([]);
    expect(lines.map((line) => line.split('\t')[0])).toEqual(expect.arrayContaining(['create', 'timeline', 'watch']));
  });

  it('bash completes commands, options and files', async () => {
    const bash = open('bash --norc --noprofile', { ...inPipeline(), PS1: 'ready> ' });
    await bash.waitFor('ready> ');
    bash.type('source <(scu completion bash); echo loa""ded\r');
    await bash.waitFor('loaded');
    bash.type('scu upd\t');
    await bash.waitFor('scu update ');
    bash.type('wat\t');
    await bash.waitFor('update watch ');
    bash.type('--tim\t');
    await bash.waitFor('--timeout ');
    bash.type('\x15scu firmware upload fle\t');
    await bash.waitFor('upload fleet.csv ');
  });

  it.runIf(hasZsh)('zsh completes commands and options', async () => {
    const zsh = open('zsh -f', { ...inPipeline(), PS1: 'ready> ' });
    await zsh.waitFor('ready> ');
    zsh.type('autoload -U compinit && compinit -u -d zcompdump; source <(scu completion zsh); echo loa""ded\r');
    await zsh.waitFor('loaded');
    zsh.type('scu upd\t');
    await zsh.waitFor('scu update ');
    zsh.type('wat\t');
    await zsh.waitFor(/update\s+watch/);
  });
});

it('every operation of the API, called through the client, answers what its types allow', async () => {
  const client = createClient({ url: stack.api_url, token: () => stack.tokenFor({ subject: 'everybody', scopes: everyScope }) });
  await writeFile(join(folder, 'every.bin'), randomBytes(1_000));
  const { outcomes, documented } = await callEveryOperation(client, join(folder, 'every.bin'));
  expect(Object.keys(outcomes).toSorted()).toEqual(documented.toSorted());
  const { retryUpdate, ...others } = outcomes;
  const refused = Object.entries(others).filter(([, status]) => status !== 200);
  // The canceled update has ended, and nothing of it can be tried again, or it is just ending.
  expect([409, 422]).toContain(retryUpdate);
  // What needs an author's key, a device at work or a failed one is refused as the document says; all others succeed.
  expect(Object.fromEntries(refused)).toEqual({
    ...{ signFirmware: 400, addAuthorKey: 400, publishAuthorRoot: 400, getAuthorRoot: 404, revokeAuthorKey: 404, getConsoleAsset: 400 },
    ...{ getDeployment: 404, sendDeploymentFeedback: 404, getCancelAction: 404, sendCancelFeedback: 404, getInstalledBase: 404 },
    ...{ downloadArtifact: 404, probeArtifact: 404 },
    // Approval is off here.
    ...{ approveUpdate: 409, rejectUpdate: 409, approveAuthorKey: 404 },
  });
});
