// `npm run build`: bundles every functions/<name>/index.ts into one file that Lambda and serverless-offline both load, and the web console.
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { type BuildOptions as BuildOptionsOfEsbuild, build as bundle, type Plugin } from 'esbuild';
import { buildConsole } from './console-assets.ts';
import { leaveOut, partsLeftOut } from './leave-out.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Without it Node would take the bundle for an ES module on this machine, and on Lambda it would have to try both forms. */
const commonJs = Buffer.from('{"type":"commonjs"}\n');
/** Only beside functions that answer pages: the files that these load. */
const assetsFolder = 'assets';
/** Swagger UI's, beside `docs`. */
const filesOfDocs = ['swagger-ui-bundle.js', 'swagger-ui.css'];
/** Only beside functions that call AWS: the parts of the SDK, which they load at their first call (lib/sdk). */
const sdkFolder = 'sdk';
const deployedFiles = ['index.js', 'package.json', assetsFolder, sdkFolder];

interface BuildOptions {
  root: string;
  directory: string;
  logLevel: 'silent' | 'warning';
}
/** Sizes by function, and by `sdk/<file>` for the parts of the SDK. */
export type BundleSizes = Record<string, { minified_bytes: number; gzip_bytes: number }>;

/** Where the source maps of what was built in `directory` are (ops/trace.ts). */
export const mapsIn = (directory: string): string => join(directory, 'maps');

/**
 * Builds into `<directory>/functions/<name>/`, all of which is deployed, and writes the sizes to `<directory>/sizes.json`. Source maps are not
 * deployed, because a function would read several MB of them at each start.
 * `npm start` and `npm test` may build at once: a file is only replaced, in one step, when its content changed,
 * so a stack that runs never loads half a bundle. Throws with esbuild's own messages when a function does not bundle.
 */
export async function build({
  root = ROOT,
  directory = join(root, '.build'),
  logLevel = 'silent',
}: Partial<BuildOptions> = {}): Promise<BundleSizes> {
  const names = await listFunctions(join(root, 'functions'));
  // Functions with the same settings are built together, so that esbuild reads every library once.
  const alike = Object.values(Object.groupBy(names, (name) => partsLeftOut(name).join()));
  const options = { root, directory, logLevel };
  const bundles = await Promise.all(alike.map((group = []) => bundleFunctions(group, options)));
  const sdkFiles = await bundleSdk(options);

  const sizes: BundleSizes = {};
  for (const { path, contents } of bundles.flatMap(({ outputFiles }) => outputFiles)) {
    const name = relative(join(directory, 'functions'), dirname(path));
    if (path.endsWith('.map')) {
      await replaceFile(join(mapsIn(directory), `${name}.js.map`), withSourcesFrom(root, dirname(path), contents));
      continue;
    }
    await replaceFile(path, contents);
    await replaceFile(join(dirname(path), 'package.json'), commonJs);
    await removeAllBut(dirname(path), deployedFiles);
    const used = sdkFiles.filter(({ file }) => bundles.some(({ loadsLate }) => loadsLate(path, file)));
    for (const { file, contents: sdk } of used) await replaceFile(join(dirname(path), file), sdk);
    await removeAllBut(
      join(dirname(path), sdkFolder),
      used.map(({ file }) => basename(file)),
    );
    sizes[name] = await sizeOf(contents);
  }
  for (const { file, contents } of sdkFiles) sizes[file.replace(/\.js$/, '')] = await sizeOf(contents);
  await removeAllBut(join(directory, 'functions'), names);
  await removeAllBut(
    mapsIn(directory),
    names.map((name) => `${name}.js.map`),
  );
  const assetsIn = (name: string) => join(directory, 'functions', name, assetsFolder);
  if (names.includes('console')) await writeAssets(assetsIn('console'), await buildConsole(root, logLevel));
  if (names.includes('docs')) await writeAssets(assetsIn('docs'), await readFilesOfDocs());
  const sorted = Object.fromEntries(Object.entries(sizes).sort(([a], [b]) => a.localeCompare(b)));
  await replaceFile(join(directory, 'sizes.json'), Buffer.from(`${JSON.stringify(sorted, null, 2)}\n`));
  return sorted;
}

const common = {
  bundle: true,
  minify: true,
  platform: 'node',
  target: 'node24',
  // CommonJS, because an ES module that imports a module of Node reads all of its exports, and some exports load more when they are read:
  // `node:http` exports `WebSocket`, which loads undici, a second implementation of HTTP.
  format: 'cjs',
  // Late loading uses `require`, because `import` would also load Node's loader of ES modules.
  supported: { 'dynamic-import': false },
  legalComments: 'none',
  write: false,
} satisfies BuildOptionsOfEsbuild;

