import { sql } from 'kysely';
import type { Db } from '../lib/db/database.ts';

/** What the benches of an update of a million devices share. */

export const settingsForMillions = [
  'shared_buffers=1GB',
  'work_mem=16MB',
  'maintenance_work_mem=256MB',
  'max_wal_size=8GB',
  'random_page_cost=1.1',
];

/** Rows of one statement when many are inserted: one large statement would exceed the time limit for statements. */
export const part = 100_000;

/** Registers the scooters P-1, P-2 and so on. */
export async function seedScooters(db: Db, devices: number): Promise<void> {
  for (let first = 1; first <= devices; first += part) {
    await sql`
      INSERT INTO devices (kind, external_id, version, channel, created_dt)
      SELECT 'scooter', 'P-' || n, 1, 'telematics', now()
      FROM generate_series(${first}::integer, ${Math.min(devices, first + part - 1)}::integer) n`.execute(db);
  }
}

/** Does the work, and prints how many seconds it took. */
export async function timed<T>(name: string, work: () => Promise<T>): Promise<T> {
  const began = performance.now();
  const result = await work();
  console.log(`${((performance.now() - began) / 1_000).toFixed(3).padStart(8)} s  ${name}`);
  return result;
}
