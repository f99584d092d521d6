import { beforeAll, describe, expect, it } from 'vitest';
import { createHandler as createGetUpdates } from '../../../functions/get-updates/handler.ts';
import { createHandler as createGetVersions } from '../../../functions/get-versions/handler.ts';
import type { HttpHandler } from '../../../lib/http/endpoint.ts';
import { requestUpdate } from '../../../lib/update/plan/request-update.ts';
import { createTestDatabase } from '../../support/database.ts';
import { givenDevices, givenFirmware, silentLog, startOfTime, TestClock, updateRequest } from '../../support/fixtures.ts';
import { type Call, call, createIdentity } from '../../support/http.ts';
import { InMemoryQueue } from '../../support/in-memory-queue.ts';
import { InMemoryStorage } from '../../support/in-memory-storage.ts';

const { db } = await createTestDatabase();
const identity = await createIdentity();
const token = await identity.token({ scopes: ['read'] });
const deps = { db, authenticate: identity.authenticate, log: silentLog, now: new TestClock().now };
const getUpdates = createGetUpdates(deps);
const getVersions = createGetVersions({ ...deps, storage: new InMemoryStorage(new TestClock().now) });

interface Page {
  items: { id: number }[];
  next_cursor: string | null;
}

const lists: [string, HttpHandler, Pick<Call, 'method' | 'path' | 'pathParameters'>][] = [
  ['GET /v1/firmwares', getVersions, { method: 'GET', path: '/v1/firmwares' }],
  ['GET /v1/updates', getUpdates, { method: 'GET', path: '/v1/updates' }],
  ['GET /v1/updates/{id}/executions', getUpdates, { method: 'GET', path: '/v1/updates/{id}/executions', pathParameters: { id: '1' } }],
];

/** Seven firmwares, seven updates, and seven executions in the first update. */
beforeAll(async () => {
  for (let i = 0; i < 7; i += 1) {
    const { id: firmware_id } = await givenFirmware(db);
    const external_ids = await givenDevices(db, 7);
    await requestUpdate(
      { db, advances: new InMemoryQueue(), now: () => startOfTime },
      updateRequest({ firmware_id, targets: { external_ids } }),
    );
  }
});

const cursorOf = (key: unknown) => Buffer.from(JSON.stringify(key)).toString('base64url');
/** The same with another key: a cursor that belongs to the list, and that nobody was given. */
const withKey = (cursor: string, key: unknown) => {
  const [list] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as [string];
  return cursorOf([list, key]);
};

describe.each(lists)('%s', (_, handler, route) => {
  const list = (query: Record<string, string>) => call<Page>(handler, { ...route, token, query });

  it('200: pages have every item once, whatever their size, and end with null', async () => {
    for (const limit of ['1', '2', '3', '7', '8']) {
      const ids: number[] = [];
      let cursor: string | null | undefined;
      do {
        const { statusCode, body } = await list({ limit, ...(cursor && { cursor }) });
        expect(statusCode).toBe(200);
        expect(body.items.length).toBeLessThanOrEqual(Number(limit));
        ids.push(...body.items.map(({ id }) => id));
        cursor = body.next_cursor;
      } while (cursor !== null);
      expect(ids).toHaveLength(7);
      expect(new Set(ids).size).toBe(7);
    }
  });

  it.each([
    ['of another shape', { id: 1 }],
    ['of an empty key', []],
    ['of too long a key', [1, 2, 3]],
    ['of texts', ['1', '2']],
    ['of SQL', ['1); DROP TABLE devices; --']],
    ['of nulls', [null, null]],
    ['of fractions', [1.5, 1.5]],
    ['of one number larger than any id', [2_147_483_648]],
    ['of two numbers larger than any id', [9_007_199_254_740_991, 9_007_199_254_740_991]],
    ['of one number smaller than any id', [-2_147_483_649]],
    ['that is no key at all', undefined],
  ])('400: refuses a cursor of this very list %s and names it', async (_name, key) => {
    const { body } = await list({ limit: '1' });
    const answer = await list({ cursor: withKey(body.next_cursor ?? '', key) });
    expect(answer).toMatchObject({ statusCode: 400, body: { code: 'request.invalid', errors: [{ in: 'query', path: 'cursor' }] } });
  });

  it('400: refuses the cursor of every other list', async () => {
    for (const [, otherHandler, otherRoute] of lists) {
      if (otherRoute.path === route.path) continue;
      const { body } = await call<Page>(otherHandler, { ...otherRoute, token, query: { limit: '1' } });
      expect(body.next_cursor).not.toBeNull();
      const answer = await list({ cursor: body.next_cursor ?? '' });
      expect(answer, otherRoute.path).toMatchObject({ statusCode: 400, body: { errors: [{ in: 'query', path: 'cursor' }] } });
    }
  });

  it('400: refuses its own cursor under another condition; 200: with another limit', async () => {
    const { body } = await list({ limit: '1' });
    const cursor = body.next_cursor ?? '';
    const status = route.path === '/v1/firmwares' ? 'available' : route.path === '/v1/updates' ? 'IN_PROGRESS' : 'QUEUED';
    expect(await list({ cursor, status })).toMatchObject({ statusCode: 400, body: { errors: [{ in: 'query', path: 'cursor' }] } });
    expect(await list({ cursor, limit: '3' })).toMatchObject({ statusCode: 200 });
  });

  it.each([
    ['that is no base64', '%%%'],
    ['that is empty', ''],
    ['of random bytes', Buffer.from([255, 254, 0, 1]).toString('base64url')],
    ['cut off', cursorOf([1, 2]).slice(0, 3)],
    ['of another shape', cursorOf({ id: 1 })],
    ['of an empty key', cursorOf([])],
    ['of too long a key', cursorOf([1, 2, 3])],
    ['of texts', cursorOf(['1', '2'])],
    ['of SQL', cursorOf(['1); DROP TABLE devices; --'])],
    ['of nulls', cursorOf([null, null])],
    ['of fractions', cursorOf([1.5, 1.5])],
    ['of one number larger than any id', cursorOf([2_147_483_648])],
    ['of two numbers larger than any id', cursorOf([9_007_199_254_740_991, 9_007_199_254_740_991])],
    ['of one number smaller than any id', cursorOf([-2_147_483_649])],
    ['that is too long', 'A'.repeat(513)],
  ])('400: refuses a cursor %s and names it', async (_name, cursor) => {
    const answer = await list({ cursor });
    expect(answer).toMatchObject({ statusCode: 400, body: { code: 'request.invalid', errors: [{ in: 'query', path: 'cursor' }] } });
  });

  it('400: names a filter that does not exist', async () => {
    const answer = await list({ statuses: 'x', order: 'asc' });
    expect(answer).toMatchObject({
      statusCode: 400,
      body: {
        errors: [
          { in: 'query', path: 'statuses', message: 'is not a known field' },
          { in: 'query', path: 'order', message: 'is not a known field' },
        ],
      },
    });
  });
});
