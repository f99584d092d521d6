import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect, it } from 'vitest';

const root = join(import.meta.dirname, '..');
const documents = globSync('**/*.md', { cwd: root, exclude: (name) => /node_modules|^\.|\bbuild\b|\bdist\b/.test(name) });

const read = (path: string) => readFileSync(join(root, path), 'utf8');
const withoutExamples = (text: string) => text.replace(/^```[\s\S]*?^```/gm, '');

/** The anchors that GitHub makes of headings: lower case, letters, digits, hyphens; spaces become hyphens. */
const anchorsOf = (text: string) =>
  [...withoutExamples(text).matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );

it.each(documents)('%s links to files and headings that there are', (path) => {
  const targets = [...withoutExamples(read(path)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
  const broken = targets
    .filter((target) => !/^[a-z]+:/.test(target))
    .filter((target) => {
      const [file = '', anchor] = target.split('#');
      const linked = file === '' ? path : relative(root, join(root, dirname(path), file));
      if (!existsSync(join(root, linked))) return true;
      return anchor !== undefined && !anchorsOf(read(linked)).includes(anchor);
    });
  expect(broken).toEqual([]);
});

it.each(documents.filter((path) => path !== 'CHANGELOG.md'))('%s names files and folders that there are', (path) => {
  const named = [...withoutExamples(read(path)).matchAll(/`((?:\.\.?\/)*[\w-]+(?:\/[\w.-]+)+\/?)`/g)].map(([, name = '']) => name);
  const tops = /^(lib|functions|test|dev|ops|docs|migrations|clients|bench|resources)\//;
  const missing = named.filter((name) => !existsSync(join(root, tops.test(name) ? name : join(dirname(path), name))));
  expect(missing.filter((name) => tops.test(name) || name.startsWith('.'))).toEqual([]);
});

it('README.md can be read in two minutes: at most 90 lines', () => {
  expect(read('README.md').split('\n').length).toBeLessThanOrEqual(91);
});