async function bundleFunctions(names: string[], { root, directory, logLevel }: BuildOptions) {
  const { outputFiles, metafile } = await bundle({
    ...common,
    absWorkingDir: root,
    entryPoints: names.map((name) => ({ in: join(root, 'functions', name, 'index.ts'), out: `${name}/index` })),
    outdir: join(directory, 'functions'),
    sourcemap: 'external',
    sourcesContent: false,
    external: ['pg-native'], // optional in pg, never installed
    plugins: [leaveOut(partsLeftOut(names[0] ?? '')), loadSdkLate],
    logLevel,
    metafile: true,
  });
  const loadsLate = (path: string, file: string) =>
    metafile.outputs[relative(root, path)]?.imports.some((each) => each.path === `./${file}`) ?? false;
  return { outputFiles, loadsLate };
}

/** A function's bundle refers to the files of `lib/sdk` that it may need, but does not contain them. */
const loadSdkLate: Plugin = {
  name: 'load-sdk-late',
  setup({ onResolve }) {
    onResolve({ filter: /\/sdk\/[\w-]+\.ts$/ }, ({ path, kind }) =>
      kind === 'dynamic-import' ? { path: `./${sdkFolder}/${basename(path, '.ts')}.js`, external: true } : undefined,
    );
  },
};

/** Bundles the parts of the SDK, which are the same for all functions. */
async function bundleSdk({ root, directory, logLevel }: BuildOptions): Promise<{ file: string; contents: Uint8Array }[]> {
  const sources = await readdir(join(root, 'lib', sdkFolder)).catch(() => []);
  const { outputFiles } = await bundle({
    ...common,
    absWorkingDir: root,
    entryPoints: sources.filter((source) => source.endsWith('.ts')).map((source) => join(root, 'lib', sdkFolder, source)),
    outdir: join(directory, sdkFolder),
    // The SDK's ES modules are used, because esbuild can leave out unused ones; its CommonJS form is one piece.
    mainFields: ['module', 'main'],
    plugins: [leaveOut(partsLeftOut(''))],
    logLevel,
  });
  return outputFiles.map(({ path, contents }) => ({ file: join(sdkFolder, basename(path)), contents }));
}

async function sizeOf(contents: Uint8Array): Promise<BundleSizes[string]> {
  const compressed = await promisify(gzip)(contents);
  return { minified_bytes: contents.byteLength, gzip_bytes: compressed.byteLength };
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

const readFilesOfDocs = (): Promise<Asset[]> => {
  const { resolve } = createRequire(import.meta.url);
  return Promise.all(filesOfDocs.map(async (path) => ({ path, contents: await readFile(resolve(`swagger-ui-dist/${path}`)) })));
};

type Asset = Awaited<ReturnType<typeof buildConsole>>[number];

/** The page is written last, so that it never names files that are not there yet. */
async function writeAssets(directory: string, files: readonly Asset[]): Promise<void> {
  const pageLast = files.toSorted((a, b) => Number(a.path === 'index.html') - Number(b.path === 'index.html'));
  for (const { path, contents } of pageLast) await replaceFile(join(directory, path), contents);
  await removeAllBut(
    directory,
    files.map(({ path }) => path),
  );
}

/** Removes old bundles: a function that was renamed or removed must not be deployed, and old files not together with new ones. */
async function removeAllBut(directory: string, names: readonly string[]): Promise<void> {
  const present = await readdir(directory).catch(() => []);
  // A name with a UUID is a file that another build is about to put into place.
  const old = present.filter((name) => !names.some((kept) => name === kept || name.startsWith(`${kept}.`)));
  await Promise.all(old.map((name) => rm(join(directory, name), { recursive: true, force: true })));
}

/** Sources are named from the project's folder, wherever it was built. */
function withSourcesFrom(root: string, from: string, map: Uint8Array): Uint8Array {
  const content = JSON.parse(Buffer.from(map).toString()) as { sources: string[] };
  const sources = content.sources.map((source) => relative(root, join(from, source)));
  return Buffer.from(JSON.stringify({ ...content, sources }));
}

if (import.meta.main) {
  const sizes = await build({ logLevel: 'warning' });
  console.table(sizes);
  if (process.argv.includes('--record')) {
    const kibibytes = Object.entries(sizes).map(([name, { gzip_bytes }]) => [name, Math.round(gzip_bytes / 102.4) / 10]);
    await writeFile(join(ROOT, 'bench', 'bundle-sizes.json'), `${JSON.stringify(Object.fromEntries(kibibytes), null, 2)}\n`);
  }
}
