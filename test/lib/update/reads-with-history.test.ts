import { CompiledQuery, sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase } from '../../../lib/db/database.ts';
import { keepFinalFigures } from '../../../lib/update/figure-queries.ts';
import { getExclusions, getExecutions, getTimeline, getUpdate, listUpdates } from '../../../lib/update/get-update.ts';
import { createTestDatabase } from '../../support/database.ts';
import { givenFirmware, startOfTime } from '../../support/fixtures.ts';

// A history of 12 updates that ended and one that runs, of 10,000 devices each. What a page reads must not depend on it.
const updates = 13;
const devices = 10_000;
const running = updates;

const { db, url } = await createTestDatabase();
const sent: { statement: string; parameters: readonly unknown[] }[] = [];
const reader = createDatabase({
  url,
  maxConnections: 1,
  onStatement: (statement, parameters) => sent.push({ statement, parameters }),
});
afterAll(() => reader.destroy());

interface PlanNode {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  'Index Cond'?: string;
  /** Of a bitmap: the condition by which an index has found the rows. */
  'Recheck Cond'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Shared Hit Blocks': number;
  'Shared Read Blocks': number;
  Plans?: PlanNode[];
}

/** What the statements of a read do to the table of executions. */
const planOf = async (read: () => Promise<unknown>) => {
  sent.length = 0;
  await read();
  const seen = { scans: new Set<string>(), rows: 0, pages: 0 };
  const visit = (node: PlanNode) => {
    const { 'Relation Name': table, 'Actual Loops': loops } = node;
    if (table === 'update_executions' && loops > 0) {
      seen.scans.add(
        node['Node Type'] === 'Seq Scan' ? 'all' : (node['Index Cond'] ?? node['Recheck Cond']) ? 'by index' : 'a whole index',
      );
      seen.rows += (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * loops;
    }
    for (const child of node.Plans ?? []) visit(child);
  };
  for (const { statement, parameters } of sent.splice(0)) {
    const { rows } = await reader.executeQuery<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(
      CompiledQuery.raw(`EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) ${statement}`, [...parameters]),
    );
    const plan = rows[0]?.['QUERY PLAN'][0].Plan as PlanNode;
    seen.pages += plan['Shared Hit Blocks'] + plan['Shared Read Blocks'];
    visit(plan);
  }
  return { ...seen, scans: [...seen.scans].sort() };
};

beforeAll(async () => {
  const firmware = await givenFirmware(db);
  await sql`
    INSERT INTO devices (kind, external_id, version, channel, created_dt)
    SELECT 'scooter', 'P-' || n, 1, 'telematics', ${startOfTime} FROM generate_series(1, ${devices}::integer) n`.execute(db);
  await sql`
    INSERT INTO updates (firmware_id, status, maximum_per_minute, allow_downgrade, comment, request_hash, request_id, created_by, created_dt, planned)
    SELECT ${firmware.id}, 'IN_PROGRESS', 30000, false, '', 'h', 'r', 'x', ${startOfTime}, ${JSON.stringify({ ELIGIBLE: devices })}
    FROM generate_series(1, ${updates}::integer)`.execute(db);
  // One in 30 has failed; of the one that runs, one in 30 is at work.
  await sql`
    INSERT INTO update_executions (update_id, device_id, hardware_type, status, reason, queued_dt, sent_dt, finished_dt)
    SELECT u, n, 'vega_mcu',
           CASE WHEN u < ${running}::integer THEN CASE WHEN n % 30 = 0 THEN 'FAILED' ELSE 'SUCCEEDED' END
                WHEN n % 30 = 0 THEN 'IN_PROGRESS' ELSE 'QUEUED' END,
           CASE WHEN u < ${running}::integer AND n % 30 = 0 THEN 'DEVICE_FAILED' END,
           ${startOfTime}, ${startOfTime}, CASE WHEN u < ${running}::integer THEN ${startOfTime}::timestamptz END
    FROM generate_series(1, ${updates}::integer) u, generate_series(1, ${devices}::integer) n`.execute(db);

  for (let id = 1; id < running; id += 1) {
    await db.transaction().execute(async (trx) => {
      await trx.updateTable('updates').set({ status: 'COMPLETED', finished_dt: startOfTime }).where('id', '=', id).execute();
      await keepFinalFigures(trx, id);
    });
  }
  await sql`
    UPDATE update_executions SET is_canary = true WHERE update_id = ${running} AND device_id > ${devices - 200}::integer`.execute(db);
  await sql`
    INSERT INTO update_exclusions (update_id, kind, external_id, reason)
    SELECT u, 'scooter', 'X-' || n, CASE WHEN n % 40 = 0 THEN 'DOWNGRADE' ELSE 'BLOCKED' END
    FROM generate_series(1, ${updates}::integer) u, generate_series(1, ${devices}::integer) n`.execute(db);
  await sql`VACUUM ANALYZE`.execute(db);
}, 120_000);

const page = { limit: 50 };

describe('what is read does not grow with the history', () => {
  it('the list of updates looks at no execution of those that have ended', async () => {
    const { scans, rows } = await planOf(() => listUpdates(reader, { ...page, status: 'COMPLETED' }, startOfTime));
    expect({ scans, rows }).toEqual({ scans: [], rows: 0 });
  });

  it('the list of updates looks at the executions of one that runs only, by an index', async () => {
    expect(await planOf(() => listUpdates(reader, page, startOfTime))).toMatchObject({ scans: ['by index'], rows: devices });
  });

  it('an update that has ended is answered with all its figures without a look at its executions', async () => {
    const { scans, rows, pages } = await planOf(() => getUpdate(reader, 4, startOfTime));
    // Offers that were taken within the last minute are looked for, by an index of their own: there are none.
    expect({ scans, rows }).toEqual({ scans: ['by index'], rows: 0 });
    expect(pages).toBeLessThan(30);
    expect(await getUpdate(reader, 4, startOfTime)).toMatchObject({
      counts: { SUCCEEDED: 9_667, FAILED: 333 },
      reasons: [
        { status: 'SUCCEEDED', reason: null, count: 9_667, texts: [] },
        { status: 'FAILED', reason: 'DEVICE_FAILED', count: 333, texts: [] },
      ],
    });
  });

  it('a timeline looks at the executions of its update alone, by an index', async () => {
    const read = () => getTimeline(reader, 5, { points: 500 }, startOfTime);
    expect(await planOf(read)).toMatchObject({ scans: ['by index'], rows: devices });
  });

  it.each([
    ['the first page', 1, {}, 51],
    ['the first page of the latest update', running, {}, 51],
    ['of a status', 7, { status: 'FAILED' as const }, 51],
    ['of a status that none has', 7, { status: 'CANCELED' as const }, 0],
    ['of a reason', 7, { reason: 'DEVICE_FAILED' }, 51],
    ['of a reason that none has', 7, { reason: 'NONE' }, 0],
    ['of a reason and a status that has others', 7, { reason: 'DEVICE_FAILED', status: 'SUCCEEDED' as const }, 0],
    ['of a device', 7, { external_id: 'P-9990' }, 1],
    ['of a device and a status', 7, { external_id: 'P-9990', status: 'FAILED' as const }, 1],
    ['of a canary that there is none of', 7, { is_canary: true }, 0],
    ['of the canary, with which the ids end', running, { is_canary: true }, 51],
    ['of the canary, in a status', running, { is_canary: true, status: 'QUEUED' as const }, 51],
    ['of all but the canary', running, { is_canary: false }, 51],
    ['backwards', 7, { sort: 'id_descending' as const }, 51],
    ['by their ends', 7, { sort: 'finished_dt_ascending' as const }, 51],
    ['by their ends, the latest first', 7, { sort: 'finished_dt_descending' as const }, 51],
    ['by their ends, of a status', 7, { sort: 'finished_dt_descending' as const, status: 'FAILED' as const }, 51],
    ['by their ends, when none has ended', running, { sort: 'finished_dt_descending' as const }, 51],
  ])('a page of executions, %s, reads a few entries of an index', async (_name, update_id, filter, found) => {
    const { scans, rows, pages } = await planOf(async () => {
      const { items } = await getExecutions(reader, { update_id, ...filter, ...page }, startOfTime);
      expect(items).toHaveLength(Math.min(found, page.limit));
    });
    expect(scans).toEqual(['by index']);
    // The 51 that are answered, and at most 51 of each of the two statuses there are.
    expect(rows).toBeLessThanOrEqual(3 * 51);
    expect(pages).toBeLessThan(600);
  });

  it.each([
    ['of all reasons', {}],
    ['of one reason', { reason: 'DOWNGRADE' as const }],
  ])('a page of exclusions, %s, reads its own entries of the key', async (_name, filter) => {
    const { pages } = await planOf(async () => {
      expect((await getExclusions(reader, { update_id: 5, ...filter, ...page })).items).toHaveLength(page.limit);
    });
    expect(pages).toBeLessThan(80);
  });

  it('pages of executions come in the order of ids, whatever their status, each execution once', async () => {
    const ids: number[] = [];
    let cursor: string | undefined;
    do {
      const { items, next_cursor } = await getExecutions(reader, { update_id: 3, limit: 500, cursor }, startOfTime);
      ids.push(...items.map(({ id }) => id));
      cursor = next_cursor ?? undefined;
    } while (cursor);
    expect(ids).toHaveLength(devices);
    expect(ids).toEqual(ids.toSorted((a, b) => a - b));
    expect(new Set(ids).size).toBe(devices);
  });
});
