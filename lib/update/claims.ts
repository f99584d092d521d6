import { type RawBuilder, sql } from 'kysely';

/**
 * A claim says that an update which supersedes takes a device over from an older one, as soon as it can (plan/take-over-queries.ts). Whether a
 * younger update has a claim on the device of an execution that waits; then its own update does not ask it. One whose answer is missing is asked
 * again all the same: its device may be at work. Looks at the one execution, whatever PostgreSQL believes about the number of claims.
 */
export const isClaimed = (execution_id: RawBuilder<unknown>): RawBuilder<boolean> => sql<boolean>`(SELECT EXISTS (
  SELECT FROM update_executions own
  JOIN update_claims c ON c.device_id = own.device_id AND c.hardware_type = own.hardware_type AND c.update_id > own.update_id
  WHERE own.id = ${execution_id} AND NOT own.is_unanswered
))`;

/**
 * Of executions whose turn has come, those whose device no younger update claims. They are chosen first and looked at then: an update all of
 * whose devices are claimed reads no more of them than it could release.
 *
 * @param chosen selects ids of `update_executions`
 * @param isSuperseded whether there is a younger update that may have claims; otherwise nothing is looked at
 */
export const unclaimed = (chosen: RawBuilder<unknown>, isSuperseded: boolean): RawBuilder<unknown> =>
  isSuperseded ? sql`SELECT id FROM (${chosen}) chosen WHERE NOT ${isClaimed(sql`chosen.id`)}` : chosen;

/** When the first of the waiting executions `e` may be asked: at once, unless it says otherwise; null: a younger update claims its device. */
export const dueDt = (now: Date, isSuperseded: boolean): RawBuilder<unknown> => {
  const due_dt = sql`coalesce(e.next_attempt_dt, ${now}::timestamptz)`;
  return isSuperseded ? sql`CASE WHEN NOT ${isClaimed(sql`e.id`)} THEN ${due_dt} END` : due_dt;
};
