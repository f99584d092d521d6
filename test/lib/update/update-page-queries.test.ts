import { CompiledQuery, sql } from 'kysely';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createDatabase } from '../../../lib/db/database.ts';
import { listUpdates, type UpdateFilter } from '../../../lib/update/update-page-queries.ts';
import { createTestDatabase } from '../../support/database.ts';
import { givenFirmware, startOfTime } from '../../support/fixtures.ts';

// 40,000 updates of which most are alike, and the few that somebody looks for are the oldest: what a page reads must not depend on where they are.
const updates = 40_000;
const few = 20;
const size = 51;

const { db, url } = await createTestDatabase();
const sent: { statement: string; parameters: readonly unknown[] }[] = [];
const reader = createDatabase({ url, maxConnections: 1, onStatement: (statement, parameters) => sent.push({ statement, parameters }) });
afterAll(() => reader.destroy());

const ids: Record<string, number> = {};
beforeAll(async () => {
  for (const hardware_type of ['vega_mcu', 'vega_mcu', 'audio_lock', 'audio_lock']) {
    const { id } = await givenFirmware(db, { hardware_type });
    ids[`${hardware_type} ${hardware_type in ids ? 2 : 1}`] = id;
    ids[hardware_type] = id;
  }
  await sql`
    INSERT INTO updates (firmware_id, status, final_counts, maximum_per_minute, allow_downgrade, comment, request_hash, request_id, created_by, created_dt)
    SELECT CASE WHEN n <= ${few}::integer THEN ${ids['audio_lock 1']}::integer + n % 2 ELSE ${ids['vega_mcu 1']}::integer + n % 2 END,
           CASE WHEN n <= ${few}::integer THEN 'ABORTED' ELSE 'COMPLETED' END, '{}', 30000, false, '', 'h', 'r',
           CASE WHEN n <= ${few}::integer THEN 'admin' ELSE 'pipeline' END, ${startOfTime}
    FROM generate_series(1, ${updates}::integer) n`.execute(db);
  await sql`VACUUM ANALYZE`.execute(db);
});

interface PlanNode {
  'Node Type': string;
  'Relation Name'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  Plans?: PlanNode[];
}

/** How the table of updates is read. */
const planOf = async (filter: Omit<UpdateFilter, 'limit'>) => {
  sent.length = 0;
  const { items } = await listUpdates(reader, { ...filter, limit: size - 1 }, startOfTime);
  const [{ statement, parameters } = { statement: '', parameters: [] }] = sent.splice(0);
  const { rows } = await reader.executeQuery<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(
    CompiledQuery.raw(`EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ${statement}`, [...parameters]),
  );
  const seen = { found: items.length, access: new Set<string>(), rows: 0 };
  const visit = (node: PlanNode) => {
    const { 'Relation Name': table, 'Actual Loops': loops } = node;
    if (table === 'updates' && loops > 0) {
      seen.access.add(node['Node Type']);
      seen.rows += (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * loops;
    }
    for (const child of node.Plans ?? []) visit(child);
  };
  visit(rows[0]?.['QUERY PLAN'][0].Plan as PlanNode);
  return seen;
};

it.each<[string, () => Omit<UpdateFilter, 'limit'>, number]>([
  ['of all', () => ({}), size],
  ['of a firmware that most have', () => ({ firmware_id: ids['vega_mcu'] ?? 0 }), size],
  ['of a firmware that few have', () => ({ firmware_id: ids['audio_lock'] ?? 0 }), few / 2],
  ['of a hardware type that most have', () => ({ hardware_type: 'vega_mcu' }), size],
  ['of a hardware type that few have', () => ({ hardware_type: 'audio_lock' }), few],
  ['of a hardware type that none has', () => ({ hardware_type: 'cabinet' }), 0],
  ['by an author of most', () => ({ created_by: 'pipeline' }), size],
  ['by an author of few', () => ({ created_by: 'admin' }), few],
  ['by nobody', () => ({ created_by: 'nobody' }), 0],
  ['in a status that most have', () => ({ status: 'COMPLETED' }), size],
  ['in a status that few have', () => ({ status: 'ABORTED' }), few],
  ['by an author of few, of a hardware type', () => ({ created_by: 'admin', hardware_type: 'audio_lock' }), few],
  ['by an author of few, in a status that others have', () => ({ created_by: 'admin', status: 'COMPLETED' }), 0],
])('a page of updates, %s, looks at a few rows for each that it answers, by an index', async (_, filter, found) => {
  const { access, rows, found: answered } = await planOf(filter());
  expect(answered).toBe(Math.min(found, size - 1));
  expect([...access].filter((node) => !/^(Index|Index Only|Bitmap Heap) Scan$/.test(node))).toEqual([]);
  // The page's ids, at most twice as many where a hardware type has two firmwares; then each of them with its columns.
  expect(rows).toBeLessThanOrEqual(4 * size);
});
