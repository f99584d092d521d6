import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, it } from 'vitest';

/** Which top folders each of them may use. `test` and `bench` look at everything, so they are not listed. */
const uses: Record<string, string[]> = {
  migrations: [],
  lib: ['migrations'],
  functions: ['lib'],
  ops: ['lib'],
  dev: ['clients', 'functions', 'lib', 'ops'],
  clients: [],
};

const root = join(import.meta.dirname, '..');

const importsOf = (folder: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(ts|mjs)$/.test(file) && !/node_modules|\bdist\b/.test(file))
    .flatMap((file) => {
      const text = readFileSync(join(root, folder, file), 'utf8');
      const found = [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g)].map(([, path]) => path ?? '');
      return found.map((path) => ({
        file: join(folder, file),
        to: relative(root, join(root, folder, dirname(file), path)).split('/')[0] ?? '',
      }));
    });

it.each(Object.entries(uses))('%s uses only the top folders below it', (folder, allowed) => {
  const imports = importsOf(folder);
  expect(imports.length).toBeGreaterThan(10);
  const others = imports.filter(({ to }) => to !== folder && to !== 'node_modules' && !allowed.includes(to));
  expect(others.map(({ file, to }) => `${file} uses ${to}`)).toEqual([]);
});
