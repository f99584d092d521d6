import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { build } from '../../ops/build.ts';

const roots: string[] = [];
afterEach(async () => {
  for (const root of roots.splice(0)) await rm(root, { recursive: true });
});

/** A project with the given functions, by name, that uses our node_modules. */
async function project(functions: Record<string, string>) {
  const root = await mkdtemp(join(tmpdir(), 'build-'));
  roots.push(root);
  await symlink(fileURLToPath(new URL('../../node_modules', import.meta.url)), join(root, 'node_modules'));
  await write(root, functions);
  return root;
}
async function write(root: string, functions: Record<string, string>) {
  for (const [name, source] of Object.entries(functions)) {
    await mkdir(join(root, 'functions', name), { recursive: true });
    await writeFile(join(root, 'functions', name, 'index.ts'), source);
  }
}
/** As Lambda and serverless-offline do: by the file's address. */
const load = async (root: string, name: string): Promise<{ handler: () => Promise<unknown> }> =>
  import(/* @vite-ignore */ pathToFileURL(join(root, '.build', 'functions', name, 'index.js')).href);

it('bundles each function into one module that loads without node_modules, and tells its size', async () => {
  const root = await project({
    database: `import pg from 'pg'; export const handler = async () => typeof pg.Pool;`,
    storage: `import { S3Client } from '@aws-sdk/client-s3'; export const handler = async () => typeof S3Client;`,
  });
  const sizes = await build({ root });
  await rm(join(root, 'node_modules'));

  expect(await (await load(root, 'database')).handler()).toBe('function');
  expect(await (await load(root, 'storage')).handler()).toBe('function');
  const { size } = await stat(join(root, '.build', 'functions', 'storage', 'index.js'));
  expect(sizes['storage']).toEqual({ minified_bytes: size, gzip_bytes: expect.any(Number) });
  expect(JSON.parse(await readFile(join(root, '.build', 'sizes.json'), 'utf8'))).toEqual(sizes);
  // All of it is deployed.
  expect((await readdir(join(root, '.build', 'functions', 'storage'))).sort()).toEqual(['index.js', 'package.json']);
});

it('puts the files of the page of documents beside their function, and not into it', async () => {
  const root = await project({ docs: `export const handler = async () => 1;`, other: `export const handler = async () => 2;` });
  await build({ root });
  const filesOf = async (name: string) => (await readdir(join(root, '.build', 'functions', name))).sort();
  expect(await filesOf('docs')).toEqual(['assets', 'index.js', 'package.json']);
  expect(await filesOf('docs/assets')).toEqual(['swagger-ui-bundle.js', 'swagger-ui.css']);
  expect(await readFile(join(root, '.build', 'functions', 'docs', 'assets', 'swagger-ui.css'), 'utf8')).toContain('.swagger-ui');
  expect(await filesOf('other')).toEqual(['index.js', 'package.json']);
});

