import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { build } from '../../ops/build.ts';
import { mapTrace } from '../../ops/trace.ts';

const project = fileURLToPath(new URL('../..', import.meta.url));
const root = await mkdtemp(join(tmpdir(), 'trace-'));
const maps = join(root, '.build', 'maps');
afterAll(() => rm(root, { recursive: true }));

/** What a function prints that fails, without source maps. */
const runFunction = (): string => {
  const script = `require(${JSON.stringify(join(root, '.build', 'functions', 'fails', 'index.js'))}).handler();`;
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
  return stdout + stderr;
};

beforeAll(async () => {
  await symlink(join(project, 'node_modules'), join(root, 'node_modules'));
  await mkdir(join(root, 'functions', 'fails'), { recursive: true });
  await mkdir(join(root, 'lib'));
  await writeFile(
    join(root, 'lib', 'deep.ts'),
    [
      'interface Deep { id: number }',
      '',
      'export const fail = ({ id }: Deep): never => {',
      "  throw new Error('broken ' + id);",
      '};',
    ].join('\n'),
  );
  await writeFile(
    join(root, 'functions', 'fails', 'index.ts'),
    [
      `import { createLog } from ${JSON.stringify(join(project, 'lib', 'log.ts'))};`,
      `import { fail } from '../../lib/deep.ts';`,
      'export const handler = (): void => {',
      '  try {',
      '    fail({ id: 7 });',
      '  } catch (cause) {',
      `    createLog().error('it failed', { error: new Error('outer', { cause }) });`,
      '  }',
      '};',
    ].join('\n'),
  );
  await build({ root });
});

describe('npm run trace', () => {
  it('puts each place in a logged error and in its causes back to the line of the source', () => {
    const { text, unmapped } = mapTrace(runFunction(), maps);
    expect(text).toMatch(/^\S+ ERROR it failed\nError: outer\n\s+at .*\bfunctions\/fails\/index\.ts:7:45/);
    expect(text).toMatch(/\nError: broken 7\n\s+at .*\blib\/deep\.ts:4:9\)?\n\s+at .*\bfunctions\/fails\/index\.ts:5:5/);
    expect(text).not.toContain('index.js');
    expect(unmapped).toEqual([]);
  });

  it('takes a bare trace, with the paths that it has on Lambda, and leaves other places alone', () => {
    const trace =
      runFunction()
        .match(/"stack":"(Error: broken.*?)"[,}]/)?.[1]
        ?.replaceAll('\\n', '\n')
        .replaceAll(root, '/var/task') ?? '';
    expect(trace).toContain('/var/task/.build/functions/fails/index.js:');
    const { text } = mapTrace(`2026-11-26T08:00:00Z\tundefined\tERROR\n${trace}\nat node:internal/timers:5:5`, maps);
    expect(text).toMatch(/^2026-11-26T08:00:00Z\tundefined\tERROR\nError: broken 7\n\s+at .*\blib\/deep\.ts:4:9/);
    expect(text).toMatch(/at node:internal\/timers:5:5$/);
  });

  it('names the function without a map, and leaves its places as they are', () => {
    const line = 'at a (/var/task/.build/functions/other/index.js:1:5)';
    expect(mapTrace(line, maps)).toEqual({ text: line, unmapped: ['other'] });
  });

  it('reads its standard input or a file, and ends with 1 where a map is missing', async () => {
    const run = (input: string, ...args: string[]) =>
      spawnSync(process.execPath, [join(project, 'ops', 'trace.ts'), '--maps', maps, ...args], { input, encoding: 'utf8' });
    const logged = runFunction();
    await writeFile(join(root, 'function.log'), logged);
    const mapped = run(logged);
    expect(mapped).toMatchObject({ status: 0, stdout: expect.stringContaining('lib/deep.ts:4:9') });
    expect(run('', join(root, 'function.log'))).toMatchObject({ status: 0, stdout: mapped.stdout });
    expect(run('at /var/task/.build/functions/other/index.js:1:5')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('No source map of other'),
    });
  });
});
