// A separate folder for each run of `serverless`: it writes to `.serverless` beside serverless.yml, whatever --package says, and two runs at
// once would overwrite each other's files.
import { copyFile, mkdir, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './build.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const REFERRED_TO = ['functions', 'resources', 'package.json', 'node_modules'];

/** The `serverless` command: run it with Node, in a directory that has been prepared. */
export const SERVERLESS = createRequire(import.meta.url).resolve('serverless/bin/serverless.js');

/** Builds the functions there and puts beside them what serverless.yml refers to. */
export async function prepareServiceDirectory(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  await build({ directory: join(directory, '.build'), logLevel: 'warning' });
  // A copy, because serverless does not accept a link as its configuration.
  await copyFile(join(ROOT, 'serverless.yml'), join(directory, 'serverless.yml'));
  for (const name of REFERRED_TO) await symlink(join(ROOT, name), join(directory, name));
}