it('loads none of what Node has and a function does not use, whatever lies beside it', async () => {
  const root = await project({
    asks: `import { request } from 'node:http'; export const handler = async () => [typeof request, process.moduleLoadList];`,
  });
  await writeFile(join(root, 'package.json'), '{"type":"module"}');
  await build({ root });
  const file = join(root, '.build', 'functions', 'asks', 'index.js');
  // In a process of its own, as on Lambda.
  const script = `require(${JSON.stringify(file)}).handler().then((answer) => console.log(JSON.stringify(answer)))`;
  const [request, loaded] = JSON.parse(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' })) as [string, string[]];
  expect(request).toBe('function');
  expect(loaded).toContain('NativeModule http');
  expect(loaded.filter((name) => /undici/.test(name))).toEqual([]);
});

it('leaves a bundle alone whose content did not change, and removes that of a function that is gone', async () => {
  const root = await project({ stays: 'export const handler = async () => 1;', goes: 'export const handler = async () => 2;' });
  await build({ root });
  const before = await stat(join(root, '.build', 'functions', 'stays', 'index.js'));
  await rm(join(root, 'functions', 'goes'), { recursive: true });
  // As an older release built it.
  await writeFile(join(root, '.build', 'functions', 'stays', 'index.mjs'), '');
  await Promise.all([build({ root }), build({ root }), build({ root })]);

  expect((await stat(join(root, '.build', 'functions', 'stays', 'index.js'))).ino).toBe(before.ino);
  expect((await readdir(join(root, '.build', 'functions', 'stays'))).sort()).toEqual(['index.js', 'package.json']);
  expect(await readdir(join(root, '.build', 'functions'))).toEqual(['stays']);
  expect(await readdir(join(root, '.build', 'maps'))).toEqual(['stays.js.map']);
});

it('names the wrong import and its function', async () => {
  const root = await project({ broken: `import { missing } from '../dev/missing.ts'; export const handler = missing;` });
  await expect(build({ root })).rejects.toThrow(/functions\/broken\/index\.ts.*missing\.ts/s);
});

it('leaves out what functions never use; using it after all is an error that says so', async () => {
  const root = await project({
    reads: `import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely';
            const db = new Kysely({ dialect: { createAdapter: () => new PostgresAdapter(), createDriver: () => new DummyDriver(),
              createIntrospector: (db) => new PostgresIntrospector(db), createQueryCompiler: () => new PostgresQueryCompiler() } });
            export const handler = async (what) => what === 'schema' ? db.schema : db.selectFrom('t').select('a').compile().sql;`,
  });
  await build({ root });
  const { handler } = (await load(root, 'reads')) as { handler: (what?: string) => Promise<unknown> };
  expect(await handler()).toBe('select "a" from "t"');
  await expect(handler('schema')).rejects.toThrow('left out of the bundle by ops/leave-out.ts');
});

it('leaves schemas that only the document needs to the function that shows it', async () => {
  const schemas = `import * as z from 'zod/mini';
    export const Id = z.number().check(z.int(), z.meta({ description: 'the name of an id' }));
    const Answer = z
      .object({ id: Id, 'answered {': z.nullable(z.string()) })
      .register(z.globalRegistry, { id: 'OnlyAnswered' });
    export const route = { body: z.object({ asked: Id }), responses: { 200: { description: 'a } brace', body: Answer } }, problems: [409] };`;
  const handler = `import { route } from './routes.ts';
    export const handler = async () => [route.body.safeParse({ asked: 1 }).success, route.problems, Object.keys(route.responses)];`;
  const root = await project({ docs: handler, reads: handler });
  for (const name of ['docs', 'reads']) await writeFile(join(root, 'functions', name, 'routes.ts'), schemas);
  await build({ root });
  expect(await (await load(root, 'docs')).handler()).toEqual([true, [409], ['200']]);
  expect(await (await load(root, 'reads')).handler()).toEqual([true, [409], []]);
  const bundleOf = (name: string) => readFile(join(root, '.build', 'functions', name, 'index.js'), 'utf8');
  expect(await bundleOf('docs')).toContain('OnlyAnswered');
  expect(await bundleOf('reads')).not.toMatch(/OnlyAnswered|answered/);
});

it("leaves the API's description to the function that shows it", async () => {
  const source = `const route = { summary: "A route's summary", description: 'It is ' +
      \`written \` + 'for readers', described: 'kept', computed: { description: 'kept' + String(1) } };
    export const handler = async () => route;`;
  const root = await project({ docs: source, reads: source });
  await build({ root });
  const kept = { described: 'kept', computed: { description: 'kept1' } };
  expect(await (await load(root, 'docs')).handler()).toEqual({
    ...kept,
    summary: "A route's summary",
    description: 'It is written for readers',
  });
  expect(await (await load(root, 'reads')).handler()).toEqual({ ...kept, summary: '', description: '' });
});
