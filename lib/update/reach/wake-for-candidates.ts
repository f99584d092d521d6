import { type RawBuilder, sql } from 'kysely';
import { addSeconds } from '../../clock.ts';
import type { Trx } from '../../db/database.ts';
import { isOpen, isToWake } from '../../fleet/candidate-queries.ts';
import type { Queue } from '../../ports/queue.ts';
import { firstStepDelaySeconds } from '../../walk.ts';
import type { AdvanceMessage } from '../messages.ts';

/**
 * Wakes every open update that nobody carries on although devices were noted that may match it. An update that was woken goes on for a minute
 * at least (`rest` in walk/delay.ts), so that it is woken once a minute at most. As the last act before the commit of the change that notes the
 * devices: if the messages cannot be sent, nothing is stored. Only in a transaction that has locked no update ({@link wakeToLook}).
 *
 * @throws `queue.unavailable`
 */
export const wakeForCandidates = (trx: Trx, advances: Queue<AdvanceMessage>, now: Date): Promise<void> => {
  const hasWork = sql`(
    u.looked_at_device_id IS NOT NULL
    OR EXISTS (SELECT FROM update_candidates c WHERE c.update_id = u.id AND c.blocked_by_update_id IS NULL)
  )`;
  return wakeOpenUpdates(trx, advances, hasWork, now);
};

/**
 * Wakes the open updates of these, which this transaction has locked already and which are to look at all devices. Whoever holds updates wakes no
 * others: it would lock them out of the order below.
 */
export const wakeToLook = async (trx: Trx, advances: Queue<AdvanceMessage>, ids: readonly number[], now: Date): Promise<void> => {
  if (ids.length > 0) await wakeOpenUpdates(trx, advances, sql`u.id = ANY (${ids}::integer[])`, now);
};

/** Wakes the open updates that rest and bring this firmware, because it is withdrawn: they end. As the last act before the commit. */
export const wakeForWithdrawal = (trx: Trx, advances: Queue<AdvanceMessage>, firmware_id: number, now: Date): Promise<void> =>
  wakeOpenUpdates(trx, advances, sql`u.firmware_id = ${firmware_id}`, now);

const wakeOpenUpdates = async (trx: Trx, advances: Queue<AdvanceMessage>, which: RawBuilder<unknown>, now: Date): Promise<void> => {
  const { rows } = await sql<{ id: number; next_step: number; created_dt: Date }>`
    WITH to_wake AS (
      -- The latest first: whoever locks several updates does it in this order, so that no two of them wait for each other in a circle.
      SELECT u.id FROM updates u
      WHERE ${isOpen} AND ${isToWake(now)} AND ${which}
      ORDER BY u.id DESC
      FOR NO KEY UPDATE OF u
    )
    UPDATE updates u
    -- A step that is late stays late: the time that was missed is noted by the next one.
    SET due_dt = CASE WHEN u.rests_dt IS NULL THEN u.due_dt ELSE ${addSeconds(now, firstStepDelaySeconds)} END, rests_dt = NULL, woken_dt = ${now}
    FROM to_wake WHERE to_wake.id = u.id
    RETURNING u.id, u.next_step, u.created_dt`.execute(trx);
  const messages = rows.map(({ id, next_step, created_dt }) => ({ update_id: id, step: next_step, created_dt }));
  if (messages.length > 0) await advances.send(messages, { delaySeconds: firstStepDelaySeconds });
};
