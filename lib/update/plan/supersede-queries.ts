import { sql } from 'kysely';
import type { Trx } from '../../db/database.ts';
import { reasons } from '../execution.ts';
import { moved, movesOf } from '../move-executions.ts';
import { supersedable } from '../predicates.ts';
import { type Choice, classifiedDevices, takesPart } from './eligibility.ts';

/** As many as a request can name devices, so that an emergency fix for named devices never has to wait. */
const maximumSuperseded = 10_000;

/** An older update, and how many of its executions a newer one has ended. */
export interface Superseded {
  update_id: number;
  executions: number;
}

/**
 * Ends the executions of older updates for devices that take part in this one and that nobody has asked for them; answers how many of each
 * update. Devices at work stay with their update. If there are more than {@link maximumSuperseded}, nothing is ended, and the answer is
 * undefined.
 *
 * @param waits whether it waits for those that somebody else is moving at this moment; otherwise they are left alone
 */
export const supersedeExecutions = async (trx: Trx, update_id: number, choice: Choice, waits = true): Promise<Superseded[] | undefined> => {
  const older = classifiedDevices({ ...choice, supersedesBelow: update_id });
  const { rows } = await sql<{ found: number; superseded: Superseded[] }>`
    WITH classified AS MATERIALIZED (
      ${older}
    ), found AS MATERIALIZED (
      SELECT superseded_id AS id FROM classified WHERE ${takesPart} AND superseded_id IS NOT NULL LIMIT ${maximumSuperseded + 1}
    ), locked AS (
      -- In the order of ids, like all statements that write many executions. One that was asked for meanwhile is not superseded.
      SELECT e.id, e.phase, 'canceled' AS event
      FROM update_executions e
      WHERE e.id = ANY (ARRAY(SELECT id FROM found)) AND ${supersedable} AND (SELECT count(*) FROM found) <= ${maximumSuperseded}
      ORDER BY e.id
      FOR NO KEY UPDATE OF e ${waits ? sql`` : sql`SKIP LOCKED`}
    ), ended AS (
      ${moved(movesOf('locked', ['canceled']), choice.now, { reason: sql`${`${reasons.superseded}: ${update_id}`}::text` })}
      RETURNING e.update_id
    ), counted AS (
      SELECT update_id, count(*) AS executions FROM ended GROUP BY update_id ORDER BY update_id
    )
    SELECT (SELECT count(*) FROM found) AS found, (SELECT coalesce(jsonb_agg(c), '[]') FROM counted c) AS superseded`.execute(trx);
  const { found = 0, superseded = [] } = rows[0] ?? {};
  return found > maximumSuperseded ? undefined : superseded;
};

/**
 * Ends the executions of older updates for candidates of this one that were at work when it was requested and wait again by now, for example
 * for another try. Their updates let these candidates go with their next steps. Only while the update is locked; it waits for nobody.
 */
export const supersedeCandidates = async (trx: Trx, update_id: number, choice: Omit<Choice, 'targets'>): Promise<void> => {
  const blocked = sql`
    SELECT device_id FROM update_candidates
    WHERE update_id = ${update_id} AND blocked_by_update_id IS NOT NULL
    ORDER BY id
    LIMIT ${maximumSuperseded}`;
  await supersedeExecutions(trx, update_id, { ...choice, targets: { device_ids: blocked } }, false);
};

/** Bounds the messages of one request. */
const maximumWoken = 50;

/**
 * The next steps of updates that have lost devices, for their messages: one that has none left, and sleeps until a window opens, then ends at
 * once. Of more than {@link maximumWoken}, the others notice it with their next step.
 */
export const listNextSteps = (trx: Trx, superseded: readonly Superseded[]) =>
  trx
    .selectFrom('updates')
    .select(['id as update_id', 'next_step as step', 'created_dt'])
    .where(
      'id',
      'in',
      superseded.slice(0, maximumWoken).map(({ update_id }) => update_id),
    )
    .where('finished_dt', 'is', null)
    .orderBy('id')
    .execute();
