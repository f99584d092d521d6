import { type RawBuilder, sql } from 'kysely';
import type { Trx } from '../../db/database.ts';
import { isOpen } from '../../fleet/candidate-queries.ts';
import type { LockedUpdate } from '../update-queries.ts';

/**
 * Lets open updates look at all devices once more, because they may have to take in others now. Answers which ones; from now on they are locked,
 * so that they can be woken by {@link wakeToLook}.
 *
 * @param which a condition on `updates u` and their `firmwares f`
 */
const letUpdatesLook = async (trx: Trx, which: RawBuilder<unknown>): Promise<number[]> => {
  const { rows } = await sql<{ id: number }>`
    UPDATE updates SET looked_at_device_id = 0
    WHERE id IN (
      SELECT u.id FROM updates u JOIN firmwares f ON f.id = u.firmware_id
      WHERE ${isOpen} AND ${which}
      ORDER BY u.id DESC
      FOR NO KEY UPDATE OF u
    )
    RETURNING id`.execute(trx);
  return rows.map(({ id }) => id);
};

/** When a continuous update ends, older ones may mean its devices. */
export const letOlderUpdatesLook = (trx: Trx, { id, hardware_type }: Pick<LockedUpdate, 'id' | 'hardware_type'>): Promise<number[]> =>
  letUpdatesLook(trx, sql`u.id < ${id} AND f.hardware_type = ${hardware_type}`);

/** When the filter of a group is changed, it means other devices. */
export const letUpdatesOfGroupLook = (trx: Trx, group: string): Promise<number[]> => letUpdatesLook(trx, sql`u.open_group = ${group}`);

/** A firmware fits other revisions now, and so do packages that it is a part of. */
export const letUpdatesOfFirmwareLook = (trx: Trx, id: number): Promise<number[]> => letUpdatesLook(trx, bringsFirmware(id));

/** The same, when the firmware counts as older or newer than before as well: what devices run does, too. */
export const letUpdatesOfRenumberedFirmwareLook = (trx: Trx, id: number, hardware_type: string): Promise<number[]> =>
  letUpdatesLook(trx, sql`(${bringsFirmware(id)} OR f.hardware_type = ${hardware_type})`);

const bringsFirmware = (id: number) =>
  sql`(f.id = ${id} OR f.assembly_id IN (SELECT p.assembly_id FROM assembly_parts p WHERE p.firmware_id = ${id}))`;

/** A hardware type fits other devices now, or what they run counts as older or newer than before. */
export const letUpdatesOfHardwareTypeLook = (trx: Trx, hardware_type: string): Promise<number[]> =>
  letUpdatesLook(trx, sql`f.hardware_type = ${hardware_type}`);
