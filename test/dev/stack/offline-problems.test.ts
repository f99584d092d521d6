import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { get, type IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { freePort } from '../../../dev/stack/free-port.ts';

const service = `
service: echo
configValidationMode: off
provider: { name: aws, runtime: nodejs24.x, stage: offline }
plugins: [serverless-offline]
custom: { serverless-offline: { useInProcess: true, noPrependStageInUrl: true } }
functions:
  echo:
    handler: echo.handler
    events:
      - http: { method: get, path: '/things/{id}' }
      - http: { method: post, path: '/things/{id}' }
`;
const echo = 'export const handler = async ({ body }) => ({ statusCode: 200, body: JSON.stringify({ body }) });';

let url: string;
const cleanUps: (() => Promise<unknown>)[] = [];

/** serverless-offline as `npm start` runs it, before a function that answers what it was sent. */
beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'offline-problems-'));
  cleanUps.push(() => rm(folder, { recursive: true, force: true }));
  await symlink(fileURLToPath(new URL('../../../node_modules', import.meta.url)), join(folder, 'node_modules'));
  await writeFile(join(folder, 'serverless.yml'), service);
  await writeFile(join(folder, 'echo.mjs'), echo);
  const [port, lambdaPort] = [await freePort(), await freePort()];
  const program = createRequire(import.meta.url).resolve('serverless/bin/serverless.js');
  const child = spawn(
    process.execPath,
    [
      ...['--import', new URL('../../../dev/stack/end-with-parent.mjs', import.meta.url).href],
      ...['--import', new URL('../../../dev/stack/offline-problems.ts', import.meta.url).href, program, 'offline', '--noSponsor'],
      ...['--host', '127.0.0.1', '--httpPort', String(port), '--lambdaPort', String(lambdaPort)],
    ],
    {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      env: { PATH: process.env['PATH'], HOME: folder, SLS_TELEMETRY_DISABLED: '1', SLS_NOTIFICATIONS_MODE: 'off' },
    },
  );
  const exited = once(child, 'exit');
  cleanUps.push(() => {
    child.kill();
    return exited;
  });
  url = `http://127.0.0.1:${port}`;
  await vi.waitFor(() => fetch(url), { timeout: 50_000, interval: 100 });
});
afterAll(async () => {
  for (const cleanUp of cleanUps.reverse()) await cleanUp();
});

const statusAndCode = async (path: string) => {
  // Not by fetch(), which mends addresses.
  const [response] = (await once(get(`${url}${path}`), 'response')) as [IncomingMessage];
  const problem = JSON.parse(await text(response)) as { status: number; code: string };
  expect(response.headers['content-type']).toBe('application/problem+json');
  expect(problem.status).toBe(response.statusCode);
  return [response.statusCode, problem.code];
};

it.each(['/things/%zz', '/%', '/things/%e0%a4'])('400: the address %s cannot be decoded, as a problem document', async (path) => {
  expect(await statusAndCode(path)).toEqual([400, 'gateway.refused']);
});

it('404: an address that is no route, as a problem document', async () => {
  expect(await statusAndCode('/nothing')).toEqual([404, 'route.not_found']);
});

it('405: a method that the path does not take, with those that it takes', async () => {
  const response = await fetch(`${url}/things/1`, { method: 'DELETE' });
  expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD, POST']);
});

const bodies = ['null', ' null ', 'false', '0', '-0.0', '""', '"{}"', '"text"', '17', '[]', '{"a":1}', 'no JSON', '{', ''];

it.each(bodies)('a body %j comes to the function as it was sent', async (body) => {
  for (const type of ['application/json', 'application/json; charset=utf-8', 'application/merge-patch+json']) {
    const response = await fetch(`${url}/things/1`, { method: 'POST', headers: { 'content-type': type }, body });
    expect(await response.json(), type).toEqual({ body: body === '' ? null : body });
  }
});
