import { sql } from 'kysely';
import type { Trx } from '../db/database.ts';
import type { Removal } from '../removal.ts';

/**
 * Removes one observation that ended long ago. Its findings stay in the histories of devices, but no longer name the observation. Answers
 * whether there was one: then another may be left.
 */
export async function removeOldObservation(trx: Trx, { before, limit }: Removal): Promise<boolean> {
  const observation = await trx
    .selectFrom('observations')
    .select('id')
    .where('finished_dt', '<', before)
    .orderBy('id')
    .limit(1)
    .forUpdate()
    .skipLocked()
    .executeTakeFirst();
  if (!observation) return false;
  const { numAffectedRows = 0n } = await sql`
    UPDATE device_firmware_history SET observation_id = NULL WHERE id = ANY (ARRAY(
      SELECT id FROM device_firmware_history WHERE observation_id = ${observation.id} ORDER BY id LIMIT ${limit}
    ))`.execute(trx);
  if (numAffectedRows < limit) await trx.deleteFrom('observations').where('id', '=', observation.id).execute();
  return true;
}
