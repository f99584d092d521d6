import { type RawBuilder, sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import { beforeAll, describe, expect, it } from 'vitest';
import { migrateToLatest } from '../../../lib/db/migrate.ts';
import { migrations } from '../../../migrations/index.ts';
import { createTestDatabase } from '../../support/database.ts';
import { startOfTime } from '../../support/fixtures.ts';

const { db, url } = await createTestDatabase({ isEmpty: true });
const before = '20261124160000_recall_dispatches';
const then = sql`${startOfTime}::timestamptz`;

/** Every state that the previous release writes, in the columns it knows, and the phase it is in. */
const states: [
  name: string,
  phase: string,
  channel: 'telematics' | 'iot',
  columns: Record<string, RawBuilder<unknown> | string | boolean>,
][] = [
  ['never asked', 'waiting', 'telematics', { status: 'QUEUED' }],
  [
    'put off by the backend',
    'waiting',
    'telematics',
    { status: 'QUEUED', reason: 'DEFERRED: in a ride', sent_dt: then, next_attempt_dt: then },
  ],
  ['without an answer', 'waiting', 'telematics', { status: 'QUEUED', reason: 'DEFERRED: 503', sent_dt: then, is_unanswered: true }],
  [
    'to be tried again',
    'waiting',
    'telematics',
    { status: 'IN_PROGRESS', reason: 'RETRY: DEVICE_FAILED', sent_dt: then, next_attempt_dt: then },
  ],
  ['started without an answer', 'waiting', 'telematics', { status: 'IN_PROGRESS', sent_dt: then, is_unanswered: true }],
  ['in a chunk', 'released', 'telematics', { status: 'QUEUED', dispatch_id: sql`1` }],
  ['in a chunk again', 'released', 'telematics', { status: 'IN_PROGRESS', reason: 'RETRY: NOT_CONFIRMED', dispatch_id: sql`1` }],
  ['being called', 'calling', 'telematics', { status: 'QUEUED', dispatch_id: sql`1`, sent_dt: then }],
  [
    'being called again',
    'calling',
    'telematics',
    { status: 'IN_PROGRESS', reason: 'RETRY: DEVICE_FAILED', dispatch_id: sql`1`, sent_dt: then },
  ],
  ['accepted', 'asked', 'telematics', { status: 'IN_PROGRESS', dispatch_id: sql`1`, sent_dt: then }],
  ['waiting for an offer', 'waiting', 'iot', { status: 'QUEUED', next_attempt_dt: then }],
  [
    'tried again after it was installed',
    'waiting',
    'iot',
    {
      status: 'IN_PROGRESS',
      reason: 'RETRY: VERSION_MISMATCH',
      sent_dt: then,
      installed_dt: then,
      cancellation: 'refused',
      next_attempt_dt: then,
    },
  ],
  ['offered', 'offered', 'iot', { status: 'QUEUED', dispatch_id: sql`1` }],
  ['taken', 'asked', 'iot', { status: 'IN_PROGRESS', dispatch_id: sql`1`, sent_dt: then }],
  [
    'going on',
    'asked',
    'iot',
    { status: 'IN_PROGRESS', reason: 'CANCEL_REFUSED', dispatch_id: sql`1`, sent_dt: then, cancellation: 'refused' },
  ],
  [
    'asked to stop',
    'canceling',
    'iot',
    { status: 'IN_PROGRESS', reason: 'CANCEL_REQUESTED', dispatch_id: sql`1`, sent_dt: then, cancellation: 'requested' },
  ],
  [
    'installed',
    'installed',
    'iot',
    { status: 'IN_PROGRESS', reason: 'AWAITING_PROOF', dispatch_id: sql`1`, sent_dt: then, installed_dt: then },
  ],
  [
    'installed although asked to stop',
    'installed',
    'iot',
    { status: 'IN_PROGRESS', dispatch_id: sql`1`, sent_dt: then, installed_dt: then, cancellation: 'requested' },
  ],
  ...['SUCCEEDED', 'FAILED', 'TIMED_OUT', 'REJECTED', 'CANCELED', 'REMOVED'].map((status): (typeof states)[number] => [
    `ended as ${status}`,
    'ended',
    'telematics',
    { status, dispatch_id: sql`1`, sent_dt: then, finished_dt: then },
  ]),
];

/** As the previous release inserts, in the names it has: `device_id` tells them apart. */
const insert = async (device_id: number, channel: string, columns: (typeof states)[number][3]) => {
  const names = Object.keys(columns).map((name) => sql.ref(name));
  await sql`
    INSERT INTO update_executions (update_id, device_id, hardware_type, channel, queued_dt, ${sql.join(names)})
    VALUES (1, ${device_id}, 'vega_mcu', ${channel}, ${then}, ${sql.join(Object.values(columns))})`.execute(db);
};
const phases = async (above: number) => {
  const rows = await db
    .selectFrom('update_executions')
    .select(['device_id', 'phase'])
    .where('device_id', '>', above)
    .orderBy('device_id')
    .execute();
  return rows.map(({ device_id, phase }) => [states[device_id - above - 1]?.[0], phase]);
};
const expected = states.map(([name, phase]) => [name, phase]);

beforeAll(async () => {
  await new Migrator({ db, provider: { getMigrations: async () => migrations } }).migrateTo(before);
  await sql`
    INSERT INTO firmwares
      (hardware_type, version, version_num, status, object_key, file_link, size_bytes, sha256, sha1, md5, created_by, created_dt)
    VALUES ('vega_mcu', '1.0.0', 1, 'available', 'k', 's3://b/k?versionId=1', 1, repeat('0', 64), repeat('0', 40), repeat('0', 32), 'test', ${then})`.execute(
    db,
  );
  await sql`
    INSERT INTO updates (firmware_id, status, maximum_per_minute, allow_downgrade, comment, request_hash, request_id, created_by, created_dt)
    VALUES (1, 'IN_PROGRESS', 30000, false, '', 'h', 'r', 'x', ${then})`.execute(db);
  await sql`INSERT INTO update_dispatches (update_id, step, commands, released_dt) VALUES (1, 0, 1, ${then})`.execute(db);
  for (const [i, [, , channel, columns]] of states.entries()) await insert(i + 1, channel, columns);
  await migrateToLatest(url);
});

describe('phases', () => {
  it('are those of the executions that run and have ended when the database is migrated', async () => {
    expect(await phases(0)).toEqual(expected);
  });

  it('are derived of what the previous release inserts beside the migration', async () => {
    for (const [i, [, , channel, columns]] of states.entries()) await insert(i + 1_001, channel, columns);
    expect(await phases(1_000)).toEqual(expected);
  });

  it('are derived of what the previous release changes beside the migration', async () => {
    for (const [i, [, , channel, columns]] of states.entries()) {
      await insert(i + 2_001, channel, { status: 'QUEUED' });
      const changes = Object.entries(columns).map(([name, value]) => sql`${sql.ref(name)} = ${value}`);
      await sql`UPDATE update_executions SET ${sql.join(changes)} WHERE device_id = ${i + 2_001}`.execute(db);
    }
    expect(await phases(2_000)).toEqual(expected);
  });

  it('follow an execution that the previous release tries again, up to the answer of the backend', async () => {
    const seen = async (change: string) => {
      await sql`UPDATE update_executions SET ${sql.raw(change)} WHERE device_id = 3001`.execute(db);
      return (await db.selectFrom('update_executions').select('phase').where('device_id', '=', 3_001).executeTakeFirstOrThrow()).phase;
    };
    await insert(3_001, 'telematics', { status: 'IN_PROGRESS', reason: 'RETRY: DEVICE_FAILED', sent_dt: then, next_attempt_dt: then });
    expect(await seen('dispatch_id = 1, next_attempt_dt = NULL, sent_dt = NULL')).toBe('released');
    expect(await seen("sent_dt = '2026-11-24T09:00:00Z'")).toBe('calling');
    expect(await seen("status = 'IN_PROGRESS', reason = NULL, detail = NULL")).toBe('asked');
    expect(await seen("told_status = 'IN_PROGRESS'")).toBe('asked');
    expect(await seen("status = 'SUCCEEDED', finished_dt = '2026-11-24T10:00:00Z'")).toBe('ended');
  });

  it.each([
    ["phase = 'asked'", 'asked without a chunk'],
    ["phase = 'released', dispatch_id = 1, sent_dt = '2026-11-24T09:00:00Z'", 'released and sent'],
    ["phase = 'offered', dispatch_id = 1", 'an offer of a device that does not poll'],
    ["phase = 'calling', dispatch_id = 1", 'called without a time of sending'],
    ["phase = 'installed', status = 'IN_PROGRESS', dispatch_id = 1, sent_dt = '2026-11-24T09:00:00Z'", 'installed without a time'],
    [
      "phase = 'canceling', status = 'IN_PROGRESS', dispatch_id = 1, sent_dt = '2026-11-24T09:00:00Z'",
      'canceling without being asked to stop',
    ],
    ["phase = 'released', dispatch_id = 1, next_attempt_dt = '2026-11-24T09:00:00Z'", 'released and not due'],
    ["phase = 'ended'", 'ended and QUEUED'],
    ["phase = 'lost'", 'no phase at all'],
  ])('a state that cannot be is refused by PostgreSQL: %s (%s)', async (change) => {
    const [first] = await db.selectFrom('update_executions').select('id').where('device_id', '=', 1).execute();
    await expect(sql`UPDATE update_executions SET ${sql.raw(change)} WHERE id = ${first?.id}`.execute(db)).rejects.toThrow(
      'update_executions_phase_check',
    );
  });
});
