import { sql } from 'kysely';
import type { Db, Trx } from '../../db/database.ts';
import type { DeviceKind } from '../../fleet/device.ts';
import { heardSince } from '../outage.ts';
import { listOutages } from '../outage-queries.ts';
import { atWork } from '../predicates.ts';

const longestVerificationMinutes = 15;

/**
 * Minutes from a command to the first look-up of its device. Each later wait is twice as long, up to 15 minutes or the deadline, whichever is
 * shorter: with the default deadline 1, 2, 4, 8, 15 minutes. Even a short deadline has room for two look-ups. They go on after the deadline,
 * until there is an answer.
 */
export const firstVerificationMinutes = (inProgressMinutes: number): number => Math.min(1, inProgressMinutes / 4);

const maximumVerificationsPerStep = 1_000;

/**
 * Notes which chunks are looked up in this step, and when they are due again. A chunk without an execution in progress is not looked up any
 * more. Only while the update is locked.
 */
export const scheduleVerifications = async (
  trx: Trx,
  { id, in_progress_minutes }: { id: number; in_progress_minutes: number },
  step: number,
  now: Date,
): Promise<void> => {
  const deadline = sql`make_interval(secs => ${in_progress_minutes * 60})`;
  await sql`
    WITH due AS (
      SELECT d.id, EXISTS (SELECT FROM update_executions e WHERE e.dispatch_id = d.id AND ${atWork}) AS is_open
      FROM update_dispatches d
      WHERE d.update_id = ${id} AND d.next_verification_dt <= ${now}
      ORDER BY d.next_verification_dt
      LIMIT ${maximumVerificationsPerStep}
      FOR NO KEY UPDATE OF d SKIP LOCKED
    )
    UPDATE update_dispatches d
    SET verification_step = CASE WHEN due.is_open THEN ${step}::integer END,
        verification_round = d.verification_round + 1,
        next_verification_dt = CASE WHEN due.is_open THEN
          least(
            ${now}::timestamptz + make_interval(secs => 60 * least(
              ${Math.min(longestVerificationMinutes, in_progress_minutes)}::double precision,
              ${firstVerificationMinutes(in_progress_minutes)}::double precision * 2 ^ (d.verification_round + 1)
            )),
            -- A look-up is due at the deadline, too: no device is given up without a question after its deadline.
            CASE WHEN d.sent_dt + ${deadline} > ${now} THEN d.sent_dt + ${deadline} END
          )
        END
    FROM due WHERE d.id = due.id`.execute(trx);
};

/** The chunks that a step looks up. The step sends a message for each, and sends it again when the step is repeated. */
export const listVerifications = async (db: Db, update_id: number, step: number): Promise<number[]> => {
  const rows = await db
    .selectFrom('update_dispatches')
    .select('id')
    .where('update_id', '=', update_id)
    .where('verification_step', '=', step)
    .orderBy('id')
    .execute();
  return rows.map(({ id }) => id);
};

/** The devices of a chunk whose execution waits for proof. */
export const listUnprovenDevices = (db: Db, dispatch_id: number) =>
  db
    .selectFrom('update_executions as e')
    .innerJoin('devices as d', 'd.id', 'e.device_id')
    .innerJoin('updates as u', 'u.id', 'e.update_id')
    .select(['d.kind', 'd.external_id', 'u.request_id', 'u.id as update_id', 'u.in_progress_minutes'])
    .where('e.dispatch_id', '=', dispatch_id)
    .where(atWork)
    .$narrowType<{ kind: DeviceKind }>()
    .execute();

/**
 * Notes that the backend was asked, at this time, what the devices of a chunk run, and that it answered. Devices that have not shown the version
 * wanted, and whose deadline was before this time, may be timed out from now on.
 */
export const noteLookUp = async (
  db: Db,
  dispatch_id: number,
  { update_id, in_progress_minutes, askedDt }: { update_id: number; in_progress_minutes: number; askedDt: Date },
): Promise<void> => {
  const { outages } = await listOutages(db, update_id, askedDt);
  const overdue_sent_until = heardSince(askedDt, in_progress_minutes * 60, outages);
  await db.updateTable('update_dispatches').set({ overdue_sent_until }).where('id', '=', dispatch_id).execute();
};

/** Makes the next step send the look-ups without an answer again, because their messages may be lost. Only while the update is locked. */
export const hastenVerifications = async (trx: Trx, update_id: number, now: Date): Promise<void> => {
  await trx
    .updateTable('update_dispatches')
    .set({ next_verification_dt: now })
    .where('update_id', '=', update_id)
    .where('verification_step', 'is not', null)
    .where('next_verification_dt', '>', now)
    .execute();
};
