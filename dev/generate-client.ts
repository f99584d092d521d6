import { spawnSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { routes } from '../functions/routes.ts';
import { createOpenApiDocument } from '../lib/http/openapi.ts';

// Generates the client's types and operations from the routes' schemas. With --check: fails if the existing file differs.

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const GENERATED = `${ROOT}clients/api/src/generated.ts`;
const isCheck = process.argv.includes('--check');

const before = await readFile(GENERATED, 'utf8').catch(() => '');
await mkdir(`${ROOT}.build`, { recursive: true });
await writeFile(`${ROOT}.build/openapi.json`, JSON.stringify(createOpenApiDocument(routes)));
const orval = createRequire(import.meta.url)
  .resolve('orval')
  .replace(/index\.\w+$/, 'bin/orval.mjs');
const { status, stderr, stdout } = spawnSync(process.execPath, [orval, '--config', 'orval.config.ts'], {
  cwd: `${ROOT}clients/api`,
  encoding: 'utf8',
});
if (status !== 0) throw new Error(`orval failed: ${stderr}${stdout}`);
const after = await readFile(GENERATED, 'utf8');
if (isCheck && after !== before) {
  await writeFile(GENERATED, before);
  console.error('clients/api/src/generated.ts does not match the routes: run `npm run client` and commit what it writes.');
  process.exitCode = 1;
} else {
  console.log(isCheck ? 'clients/api/src/generated.ts matches the routes.' : 'clients/api/src/generated.ts is written.');
}
