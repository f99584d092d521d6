import { describe, expect, it } from 'vitest';
import { freePort } from '../../dev/stack/free-port.ts';
import { createHandler } from '../../functions/get-updates/handler.ts';
import { createDatabase } from '../../lib/db/database.ts';
import { createTestDatabase } from '../support/database.ts';
import { confirmation, givenDevices, givenFirmware, silentLog, startOfTime } from '../support/fixtures.ts';
import { call, createIdentity } from '../support/http.ts';
import { createUpdateService } from '../support/update-service.ts';

const { db, takeStatements } = await createTestDatabase();
const identity = await createIdentity();
const { authenticate } = identity;
const token = await identity.token({ scopes: ['read'] });
const service = createUpdateService(db);
const handler = createHandler({ db, authenticate, log: silentLog, now: service.clock.now });

interface Item {
  id: number;
  status: string;
  external_id: string;
  counts: Record<string, number>;
}
type Query = Record<string, string>;
const get = <Body = Item>(path: string, id?: string, query: Query = {}, request: { token?: string } = { token }, by = handler) =>
  call<Body>(by, { method: 'GET', path, query, ...(id !== undefined && { pathParameters: { id } }), ...request });
interface Page {
  items: Item[];
  next_cursor: string | null;
  errors: { path: string }[];
}
const list = (query: Query = {}) => get<Page>('/v1/updates', undefined, query);
const executions = (id: number | string, query: Query = {}) => get<Page>('/v1/updates/{id}/executions', String(id), query);
const allPages = async (page: (query: Query) => ReturnType<typeof list>, query: Query): Promise<Item[]> => {
  const { body } = await page(query);
  return body.next_cursor === null ? body.items : [...body.items, ...(await allPages(page, { ...query, cursor: body.next_cursor }))];
};

/** 12 devices in every state that an update can bring them to now, and one that is on the version already. */
const firmware = await givenFirmware(db);
// In the order in which they are asked.
const external_ids = (await givenDevices(db, 12)).toSorted();
const [succeeded = '', failed = '', onTarget = '', rejected = ''] = external_ids;
await service.confirm(confirmation({ external_id: onTarget, version: firmware.version }));
const mixed = await service.request({
  firmware_id: firmware.id,
  targets: { external_ids: [...external_ids, 'nobody'] },
  rollout: { maximum_per_minute: 84 },
});
service.deps.backend.answer = ({ execution_id, external_id }) =>
  external_id === rejected ? { execution_id, outcome: 'rejected', reason: 'locked' } : { execution_id, outcome: 'accepted' };
for (const message of service.deps.advances.take()) await service.advance(message);
for (const message of service.deps.dispatches.take()) await service.dispatch(message);
service.deps.advances.take();
service.clock.advance(1);
await service.confirm(
  confirmation({ external_id: succeeded, version: firmware.version }),
  confirmation({ external_id: failed, version: firmware.version, status: 'FAILED', detail: 'no space' }),
);
const asked = new Set(service.deps.backend.calls.splice(0).flatMap(({ commands }) => commands.map(({ external_id }) => external_id)));
const { update: scheduled } = await service.given();
const { update: completed, message, firmware: other } = await service.givenSent();
await service.confirmAsked(other.version);
await service.advance(message);

