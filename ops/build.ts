// `npm run build`: bundles every functions/<name>/index.ts into one file that Lambda and serverless-offline both load.
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { build as bundle } from 'esbuild';
import { leaveOut, partsLeftOut } from './leave-out.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

interface BuildOptions {
  root: string;
  directory: string;
  logLevel: 'silent' | 'warning';
}
export type BundleSizes = Record<string, { minified_bytes: number; gzip_bytes: number }>;

/**
 * Builds into `<directory>/functions/<name>/index.mjs` and writes the sizes to `<directory>/sizes.json`.
 * `npm start` and `npm test` may build at once: a file is only replaced, in one step, when its content changed,
 * so a stack that runs never loads half a bundle. Throws with esbuild's own messages when a function does not bundle.
 */
export async function build({
  root = ROOT,
  directory = join(root, '.build'),
  logLevel = 'silent',
}: Partial<BuildOptions> = {}): Promise<BundleSizes> {
  const names = await listFunctions(join(root, 'functions'));
  // Those that are built alike together: esbuild then reads every library once.
  const alike = Object.values(Object.groupBy(names, (name) => partsLeftOut(name).join()));
  const outputFiles = (await Promise.all(alike.map((group = []) => bundleFunctions(group, { root, directory, logLevel })))).flat();

  const sizes: BundleSizes = {};
  for (const { path, contents } of outputFiles) {
    await replaceFile(path, contents);
    if (!path.endsWith('.mjs')) continue;
    const compressed = await promisify(gzip)(contents);
    sizes[relative(join(directory, 'functions'), dirname(path))] = {
      minified_bytes: contents.byteLength,
      gzip_bytes: compressed.byteLength,
    };
  }
  await removeOldBundles(join(directory, 'functions'), names);
  const sorted = Object.fromEntries(Object.entries(sizes).sort(([a], [b]) => a.localeCompare(b)));
  await replaceFile(join(directory, 'sizes.json'), Buffer.from(`${JSON.stringify(sorted, null, 2)}\n`));
  return sorted;
}

async function bundleFunctions(names: string[], { root, directory, logLevel }: BuildOptions) {
  const { outputFiles } = await bundle({
    absWorkingDir: root,
    entryPoints: names.map((name) => ({ in: join(root, 'functions', name, 'index.ts'), out: `${name}/index` })),
    outdir: join(directory, 'functions'),
    outExtension: { '.js': '.mjs' }, // a module on Lambda too, where no package.json lies beside it
    bundle: true,
    minify: true,
    sourcemap: 'linked',
    platform: 'node',
    target: 'node24',
    format: 'esm',
    legalComments: 'none',
    // Packages in CommonJS (pg) call require() for Node's own modules.
    banner: { js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);" },
    external: ['pg-native'], // optional in pg, never installed
    plugins: [leaveOut(partsLeftOut(names[0] ?? ''))],
    logLevel,
    write: false,
  });
  return outputFiles;
}

async function listFunctions(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile() && entry.name === 'index.ts' && dirname(entry.parentPath) === directory)
    .map((entry) => relative(directory, entry.parentPath))
    .sort();
}

async function replaceFile(path: string, contents: Uint8Array): Promise<void> {
  const current = await readFile(path).catch(() => undefined);
  if (current?.equals(contents)) return;
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.${randomUUID()}`;
  await writeFile(temporary, contents);
  await rename(temporary, path);
}

/** A function that was renamed or removed must not be deployed from yesterday's bundle. */
async function removeOldBundles(directory: string, names: string[]): Promise<void> {
  const present = await readdir(directory).catch(() => []);
  await Promise.all(
    present.filter((name) => !names.includes(name)).map((name) => rm(join(directory, name), { recursive: true, force: true })),
  );
}

if (import.meta.main) {
  const sizes = await build({ logLevel: 'warning' });
  console.table(sizes);
  if (process.argv.includes('--record')) {
    const kibibytes = Object.entries(sizes).map(([name, { gzip_bytes }]) => [name, Math.round(gzip_bytes / 102.4) / 10]);
    await writeFile(join(ROOT, 'bench', 'bundle-sizes.json'), `${JSON.stringify(Object.fromEntries(kibibytes), null, 2)}\n`);
  }
}
