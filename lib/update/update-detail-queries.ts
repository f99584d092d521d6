import { sql } from 'kysely';
import { addSeconds } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { type GateInJson, gateOfJson, toShownGate } from './backend-gate.ts';
import { noCounts } from './execution.ts';
import { type FinalFigures, figuresOf } from './figure-queries.ts';
import { atWork } from './predicates.ts';
import { selectCountedUpdates, toUpdate } from './shown-update-queries.ts';
import type { Update, UpdateDetail } from './update.ts';

/** Long enough that the length of single installations does not matter. */
const latelySeconds = 300;

/** Commands that were sent in the last 60 s. */
const pacePerMinute = (now: Date) => sql<number>`(
  SELECT coalesce(sum(commands), 0) FROM update_dispatches
  WHERE update_id = u.id AND sent_dt > ${now}::timestamptz - interval '60 s'
) + (
  SELECT count(*) FROM update_executions e
  WHERE e.update_id = u.id AND e.channel = 'iot' AND e.sent_dt > ${now}::timestamptz - interval '60 s'
)`;

interface Lately {
  ended: number;
  /** How long the slowest of them took, from its command to its end. */
  slowest_seconds: number | null;
}

/** Executions that ended within the last minutes and after the canary has passed; none once the update has finished. */
const endedLately = (now: Date) => sql<Lately>`(
  SELECT jsonb_build_object('ended', count(*), 'slowest_seconds', extract(epoch FROM max(e.finished_dt - e.sent_dt)))
  FROM update_executions e
  WHERE u.finished_dt IS NULL AND e.update_id = u.id AND e.sent_dt IS NOT NULL
    AND e.finished_dt > greatest(${now}::timestamptz - make_interval(secs => ${latelySeconds}), u.canary_passed_dt)
)`;

/** Of the devices at work: when the first of them was asked, and when any of them was last heard of. */
const workOf = sql<{ since_dt: string | null; heard_dt: string | null }>`(
  SELECT jsonb_build_object('since_dt', min(e.sent_dt), 'heard_dt', max(greatest(e.sent_dt, e.progress_dt)))
  FROM update_executions e
  WHERE u.finished_dt IS NULL AND e.update_id = u.id AND ${atWork}
)`;

const claimedBy = sql<number>`CASE WHEN u.supersede THEN (SELECT count(*) FROM update_claims c WHERE c.update_id = u.id) ELSE 0 END`;

/** An update with the figures of an admin's page: the figures kept at its end, or counted now. */
export const findUpdateDetail = async (db: Db, id: number, now: Date): Promise<UpdateDetail | undefined> => {
  const row = await selectCountedUpdates(db)
    .select([
      sql<FinalFigures>`coalesce(u.final_figures, ${figuresOf(sql.ref('u.id'))})`.as('figures'),
      claimedBy.as('claimed'),
      pacePerMinute(now).as('pace_per_minute'),
      endedLately(now).as('ended_lately'),
      workOf.as('work'),
      sql<GateInJson>`(SELECT to_jsonb(g) FROM backend_gate g)`.as('gate'),
    ])
    .where('u.id', '=', id)
    .executeTakeFirst();
  if (!row) return undefined;
  const { figures, claimed, pace_per_minute, ended_lately, work, gate, ...rest } = row;
  const update = toUpdate(rest, now);
  const at_work = toAtWork(work, update.timeouts.in_progress_minutes);
  return {
    ...update,
    reasons: figures.reasons,
    claimed,
    canary_counts: update.canary && { ...noCounts(), ...figures.canary_counts },
    pace_per_minute,
    at_work,
    estimated_end_dt: estimateEnd(update, at_work, ended_lately, now),
    backend_errors: figures.backend_errors.map((e) => ({ ...e, last_dt: new Date(e.last_dt) })),
    backend_gate: toShownGate(gateOfJson(gate), now),
  };
};

const toAtWork = ({ since_dt, heard_dt }: { since_dt: string | null; heard_dt: string | null }, in_progress_minutes: number) =>
  since_dt && heard_dt ? { since_dt: new Date(since_dt), deadline_dt: addSeconds(new Date(heard_dt), in_progress_minutes * 60) } : null;

/** null while the canary is open, because its speed says nothing about that of the others, and while the update is paused. */
const estimateEnd = (update: Update, at_work: UpdateDetail['at_work'], lately: Lately, now: Date): Date | null => {
  const { status, counts, canary, canary_passed_dt, started_dt, finished_dt, walk } = update;
  if (finished_dt || !started_dt || status === 'PAUSED' || (canary && !canary_passed_dt)) return null;
  if (counts.QUEUED === 0) return at_work && estimateLastProof(at_work, lately, now);
  if (lately.ended === 0) return null;
  const since = canary_passed_dt ?? started_dt;
  const seconds = Math.min(latelySeconds, (now.getTime() - since.getTime()) / 1000);
  // While nobody is at work and windows are closed, nothing ends before the next step.
  const goesOn = counts.IN_PROGRESS === 0 && walk.due_dt && walk.due_dt > now ? walk.due_dt : now;
  return addSeconds(goesOn, ((counts.QUEUED + counts.IN_PROGRESS) / lately.ended) * seconds);
};

/** When all devices are asked: a device that has been at work for longer than the slowest one lately is silent, and only its deadline ends it. */
const estimateLastProof = ({ since_dt, deadline_dt }: NonNullable<UpdateDetail['at_work']>, lately: Lately, now: Date): Date => {
  const slowest = addSeconds(since_dt, lately.slowest_seconds ?? 0);
  return slowest > now ? slowest : deadline_dt;
};
