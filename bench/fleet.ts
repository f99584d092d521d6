// The fleet of `npm run bench:http`: scooters with what they run, cabinets that poll, and updates in the state that a line needs.
import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../lib/db/database.ts';
import { type IssuedToken, issueFirstTokens } from '../lib/ddi/issue-device-token.ts';
import { addDevices } from '../lib/fleet/change-queries.ts';
import { NewDevice } from '../lib/fleet/new-device.ts';
import { givenFirmware } from '../test/support/fixtures.ts';
import { seed } from './seed.ts';

/** The bucket of the simulated storage, which has every object. */
export const bucket = 'bench';

export interface Fleet {
  db: Db;
  scooters: number;
  cabinets: IssuedToken[];
}

export interface GivenExecution {
  id: number;
  external_id: string;
}

export interface GivenUpdate {
  id: number;
  hardware_type: string;
  version: string;
  executions: GivenExecution[];
}

export async function givenFleet(
  db: Db,
  databaseUrl: string,
  { scooters, cabinets }: { scooters: number; cabinets: number },
): Promise<Fleet> {
  await seed(databaseUrl, scooters, () => {});
  const names = Array.from({ length: cabinets }, (_, i) => ({ kind: 'cabinet' as const, external_id: `C-${i + 1}` }));
  const devices = names.map((name) => NewDevice.parse({ ...name, version: null, channel: 'iot' }));
  await addDevices(db, devices, new Date(Date.now() - 86_400_000));
  const issued = await issueFirstTokens({ db, now: () => new Date() }, names, { subject: 'bench', request_id: 'bench' });
  await givenSeenLately(db);
  await sql`VACUUM ANALYZE`.execute(db);
  return { db, scooters, cabinets: issued };
}

/** Cabinets that have polled a moment ago, and whose version is known. */
export async function givenSeenLately(db: Db): Promise<void> {
  await sql`UPDATE devices SET last_seen_dt = now() WHERE channel = 'iot'`.execute(db);
  await sql`UPDATE iot_devices SET config_data_dt = now()`.execute(db);
}

/** Ends unfinished updates of earlier lines; their executions were only a state to begin with. */
const forgetUnfinished = async (db: Db): Promise<void> => {
  await sql`
    UPDATE update_executions
    SET phase = 'ended', status = 'REMOVED', finished_dt = now(), dispatch_id = NULL, installed_dt = NULL, next_attempt_dt = NULL
    WHERE status IN ('QUEUED', 'IN_PROGRESS')`.execute(db);
  await sql`UPDATE updates SET status = 'COMPLETED', finished_dt = now() WHERE finished_dt IS NULL`.execute(db);
};

/**
 * A running update of `devices d`, in chunks of a hundred, with executions in a phase: `released` before dispatch, `asked` after it, `offered`
 * to devices that poll. No other one is left unfinished.
 */
export async function givenUpdate(
  db: Db,
  {
    phase,
    hardware_type,
    devices,
    limit,
  }: { phase: 'released' | 'asked' | 'offered'; hardware_type: string; devices: RawBuilder<unknown>; limit: number },
): Promise<GivenUpdate> {
  await forgetUnfinished(db);
  // Newer than all that the fleet runs.
  const firmware = await givenFirmware(db, {
    hardware_type,
    version: `2.${Date.now()}.0`,
    file_link: `s3://${bucket}/bench/firmware.bin?versionId=1`,
  });
  const channel = phase === 'offered' ? 'iot' : 'telematics';
  const { rows } = await sql<GivenExecution & { update_id: number }>`
    WITH requested AS (
      INSERT INTO updates
        (firmware_id, status, maximum_per_minute, allow_downgrade, comment, request_hash, request_id, created_by, created_dt, started_dt, planned)
      VALUES (${firmware.id}, 'IN_PROGRESS', 1000000, false, '', 'bench', 'bench', 'bench', now(), now(), ${JSON.stringify({ ELIGIBLE: limit })})
      RETURNING id
    ), chosen AS (
      SELECT d.id, d.external_id, (row_number() OVER (ORDER BY d.id) - 1) / 100 AS chunk FROM devices d WHERE ${devices} LIMIT ${limit}
    ), chunks AS (
      INSERT INTO update_dispatches (update_id, step, commands, released_dt, answered_dt)
      SELECT requested.id, chunk, count(*), now(), ${phase === 'released' ? sql`NULL::timestamptz` : sql`now()`}
      FROM chosen, requested GROUP BY requested.id, chunk ORDER BY chunk
      RETURNING id, step
    ), inserted AS (
      INSERT INTO update_executions (update_id, device_id, hardware_type, channel, phase, status, queued_dt, sent_dt, dispatch_id)
      SELECT requested.id, c.id, ${hardware_type}, ${channel}, ${phase}, ${phase === 'asked' ? 'IN_PROGRESS' : 'QUEUED'},
             now() - interval '2 minutes', ${phase === 'asked' ? sql`now() - interval '1 minute'` : sql`NULL::timestamptz`}, chunks.id
      FROM requested, chosen c JOIN chunks ON chunks.step = c.chunk
      ORDER BY c.id
      RETURNING id, device_id, update_id
    )
    SELECT inserted.id, inserted.update_id, c.external_id FROM inserted JOIN chosen c ON c.id = inserted.device_id ORDER BY inserted.id`.execute(
    db,
  );
  await sql`ANALYZE update_executions, update_dispatches, updates`.execute(db);
  return { id: rows[0]?.update_id ?? 0, hardware_type, version: firmware.version, executions: rows };
}
