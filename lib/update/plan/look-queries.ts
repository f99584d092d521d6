import { sql } from 'kysely';
import type { Trx } from '../../db/database.ts';
import { isOpen } from '../../fleet/candidate-queries.ts';
import type { LockedUpdate } from '../update-queries.ts';

/** Devices of a continuous update that ends may be meant by older ones, which look at all devices once more. */
export const letOlderUpdatesLook = async (
  trx: Trx,
  { id, hardware_type }: Pick<LockedUpdate, 'id' | 'hardware_type'>,
): Promise<boolean> => {
  const { numAffectedRows = 0n } = await sql`
    UPDATE updates SET looked_at_device_id = 0
    WHERE id IN (
      SELECT u.id FROM updates u JOIN firmwares f ON f.id = u.firmware_id
      WHERE ${isOpen} AND u.id < ${id} AND f.hardware_type = ${hardware_type}
      ORDER BY u.id DESC
      FOR NO KEY UPDATE OF u
    )`.execute(trx);
  return numAffectedRows > 0n;
};

/** The members of a group are others now: updates that are open for it look at all devices once more. Answers whether there is any. */
export const letUpdatesOfGroupLook = async (trx: Trx, group: string): Promise<boolean> => {
  const { numAffectedRows = 0n } = await sql`
    UPDATE updates SET looked_at_device_id = 0
    WHERE id IN (SELECT u.id FROM updates u WHERE u.open_group = ${group} ORDER BY u.id DESC FOR NO KEY UPDATE OF u)`.execute(trx);
  return numAffectedRows > 0n;
};
