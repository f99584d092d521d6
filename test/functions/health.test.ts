import { describe, expect, it } from 'vitest';
import { freePort } from '../../dev/stack/free-port.ts';
import { createHandler } from '../../functions/health/handler.ts';
import { publishRoot } from '../../lib/authors/publish-root.ts';
import { addSeconds } from '../../lib/clock.ts';
import { createDatabase } from '../../lib/db/database.ts';
import { createAuthorKey, rootOf, signedRoot } from '../support/authors.ts';
import { createTestDatabase } from '../support/database.ts';
import { actor, startOfTime } from '../support/fixtures.ts';
import { call, createIdentity, createRecordingLog } from '../support/http.ts';
import { createRecordingMetrics } from '../support/recording-metrics.ts';
import { createUpdateService } from '../support/update-service.ts';

const { db } = await createTestDatabase();
const { authenticate } = await createIdentity();
const log = createRecordingLog();

describe('GET /v1/health', () => {
  it('200: says that the service and its database work, to everybody', async () => {
    const answer = await call(createHandler({ db, authenticate, log, now: () => startOfTime }), { method: 'GET', path: '/v1/health' });
    expect(answer).toMatchObject({ statusCode: 200, body: { status: 'ok', database: 'ok' } });
    expect(answer.headers['cache-control']).toBe('no-store');
  });

  it('200: counts updates whose step is late, for the alarm: what a monitor asks for often is the only thing that could', async () => {
    const service = createUpdateService(db);
    const metrics = createRecordingMetrics();
    const lateNow = async () => {
      metrics.published.length = 0;
      await call(createHandler({ db, authenticate, log, metrics, now: service.clock.now }), { method: 'GET', path: '/v1/health' });
      return metrics.published.filter(({ values }) => 'late_updates' in values);
    };
    const published = (value: number) => [{ values: { late_updates: { unit: 'Count', value } }, dimensionSets: [{}] }];
    // Its first step is due a second after the request.
    await service.given();
    service.clock.advance(301);
    expect(await lateNow()).toEqual(published(0));
    service.clock.advance(1);
    expect(await lateNow()).toEqual(published(1));
  });

  it('200: publishes for how many days devices believe the latest root of author keys, for the alarm', async () => {
    const metrics = createRecordingMetrics();
    const ask = (now: Date) =>
      call(createHandler({ db, authenticate, log, metrics, now: () => now }), { method: 'GET', path: '/v1/health' });
    const published = () => metrics.published.splice(0).flatMap(({ values: { author_root_days } }) => author_root_days?.value ?? []);
    await ask(startOfTime);
    expect(published()).toEqual([]);
    const rootKey = createAuthorKey();
    const exp = startOfTime.getTime() / 1_000 + 31 * 86_400;
    const document = await signedRoot(rootOf({ ada: createAuthorKey() }, rootKey, { iat: 0, exp }), rootKey);
    await publishRoot({ db, now: () => startOfTime }, 1, document, actor);
    for (const days of [0, 1.5, 40]) await ask(addSeconds(startOfTime, days * 86_400));
    expect(published()).toEqual([31, 29, 0]);
  });

  it('503: says when to try again while the database is down, and names no address, user or password', async () => {
    const port = await freePort();
    const down = createDatabase({ url: `postgres://fleet_user:hunter2@127.0.0.1:${port}/fleet_data`, maxConnections: 1 });
    const answer = await call(createHandler({ db: down, authenticate, log, now: () => startOfTime }), {
      method: 'GET',
      path: '/v1/health',
    });
    expect(answer).toMatchObject({ statusCode: 503, body: { code: 'database.unavailable', detail: 'The database does not answer' } });
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    expect(JSON.stringify(answer)).not.toMatch(new RegExp(`fleet_user|hunter2|fleet_data|${port}`));
    expect(log.lines.join()).not.toContain('hunter2');
    await down.destroy();
  });
});
