import { sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import { expect, it } from 'vitest';
import { migrateToLatest } from '../../../lib/db/migrate.ts';
import { getUpdate } from '../../../lib/update/get-update.ts';
import { migrations } from '../../../migrations/index.ts';
import { createTestDatabase } from '../../support/database.ts';
import { startOfTime } from '../../support/fixtures.ts';

const { db, url } = await createTestDatabase({ isEmpty: true });
const before = '20261124160000_recall_dispatches';

it('migrating keeps the counts of updates that have ended, counts their late successes, and leaves those that run alone', async () => {
  await new Migrator({ db, provider: { getMigrations: async () => migrations } }).migrateTo(before);
  // By hand: the code of today knows columns that were not there then.
  await sql`
    INSERT INTO firmwares
      (hardware_type, version, version_num, status, object_key, file_link, size_bytes, sha256, sha1, md5, created_by, created_dt)
    VALUES ('vega_mcu', '1.0.0', 1, 'available', 'k', 's3://b/k?versionId=1', 1, repeat('0', 64), repeat('0', 40), repeat('0', 32),
            'test', ${startOfTime})`.execute(db);
  await sql`
    INSERT INTO devices (kind, external_id, version, channel, created_dt)
    SELECT 'scooter', 'P-' || n, 1, 'telematics', ${startOfTime} FROM generate_series(1, 6) n`.execute(db);
  await sql`
    INSERT INTO updates (firmware_id, status, maximum_per_minute, allow_downgrade, comment, request_hash, request_id, created_by, created_dt, finished_dt)
    SELECT 1, status, 30000, false, '', 'h', 'r', 'x', ${startOfTime}, finished_dt
    FROM (VALUES ('COMPLETED', ${startOfTime}::timestamptz), ('IN_PROGRESS', NULL)) u (status, finished_dt)`.execute(db);
  // Of six devices four have succeeded and two have not, of which one was seen on the version wanted later; and three of the second.
  await sql`
    INSERT INTO update_executions (update_id, device_id, hardware_type, status, reason, queued_dt, finished_dt, late_success_dt)
    SELECT 1, n, 'vega_mcu', CASE WHEN n <= 4 THEN 'SUCCEEDED' ELSE 'TIMED_OUT' END, CASE WHEN n > 4 THEN 'NOT_CONFIRMED' END,
           ${startOfTime}::timestamptz, ${startOfTime}::timestamptz, CASE n WHEN 6 THEN ${startOfTime}::timestamptz END
    FROM generate_series(1, 6) n
    UNION ALL SELECT 2, n, 'vega_mcu', 'QUEUED', NULL, ${startOfTime}::timestamptz, NULL, NULL FROM generate_series(1, 3) n`.execute(db);

  await migrateToLatest(url);

  const kept = await db.selectFrom('updates').select(['id', 'final_counts', 'final_figures']).orderBy('id').execute();
  expect(kept).toEqual([
    { id: 1, final_counts: { SUCCEEDED: 4, TIMED_OUT: 2 }, final_figures: null },
    { id: 2, final_counts: null, final_figures: null },
  ]);
  expect(await getUpdate(db, 1, startOfTime)).toMatchObject({
    counts: { SUCCEEDED: 4, TIMED_OUT: 2, QUEUED: 0 },
    late_successes: 1,
    reasons: [
      { status: 'SUCCEEDED', reason: null, count: 4 },
      { status: 'TIMED_OUT', reason: 'NOT_CONFIRMED', count: 2 },
    ],
  });
  expect(await getUpdate(db, 2, startOfTime)).toMatchObject({ counts: { QUEUED: 3 }, late_successes: 0 });
});
