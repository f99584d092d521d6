// What a browser has to load before somebody sees the console.
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { stop } from 'esbuild';
import { afterAll, expect, it } from 'vitest';
import { buildConsole } from '../../../ops/console-assets.ts';

const files = await buildConsole(fileURLToPath(new URL('../../../', import.meta.url)), 'silent');
afterAll(stop);

const sizeOf = (name: RegExp): number =>
  files.filter(({ path }) => name.test(path)).reduce((sum, { contents }) => sum + gzipSync(contents).length, 0);

it('script and style together have at most 170 KiB, compressed', () => {
  expect(sizeOf(/^app-.+\.(js|css)$/)).toBeLessThan(170 * 1024);
});

it('the page names its script, its style and its worker, and loads nothing else', () => {
  const page = Buffer.from(files.find(({ path }) => path === 'index.html')?.contents ?? []).toString();
  const names = files.map(({ path }) => path).filter((path) => /\.(js|css)$/.test(path));
  expect(names).toHaveLength(3);
  for (const name of names) expect(page).toContain(name);
  expect(page).not.toMatch(/<style|style=|onload=|<script>|https?:(?!\/\/www\.w3\.org)/);
});

it('brings the licences of what is bundled', () => {
  const licences = Buffer.from(files.find(({ path }) => path === 'LICENSES.txt')?.contents ?? []).toString();
  for (const name of ['react-dom', '@tanstack/react-query', 'oauth4webapi', '@noble/hashes', 'd3-scale']) expect(licences).toContain(name);
});
