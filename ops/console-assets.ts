// The web console: clients/console bundled into the files that functions/console serves.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { build as bundle, type Metafile, type OutputFile } from 'esbuild';

/** The files of the console; none if the project has no console. */
export async function buildConsole(root: string, logLevel: 'silent' | 'warning'): Promise<Pick<OutputFile, 'path' | 'contents'>[]> {
  const source = join(root, 'clients', 'console', 'src');
  if (!existsSync(source)) return [];
  const { outputFiles, metafile } = await bundle({
    absWorkingDir: root,
    // The worker is a separate program, which the page starts by its address.
    entryPoints: { app: join(source, 'main.tsx'), 'hash-worker': join(source, 'upload', 'hash-worker.ts') },
    // The names have a hash of the content, so that browsers may keep the files for ever.
    entryNames: '[name]-[hash]',
    outdir: join(root, 'console'),
    bundle: true,
    minify: true,
    metafile: true,
    platform: 'browser',
    format: 'esm',
    target: ['chrome120', 'firefox121', 'safari17.2'],
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"' },
    legalComments: 'none',
    logLevel,
    write: false,
  });
  const files = outputFiles.map(({ path, contents }) => ({ path: basename(path), contents }));
  const nameOf = (start: string, end: string): string =>
    files.find(({ path }) => path.startsWith(`${start}-`) && path.endsWith(end))?.path ?? '';
  const page = (await readFile(join(source, 'index.html'), 'utf8'))
    .replace('{{style}}', nameOf('app', '.css'))
    .replace('{{script}}', nameOf('app', '.js'))
    .replace('{{hash-worker}}', nameOf('hash-worker', '.js'));
  return [
    ...files,
    { path: 'index.html', contents: Buffer.from(page) },
    { path: 'LICENSES.txt', contents: Buffer.from(await licencesOf(root, metafile)) },
  ];
}

/** The licences of the bundled libraries, which have to be delivered with them. */
const licencesOf = async (root: string, { inputs }: Metafile): Promise<string> => {
  const packages = new Set(Object.keys(inputs).flatMap((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0] ?? []));
  const texts = [...packages].sort().map(async (directory) => {
    const { name, version, license } = JSON.parse(await readFile(join(root, directory, 'package.json'), 'utf8'));
    const file = ['LICENSE', 'LICENSE.md', 'license'].map((each) => join(root, directory, each)).find(existsSync);
    return `${name} ${version}, ${license}\n\n${file === undefined ? '' : await readFile(file, 'utf8')}\n`;
  });
  return (await Promise.all(texts)).join('\n');
};
