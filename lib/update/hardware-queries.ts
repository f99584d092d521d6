import { type RawBuilder, sql } from 'kysely';
import type { Trx } from '../db/database.ts';
import { fitsRevision, revisionMismatch } from '../firmware/revision-queries.ts';
import { reasons } from './execution.ts';
import { moved, movesOf } from './move-executions.ts';

/**
 * A device's revision and those that a firmware fits can be corrected at any time, also for thousands of devices at once. So executions are
 * not changed then: each device is judged again when it is asked.
 */

const given = (revisions: readonly string[]) => sql`${[...revisions]}::text[]`;

/** `update_executions e` whose device has one of these revisions. */
export const hasRevision = (revisions: readonly string[]): RawBuilder<boolean> =>
  sql<boolean>`EXISTS (SELECT FROM devices d WHERE d.id = e.device_id AND d.revision = ANY (${given(revisions)}))`;

/**
 * Ends the executions, of those whose turn has come, whose device has none of these revisions. Only while the update is locked.
 *
 * @param due selects the ids of executions that wait
 */
export const removeUnfit = async (trx: Trx, due: RawBuilder<unknown>, revisions: readonly string[], now: Date): Promise<void> => {
  await sql`
    WITH locked AS (
      SELECT e.id, e.phase, 'removed' AS event,
             concat(${`${reasons.hardwareMismatch}: `}::text, ${revisionMismatch(given(revisions), sql`d.revision`)}) AS reason
      FROM update_executions e JOIN devices d ON d.id = e.device_id
      WHERE e.id = ANY (ARRAY(${due})) AND NOT ${fitsRevision(given(revisions), sql`d.revision`)}
      ORDER BY e.id
      FOR NO KEY UPDATE OF e SKIP LOCKED
    )
    ${moved(movesOf('locked', ['removed']), now, { reason: sql`m.reason` })}`.execute(trx);
};
