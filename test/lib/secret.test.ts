import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import { sql } from 'kysely';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createDatabase } from '../../lib/db/database.ts';
import { BackendUnavailable } from '../../lib/ports/backend.ts';
import { createHttpBackend } from '../../lib/ports/http-backend.ts';
import { createSecret, SecretUnavailable } from '../../lib/secret.ts';
import { createTestDatabase } from '../support/database.ts';
import { startScriptedServer } from '../support/scripted-server.ts';

const ARN = 'arn:aws:secretsmanager:eu-central-1:000000000000:secret:fleet-AbCdEf';
/** What Secrets Manager answers next: a secret's text, a status, or something else altogether. */
let answers: (string | number | { body: string })[] = [];
const manager = await startScriptedServer((response, count) => {
  const answer = answers[Math.min(count - 1 - before, answers.length - 1)] ?? 500;
  if (typeof answer === 'number')
    response.writeHead(answer, { 'content-type': 'application/json' }).end('{"__type":"AccessDeniedException"}');
  else response.end(typeof answer === 'string' ? JSON.stringify({ SecretString: answer }) : answer.body);
});
let before = 0;
const asked = () => manager.requests.length - before;

beforeEach(() => {
  before = manager.requests.length;
  vi.stubEnv('AWS_ENDPOINT_URL', manager.url);
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'ASIAEXAMPLE');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret-of-the-role');
});
afterAll(() => {
  vi.unstubAllEnvs();
});

describe('a secret', () => {
  it('that is a plain value is itself, and nobody is asked', async () => {
    const secret = createSecret('hunter2');
    expect([await secret.read(), await secret.refresh()]).toEqual(['hunter2', 'hunter2']);
    expect(asked()).toBe(0);
  });

  it('of Secrets Manager is asked for once per environment, also by many at once', async () => {
    answers = ['hunter2'];
    const secret = createSecret(ARN);
    expect(new Set(await Promise.all(Array.from({ length: 20 }, secret.read)))).toEqual(new Set(['hunter2']));
    await secret.read();
    expect(asked()).toBe(1);
    expect(manager.requests.at(-1)).toMatchObject({
      method: 'POST',
      headers: { 'x-amz-target': 'secretsmanager.GetSecretValue', authorization: expect.stringContaining('Credential=ASIAEXAMPLE/') },
      body: JSON.stringify({ SecretId: ARN }),
    });
  });

  it("of RDS's form is its password, another one the field that is named", async () => {
    answers = ['{"username":"fleet","password":"hunter2","token":"t0ken"}'];
    expect(await createSecret(ARN).read()).toBe('hunter2');
    expect(await createSecret(ARN, { field: 'token' }).read()).toBe('t0ken');
    await expect(createSecret(ARN, { field: 'other' }).read()).rejects.toThrow(SecretUnavailable);
  });

  it('is read again when it was refused, but not once for each of many callers', async () => {
    answers = ['old', 'new', 'newest'];
    let time = 0;
    const secret = createSecret(ARN, { now: () => time });
    expect(await secret.read()).toBe('old');
    expect(await secret.refresh()).toBe('old'); // it was read this moment
    time = 5_000;
    expect(await Promise.all([secret.refresh(), secret.refresh()])).toEqual(['new', 'new']);
    expect(await secret.read()).toBe('new');
    expect(asked()).toBe(2);
  });

  it('that could not be read is asked for again the next time; no message tells what it is', async () => {
    answers = [400, 'hunter2'];
    const secret = createSecret(ARN);
    await expect(secret.read()).rejects.toThrow('Secrets Manager answered 400 AccessDeniedException');
    expect(await secret.read()).toBe('hunter2');
  });

  it('that begins like JSON but is none is quoted by no error, nor by its cause', async () => {
    for (const text of ['{"password":"hunter2"', '{hunter2', '{"password":"hunter2"} hunter2', ' {"other":"hunter2"}']) {
      answers = [text];
      const error = await createSecret(ARN)
        .read()
        .catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(SecretUnavailable);
      expect(inspect(error, { depth: 10 }), text).not.toContain('hunter2');
    }
  });

  it('in an answer of Secrets Manager that is cut off is quoted by no error', async () => {
    answers = [{ body: '{"SecretString":"hunter2' }];
    const error = await createSecret(ARN)
      .read()
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SecretUnavailable);
    expect(inspect(error, { depth: 10 })).not.toContain('hunter2');
  });

  it('survives one failure of Secrets Manager', async () => {
    answers = [500, 'hunter2'];
    expect(await createSecret(ARN).read()).toBe('hunter2');
  });
});