describe('GET /v1/updates/{id}', () => {
  it('200: the update with its counts, which add up to its executions', async () => {
    const answer = await get('/v1/updates/{id}', String(mixed.id));
    const { counts } = answer.body;
    expect(answer).toMatchObject({
      statusCode: 200,
      body: {
        id: mixed.id,
        status: 'IN_PROGRESS',
        firmware_id: firmware.id,
        firmware_version: firmware.version,
        hardware_type: 'vega_mcu',
        not_eligible: { UNKNOWN_DEVICE: 1 },
        created_dt: startOfTime.toISOString(),
        started_dt: startOfTime.toISOString(),
        finished_dt: null,
      },
    });
    expect(asked).toEqual(new Set([succeeded, failed, rejected, ...external_ids.slice(4, 8)]));
    expect(counts).toMatchObject({ QUEUED: 4, IN_PROGRESS: 4, SUCCEEDED: 2, FAILED: 1, REJECTED: 1 });
    // One of the twelve was on the target version before.
    expect(answer.body).toMatchObject({ progress: 3 / 11 });
    expect(Object.keys(counts).toSorted()).toEqual([
      'CANCELED',
      'FAILED',
      'IN_PROGRESS',
      'QUEUED',
      'REJECTED',
      'REMOVED',
      'SUCCEEDED',
      'TIMED_OUT',
    ]);
  });

  it('200: each status has as many executions in the list as the counts say', async () => {
    const { counts } = (await get('/v1/updates/{id}', String(mixed.id))).body;
    for (const [status, count] of Object.entries(counts)) {
      const items = await allPages((query) => executions(mixed.id, query), { status, limit: '2' });
      expect(items).toHaveLength(count);
      expect(items.every((item) => item.status === status)).toBe(true);
    }
  });

  it('200: in one statement, whatever the number of executions', async () => {
    await get('/v1/updates/{id}', String(mixed.id));
    takeStatements();
    await get('/v1/updates/{id}', String(mixed.id));
    expect(takeStatements()).toHaveLength(1);
  });

  it('404: no such update', async () => {
    expect(await get('/v1/updates/{id}', '2000000000')).toMatchObject({ statusCode: 404, body: { code: 'update.not_found' } });
  });

  it.each(['0', '-1', '1.0', 'abc', '2147483648', '99999999999999999999', '1%20OR%201=1', '%00', ' 1', '1e3'])(
    '400: the id %j',
    async (id) => {
      expect(await get('/v1/updates/{id}', id)).toMatchObject({ statusCode: 400, body: { errors: [{ in: 'path', path: 'id' }] } });
    },
  );
});

describe('GET /v1/updates', () => {
  it('200: the latest first, in pages of any size, each update once', async () => {
    const ids = [completed.id, scheduled.id, mixed.id];
    expect((await list()).body).toMatchObject({ items: ids.map((id) => ({ id })), next_cursor: null });
    for (const limit of ['1', '2', '3', '500']) {
      expect((await allPages(list, { limit })).map(({ id }) => id)).toEqual(ids);
    }
  });

  it.each([
    ['SCHEDULED', [scheduled.id]],
    ['IN_PROGRESS', [mixed.id]],
    ['COMPLETED', [completed.id]],
    ['PAUSED', []],
    ['CANCELED', []],
    ['ABORTED', []],
  ])('200: those that are %s', async (status, ids) => {
    expect((await allPages(list, { status, limit: '1' })).map(({ id }) => id)).toEqual(ids);
  });

  it('200: those to a firmware, of a hardware type, by an author, and of several conditions together, in pages of any size', async () => {
    const gsm = await givenFirmware(db, { hardware_type: 'vega_gsm' });
    const byOthers = { created_by: 'engineer' };
    const again = await service.request({ firmware_id: gsm.id, targets: { external_ids: await givenDevices(db) } });
    const theirs = await service.request({ firmware_id: gsm.id, targets: { external_ids: await givenDevices(db) } }, byOthers);
    const before = [completed.id, scheduled.id, mixed.id];
    const cases: [Query, number[]][] = [
      [{ firmware_id: String(gsm.id) }, [theirs.id, again.id]],
      [{ firmware_id: String(firmware.id) }, [mixed.id]],
      [{ hardware_type: 'vega_gsm' }, [theirs.id, again.id]],
      [{ hardware_type: 'vega_mcu' }, before],
      [{ hardware_type: 'audio_lock' }, []],
      [{ created_by: 'engineer' }, [theirs.id]],
      [{ created_by: 'admin' }, [again.id, ...before]],
      [{ created_by: 'nobody' }, []],
      [{ hardware_type: 'vega_gsm', created_by: 'admin' }, [again.id]],
      [{ hardware_type: 'vega_mcu', status: 'COMPLETED' }, [completed.id]],
      [{ hardware_type: 'vega_mcu', firmware_id: String(gsm.id) }, []],
      [{ firmware_id: String(gsm.id), status: 'SCHEDULED', created_by: 'engineer', hardware_type: 'vega_gsm' }, [theirs.id]],
    ];
    for (const [query, ids] of cases) {
      for (const limit of ['1', '2', '500']) {
        expect(
          (await allPages(list, { ...query, limit })).map(({ id }) => id),
          JSON.stringify(query),
        ).toEqual(ids);
      }
    }
    const made = [again.id, theirs.id];
    await db.deleteFrom('update_executions').where('update_id', 'in', made).execute();
    await db.deleteFrom('updates').where('id', 'in', made).execute();
    service.deps.advances.take();
  });

  it('400: a firmware and a hardware type that there are none of, both at once', async () => {
    const answer = await list({ firmware_id: '2147483647', hardware_type: 'hoverboard' });
    expect(answer).toMatchObject({ statusCode: 400, body: { errors: [{ path: 'firmware_id' }, { path: 'hardware_type' }] } });
  });

  it('200: pages stay stable while updates are added', async () => {
    const first = await list({ limit: '1' });
    const { update } = await service.given();
    const rest = await allPages(list, { limit: '1', cursor: first.body.next_cursor ?? '' });
    expect(rest.map(({ id }) => id)).toEqual([scheduled.id, mixed.id]);
    await db.deleteFrom('update_executions').where('update_id', '=', update.id).execute();
    await db.deleteFrom('updates').where('id', '=', update.id).execute();
  });

  it('200: in the order in which they were requested, when that is asked for, also under conditions', async () => {
    const ids = async (query: Query) => (await allPages(list, { ...query, limit: '1' })).map(({ id }) => id);
    expect(await ids({ sort: 'created_dt_ascending' })).toEqual([mixed.id, scheduled.id, completed.id]);
    expect(await ids({ sort: 'created_dt_descending' })).toEqual([completed.id, scheduled.id, mixed.id]);
    expect(await ids({ sort: 'created_dt_ascending', hardware_type: 'vega_mcu' })).toEqual([mixed.id, scheduled.id, completed.id]);
    expect(await ids({ sort: 'created_dt_ascending', status: 'COMPLETED' })).toEqual([completed.id]);
  });

  it.each([
    ['sort', 'status_ascending'],
    ['status', 'completed'],
    ['status', ''],
    ['firmware_id', '0'],
    ['firmware_id', 'vega_mcu@1.5.0'],
    ['hardware_type', 'Vega'],
    ['created_by', 'x'.repeat(256)],
    ['limit', '0'],
    ['limit', '501'],
    ['limit', 'ten'],
    ['cursor', 'nonsense'],
    ['cursor', Buffer.from('["1; DROP TABLE updates"]').toString('base64url')],
    ['cursor', Buffer.from('[99999999999]').toString('base64url')],
    ['color', 'red'],
  ])('400: %s=%s', async (name, value) => {
    expect(await list({ [name]: value })).toMatchObject({ statusCode: 400, body: { errors: [{ in: 'query', path: name }] } });
  });

  it('401: without a token', async () => {
    expect(await get('/v1/updates', undefined, {}, {})).toMatchObject({ statusCode: 401 });
  });

  it('403: with every other scope', async () => {
    const wrong = await identity.token({ scopes: ['updates:write', 'devices:write', 'devices:report', 'firmware:write'] });
    expect(await get('/v1/updates', undefined, {}, { token: wrong })).toMatchObject({ statusCode: 403 });
  });

  it('503: the database is down', async () => {
    const down = createDatabase({ url: `postgres://user:secret@127.0.0.1:${await freePort()}/x`, maxConnections: 1 });
    const answer = await get(
      '/v1/updates',
      undefined,
      {},
      { token },
      createHandler({ db: down, authenticate, log: silentLog, now: service.clock.now }),
    );
    expect(answer).toMatchObject({ statusCode: 503, body: { code: 'database.unavailable' } });
    await down.destroy();
  });
});

