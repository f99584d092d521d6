import { sql } from 'kysely';
import type { Trx } from '../../db/database.ts';
import { planLock, waitForPlans } from '../../fleet/change-queries.ts';
import { reasons } from '../execution.ts';
import { moved, movesOf } from '../move-executions.ts';
import { unfinished } from '../predicates.ts';
import { abandoned, type Choice, chosenDevices } from './eligibility.ts';

/** As many as a request can name devices, so that a request with named devices never has to wait. */
const maximumAbandoned = 10_000;

/**
 * Ends the abandoned executions of the chosen devices now, so that another update can have these devices; answers true. If there are more
 * than {@link maximumAbandoned}, nothing is ended and it answers false: the steps of the stopped updates have to end some first.
 */
export const endAbandonedExecutions = async (trx: Trx, choice: Choice): Promise<boolean> => {
  const { rows } = await sql<{ ids: number[] | null }>`
    SELECT array_agg(id) AS ids FROM (
      SELECT found.id
      FROM (${chosenDevices(choice)}) c
      -- One look into the unique index per device. For a plain join PostgreSQL chooses by estimated sizes, and may compare each row with each.
      CROSS JOIN LATERAL (
        SELECT e.id FROM update_executions e
        WHERE e.device_id = c.device_id AND e.hardware_type = ${choice.firmware.hardware_type} AND ${unfinished} AND ${abandoned}
        LIMIT 1
      ) found
      LIMIT ${maximumAbandoned + 1}
    ) found`.execute(trx);
  const ids = rows[0]?.ids ?? [];
  if (ids.length > maximumAbandoned) return false;
  if (ids.length === 0) return true;
  await sql`
    WITH locked AS (
      -- In the order of ids, like all statements that write many executions.
      SELECT e.id, e.phase, e.update_id, 'canceled' AS event
      FROM update_executions e
      WHERE e.id = ANY (${ids}::integer[]) AND ${abandoned}
      ORDER BY e.id
      FOR NO KEY UPDATE OF e
    ), stopped AS (
      SELECT l.*, CASE
          WHEN u.cancels_all OR u.status = 'CANCELED' THEN ${reasons.updateCanceled}
          WHEN f.status = 'withdrawn' THEN ${reasons.firmwareWithdrawn}
          ELSE ${reasons.updateAborted}
        END AS end_reason
      FROM locked l JOIN updates u ON u.id = l.update_id JOIN firmwares f ON f.id = u.firmware_id
    )
    ${moved(movesOf('stopped', ['canceled']), choice.now, { reason: sql`m.end_reason` })}`.execute(trx);
  return true;
};

/**
 * Begins a plan: no device is retired or moved to another zone until the transaction ends. Answers whether any stopped update still has
 * executions to end.
 *
 * @param isAlone no other plan is being made until then either: what the plans before have inserted is seen by this one
 */
export const beginPlan = async (trx: Trx, isAlone: boolean): Promise<boolean> => {
  if (isAlone) await waitForPlans(trx);
  const { rows } = await sql<{ has: boolean }>`
    SELECT EXISTS (
      SELECT FROM updates u JOIN firmwares f ON f.id = u.firmware_id
      WHERE u.finished_dt IS NULL AND (u.status IN ('CANCELED', 'ABORTED') OR f.status = 'withdrawn')
    ) AS has, pg_advisory_xact_lock_shared(${planLock})`.execute(trx);
  return rows[0]?.has ?? false;
};
