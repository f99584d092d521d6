import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, it } from 'vitest';

/** From above to below, as lib/README.md says; folders of one floor may use each other. */
const floors = [
  ['retention'],
  ['ddi', 'observation', 'registration'],
  ['report'],
  ['stats'],
  ['update'],
  ['assembly'],
  ['fleet', 'firmware', 'authors', 'audit'],
  ['ports', 'http', 'db'],
  ['sdk'],
];

const lib = join(import.meta.dirname, '../../lib');
const floorOf = (folder: string): number => floors.findIndex((floor) => floor.includes(folder));
const folderOf = (file: string): string => relative(lib, file).split('/')[0] ?? '';

const imports = readdirSync(lib, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && file.includes('/'))
  .flatMap((file) => {
    const text = readFileSync(join(lib, file), 'utf8');
    const found = [...text.matchAll(/from '(\.[^']+)'/g)].map(([, path]) => join(lib, dirname(file), path ?? ''));
    return found.filter((path) => path.startsWith(lib) && relative(lib, path).includes('/')).map((path) => ({ file, to: folderOf(path) }));
  });

it('every folder of lib is on a floor', () => {
  const folders = readdirSync(lib, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(folders.map(({ name }) => name).sort()).toEqual(floors.flat().sort());
});

it('the SDK is loaded when a port first needs it, and by no function at its start', () => {
  const project = join(lib, '..');
  const sources = ['lib', 'functions'].flatMap((folder) =>
    readdirSync(join(project, folder), { recursive: true, encoding: 'utf8' }).map((file) => join(folder, file)),
  );
  const loads = /^(?:import (?!type\b)|export )[^;]*from '(?:@aws-sdk|@smithy)\/|from '[^']*\/sdk\/[\w-]+\.ts'/m;
  const loading = sources.filter((file) => file.endsWith('.ts') && loads.test(readFileSync(join(project, file), 'utf8')));
  expect(loading.toSorted()).toEqual(['lib/sdk/eventbridge.ts', 'lib/sdk/s3.ts', 'lib/sdk/sqs.ts']);
});

it('imports between folders go downward only', () => {
  expect(imports.length).toBeGreaterThan(100);
  const upward = imports.filter(({ file, to }) => floorOf(folderOf(join(lib, file))) > floorOf(to));
  expect(upward.map(({ file, to }) => `${file} uses ${to}`)).toEqual([]);
});