const { db: admin, url: adminUrl } = await createTestDatabase();
const url = new URL(adminUrl);

describe('a database password', () => {
  const user = `rotated_${randomUUID().replaceAll('-', '')}`;
  const asAdmin = (statement: string) => sql.raw(statement).execute(admin);
  url.username = user;
  url.password = '';
  afterAll(() => asAdmin(`DROP ROLE ${user}`));

  it('that was rotated is read again when the server refuses the old one: no request fails', async () => {
    await asAdmin(`CREATE ROLE ${user} LOGIN PASSWORD 'first'`);
    answers = ['{"password":"first"}', '{"password":"second"}'];
    let time = 0;
    const db = createDatabase({ url: url.href, maxConnections: 1, password: createSecret(ARN, { now: () => time }) });
    try {
      expect((await sql`SELECT 1 AS one`.execute(db)).rows).toEqual([{ one: 1 }]);
      await asAdmin(`ALTER ROLE ${user} PASSWORD 'second'`);
      expect((await sql`SELECT 1 AS one`.execute(db)).rows).toEqual([{ one: 1 }]); // the connection stays
      await asAdmin(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${user}'`);
      time = 60_000;
      await vi.waitFor(async () => expect((await sql`SELECT 1 AS one`.execute(db)).rows).toEqual([{ one: 1 }]));
      expect(asked()).toBe(2);
    } finally {
      await db.destroy();
    }
  });

  it('that cannot be read is a database that is not available', async () => {
    answers = [400];
    const db = createDatabase({ url: url.href, maxConnections: 1, password: createSecret(ARN) });
    const { toDomainError } = await import('../../lib/db/database-error.ts');
    const error = await sql`SELECT 1`.execute(db).catch(toDomainError);
    expect(error).toMatchObject({ code: 'database.unavailable' });
    await db.destroy();
  });
});

const backend = await startScriptedServer((response, count) => {
  const { authorization } = backend.requests[count - 1]?.headers ?? {};
  if (authorization === 'Bearer new') response.end('{"devices":[]}');
  else response.writeHead(401).end();
});

it.each(['hunter2\n', 'hunter2\u0000', 'пароль hunter2', ''])(
  'the token for the backend %j, which no header can carry, is quoted by no error',
  async (token) => {
    const { findVersions } = createHttpBackend({ url: backend.url, token });
    const call = { idempotencyKey: 'k', requestId: 'r', timeoutMilliseconds: 5_000 };
    const error = await findVersions('scooter', ['S-1'], call).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(BackendUnavailable);
    expect(inspect(error, { depth: 10 })).not.toContain('hunter2');
  },
);

it("the backend's token that was rotated is read again, and the call is not lost", async () => {
  answers = ['old', 'new'];
  vi.useFakeTimers({ toFake: ['Date'], now: 0 });
  const { findVersions } = createHttpBackend({ url: backend.url, token: ARN });
  const call = { idempotencyKey: 'k', requestId: 'r', timeoutMilliseconds: 5_000 };
  await expect(findVersions('scooter', ['S-1'], call)).rejects.toThrow('backend answered 401'); // read this moment
  vi.setSystemTime(60_000);
  expect(await findVersions('scooter', ['S-1'], call)).toEqual([]);
  expect(backend.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer old', 'Bearer old', 'Bearer new']);
  vi.useRealTimers();
});