describe('GET /v1/updates/{id}/executions', () => {
  it('200: each device once, with its status and why, in pages of any size', async () => {
    for (const limit of ['1', '5', '12', '500']) {
      const items = await allPages((query) => executions(mixed.id, query), { limit });
      expect(items.map(({ external_id }) => external_id).toSorted()).toEqual(external_ids.toSorted());
    }
    const { items } = (await executions(mixed.id)).body;
    const of = (external_id: string) => items.find((item) => item.external_id === external_id);
    expect(of(onTarget)).toMatchObject({ status: 'SUCCEEDED', reason: 'ALREADY_ON_TARGET', sent_dt: null });
    expect(of(succeeded)).toMatchObject({ status: 'SUCCEEDED', reason: null, attempt: 1, sent_dt: startOfTime.toISOString() });
    expect(of(failed)).toMatchObject({ status: 'FAILED', reason: 'DEVICE_FAILED', detail: 'no space' });
    expect(of(rejected)).toMatchObject({ status: 'REJECTED', reason: 'BACKEND_REJECTED', detail: 'locked' });
  });

  it('200: of one device, and of the canary or all others, also together with a status and a reason', async () => {
    await db
      .updateTable('update_executions')
      .set({ is_canary: true })
      .where('id', 'in', await canary())
      .execute();
    const found = async (query: Query) =>
      (await allPages((page) => executions(mixed.id, page), { ...query, limit: '1' })).map(({ external_id }) => external_id);
    const others = external_ids.filter((id) => id !== failed && id !== rejected);
    expect(await found({ external_id: failed })).toEqual([failed]);
    expect(await found({ external_id: failed, status: 'FAILED', reason: 'DEVICE_FAILED', is_canary: 'true' })).toEqual([failed]);
    expect(await found({ external_id: failed, status: 'SUCCEEDED' })).toEqual([]);
    expect(await found({ external_id: failed, is_canary: 'false' })).toEqual([]);
    expect(await found({ external_id: 'nobody' })).toEqual([]);
    expect(await found({ is_canary: 'true' })).toEqual(expect.arrayContaining([failed, rejected]));
    expect(await found({ is_canary: 'true', status: 'REJECTED' })).toEqual([rejected]);
    expect((await found({ is_canary: 'false' })).toSorted()).toEqual(others);
    // A device of another update is none of this one.
    expect((await executions(completed.id, { external_id: failed })).body).toMatchObject({ items: [] });
    expect(await executions(mixed.id, { is_canary: 'yes' })).toMatchObject({ statusCode: 400, body: { errors: [{ path: 'is_canary' }] } });
    await db.updateTable('update_executions').set({ is_canary: false }).execute();
  });
  const canary = async () => {
    const rows = await service.executions(mixed.id);
    return rows.filter(({ external_id }) => external_id === failed || external_id === rejected).map(({ id }) => id);
  };

  it('200: by their end, the latest first or last; those that have not ended come after all others, in pages of any size', async () => {
    const rows = await service.executions(mixed.id);
    const idOf = (external_id: string) => rows.find((row) => row.external_id === external_id)?.id ?? 0;
    const set = (external_id: string, second: number) =>
      db
        .updateTable('update_executions')
        .set({ finished_dt: new Date(startOfTime.getTime() + second * 1_000) })
        .where('id', '=', idOf(external_id))
        .execute();
    // Two at one moment, in two statuses.
    await set(onTarget, 1);
    await set(failed, 2);
    await set(rejected, 2);
    await set(succeeded, 3);
    const tie = [idOf(failed), idOf(rejected)].toSorted((a, b) => a - b);
    const ended = [idOf(onTarget), ...tie, idOf(succeeded)];
    const open = rows.map(({ id }) => id).filter((id) => !ended.includes(id));
    expect(open).toHaveLength(8);
    const ids = async (query: Query) => (await allPages((page) => executions(mixed.id, page), query)).map(({ id }) => id);
    for (const limit of ['1', '2', '3', '500']) {
      const ascending = { sort: 'finished_dt_ascending', limit };
      const descending = { sort: 'finished_dt_descending', limit };
      expect(await ids(ascending)).toEqual([...ended, ...open.toSorted((a, b) => a - b)]);
      expect(await ids(descending)).toEqual([...ended.toReversed(), ...open.toSorted((a, b) => b - a)]);
      expect(await ids({ ...descending, status: 'SUCCEEDED' })).toEqual([idOf(succeeded), idOf(onTarget)]);
      expect(await ids({ ...descending, external_id: failed })).toEqual([idOf(failed)]);
      expect(await ids({ sort: 'id_descending', limit })).toEqual([...ended, ...open].toSorted((a, b) => b - a));
    }
    expect(await executions(mixed.id, { sort: 'sent_dt_ascending' })).toMatchObject({
      statusCode: 400,
      body: { errors: [{ path: 'sort' }] },
    });
  });

  it('200: an empty page of an update that exists, when none is in that status', async () => {
    expect(await executions(scheduled.id, { status: 'FAILED' })).toMatchObject({ statusCode: 200, body: { items: [], next_cursor: null } });
  });

  it('200: never an execution of another update', async () => {
    const { items } = (await executions(completed.id, { limit: '500' })).body;
    expect(items).toHaveLength(1);
    expect(items).toMatchObject([{ update_id: completed.id }]);
  });

  it('404: no such update', async () => {
    expect(await executions(2_000_000_000)).toMatchObject({ statusCode: 404, body: { code: 'update.not_found' } });
  });

  it('400: an unknown status and a cursor of nobody, both named', async () => {
    const answer = await executions(mixed.id, { status: 'LOST', limit: '-5' });
    expect(answer.statusCode).toBe(400);
    expect(answer.body.errors.map(({ path }) => path).toSorted()).toEqual(['limit', 'status']);
    expect(await executions(mixed.id, { cursor: 'AAAA' })).toMatchObject({ statusCode: 400 });
  });
});
