// Bundles the command into dist/scu.mjs and a file for each part that is loaded when it is called, without dependencies; beside them the
// licences of what is bundled.
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build as bundle, type Metafile, stop } from 'esbuild';

const PACKAGE = fileURLToPath(new URL('.', import.meta.url));

/** Answers the path of the bundle. */
export const buildCommand = async (directory = join(PACKAGE, 'dist')): Promise<string> => {
  // Names of parts change with what is in them: those of the build before would be packed too.
  await rm(directory, { recursive: true, force: true });
  const { metafile } = await bundle({
    absWorkingDir: PACKAGE,
    entryPoints: { scu: 'src/main.ts' },
    outdir: directory,
    outExtension: { '.js': '.mjs' },
    splitting: true,
    bundle: true,
    minify: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    legalComments: 'none',
    // commander is CommonJS and calls require() for Node's own modules.
    banner: { js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);" },
    metafile: true,
    logLevel: 'warning',
  });
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'LICENSES.txt'), await licencesOf(metafile));
  return join(directory, 'scu.mjs');
};

/** MIT asks that its text comes along. */
const licencesOf = async ({ inputs }: Metafile): Promise<string> => {
  const packages = new Set(Object.keys(inputs).flatMap((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0] ?? []));
  const texts = [...packages].sort().map(async (directory) => {
    const { name, version, license } = JSON.parse(await readFile(join(PACKAGE, directory, 'package.json'), 'utf8'));
    const file = ['LICENSE', 'LICENSE.md', 'license'].map((each) => join(PACKAGE, directory, each)).find(existsSync);
    return `${name} ${version}, ${license}\n\n${file === undefined ? '' : await readFile(file, 'utf8')}\n`;
  });
  return (await Promise.all(texts)).join('\n');
};

if (import.meta.main) {
  console.log(await buildCommand());
  await stop();
}
