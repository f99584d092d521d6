// `npm run fuzz`: requests that schemathesis generates from the OpenAPI document, against the whole service on this machine. Every answer
// has to be one that the document names, and none may be a server error.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { pythonEnvironment } from '../../ops/python-environment.ts';
import { numberOf } from '../number-option.ts';
import { startStack } from '../stack/stack.ts';
import { type Undo, withUndo } from '../stack/undo.ts';
import { exclusions, fuzzConfig } from './fuzz-config.ts';
import { seed } from './fuzz-seed.ts';

const REQUIREMENTS = join(dirname(fileURLToPath(import.meta.url)), 'requirements-openapi.txt');
/** Test cases of the fuzzing phase for each operation; examples, coverage and stateful come on top. */
const EXAMPLES = 6;
/** A fixed seed makes the same requests every time, so that a new finding comes from a change of the code. */
const SEED = 20_261_126;

const { values } = parseArgs({ options: { examples: { type: 'string' }, seed: { type: 'string' } } });
const examples = values.examples === undefined ? EXAMPLES : numberOf(values.examples);
const randomSeed = values.seed === undefined ? SEED : values.seed === 'random' ? 'random' : numberOf(values.seed);
if (!examples || randomSeed === undefined) {
  console.error('npm run fuzz [-- --examples N] [--seed N|random]   N in digits');
  process.exit(2);
}

process.exitCode = await withUndo(fuzz);

/** Answers the exit code of the first run that found something. */
async function fuzz(undo: Undo): Promise<number> {
  const environment = { name: 'openapi', install: ['-r', REQUIREMENTS], madeOf: [REQUIREMENTS], minimumMinor: 10 };
  const bin = await pythonEnvironment({ ...environment, onStep: console.log });
  const directory = await mkdtemp(join(tmpdir(), 'fuzz-'));
  undo.push(() => rm(directory, { recursive: true, force: true }));
  await announce();
  const stack = await startStack({ simulator: { scooters: 30, cabinets: 0, install_seconds: 0.2 }, onStep: console.log });
  undo.push(stack.stop);

  const document = join(directory, 'openapi.json');
  await writeFile(document, await (await fetch(`${stack.api_url}/openapi.json`)).text());
  const isValid = await run(join(bin, 'openapi-spec-validator'), ['--subschema-errors', 'all', document]);
  if (isValid !== 0) return isValid;

  const config = join(directory, 'schemathesis.toml');
  await writeFile(config, fuzzConfig({ token: stack.token, seed: await seed(stack), examples: examples as number }));
  const startedAt = performance.now();
  const code = await run(
    join(bin, 'schemathesis'),
    [
      ...['--config-file', config, 'run', document, '--url', stack.api_url, '--workers', '1'],
      ...(randomSeed === 'random' ? [] : ['--seed', String(randomSeed)]),
    ],
    directory,
  );
  console.log(`schemathesis took ${Math.round((performance.now() - startedAt) / 1_000)} s`);
  return code;
}

/** Prints versions and settings, and what is not checked. */
async function announce(): Promise<void> {
  const versions = (await readFile(REQUIREMENTS, 'utf8')).split('\n').filter((line) => /^\w/.test(line));
  console.log(
    `With ${versions.join(' and ')}: ${examples} generated requests for each operation, seed ${randomSeed}. All checks, but for:`,
  );
  for (const { reason, settings } of exclusions) console.log(`- ${reason}\n${settings.map((line) => `    ${line}`).join('\n')}`);
}

async function run(program: string, parameters: string[], cwd?: string): Promise<number> {
  const child = spawn(program, parameters, { stdio: ['ignore', 'inherit', 'inherit'], ...(cwd !== undefined && { cwd }) });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}
