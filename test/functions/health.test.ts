import { describe, expect, it } from 'vitest';
import { freePort } from '../../dev/free-port.ts';
import { createHandler } from '../../functions/health/handler.ts';
import { createDatabase } from '../../lib/db/database.ts';
import { createTestDatabase } from '../support/database.ts';
import { call, createIdentity, createRecordingLog } from '../support/http.ts';

const { db } = await createTestDatabase();
const { authenticate } = await createIdentity();
const log = createRecordingLog();

describe('GET /v1/health', () => {
  it('200: says that the service and its database work, to everybody', async () => {
    const answer = await call(createHandler({ db, authenticate, log }), { method: 'GET', path: '/v1/health' });
    expect(answer).toMatchObject({ statusCode: 200, body: { status: 'ok', database: 'ok' } });
    expect(answer.headers['cache-control']).toBe('no-store');
  });

  it('503: says when to try again while the database is down, and names no address, user or password', async () => {
    const port = await freePort();
    const down = createDatabase({ url: `postgres://fleet_user:hunter2@127.0.0.1:${port}/fleet_data`, maxConnections: 1 });
    const answer = await call(createHandler({ db: down, authenticate, log }), { method: 'GET', path: '/v1/health' });
    expect(answer).toMatchObject({ statusCode: 503, body: { code: 'database.unavailable', detail: 'The database does not answer' } });
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    expect(JSON.stringify(answer)).not.toMatch(new RegExp(`fleet_user|hunter2|fleet_data|${port}`));
    expect(log.lines.join()).not.toContain('hunter2');
    await down.destroy();
  });
});
