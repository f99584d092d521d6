import { sql } from 'kysely';
import type { Db } from '../db/database.ts';
import { type GateInJson, gateOfJson, toShownGate } from './backend-gate.ts';
import { noCounts } from './execution.ts';
import { type FinalFigures, figuresOf } from './figure-queries.ts';
import type { Update, UpdateDetail } from './update.ts';
import { selectCountedUpdates, toUpdate } from './update-queries.ts';

/** Long enough that the length of single installations does not matter. */
const lately = { seconds: 300 };

/** Commands that were sent in the last 60 s. */
const pacePerMinute = (now: Date) => sql<number>`(
  SELECT coalesce(sum(commands), 0) FROM update_dispatches
  WHERE update_id = u.id AND sent_dt > ${now}::timestamptz - interval '60 s'
) + (
  SELECT count(*) FROM update_executions e
  WHERE e.update_id = u.id AND e.channel = 'iot' AND e.sent_dt > ${now}::timestamptz - interval '60 s'
)`;

/** Executions that ended within the last minutes and after the canary has passed; 0 once the update has finished. */
const endedLately = (now: Date) => sql<number>`CASE WHEN u.finished_dt IS NOT NULL THEN 0 ELSE (
  SELECT count(*) FROM update_executions e
  WHERE e.update_id = u.id AND e.sent_dt IS NOT NULL
    AND e.finished_dt > greatest(${now}::timestamptz - make_interval(secs => ${lately.seconds}), u.canary_passed_dt)
) END`;

/** An update with the figures of an admin's page: the figures kept at its end, or counted now. */
export const findUpdateDetail = async (db: Db, id: number, now: Date): Promise<UpdateDetail | undefined> => {
  const row = await selectCountedUpdates(db)
    .select([
      sql<FinalFigures>`coalesce(u.final_figures, ${figuresOf(sql.ref('u.id'))})`.as('figures'),
      pacePerMinute(now).as('pace_per_minute'),
      endedLately(now).as('ended_lately'),
      sql<GateInJson>`(SELECT to_jsonb(g) FROM backend_gate g)`.as('gate'),
    ])
    .where('u.id', '=', id)
    .executeTakeFirst();
  if (!row) return undefined;
  const { figures, pace_per_minute, ended_lately, gate, ...rest } = row;
  const update = toUpdate(rest, now);
  return {
    ...update,
    reasons: figures.reasons,
    canary_counts: update.canary && { ...noCounts(), ...figures.canary_counts },
    pace_per_minute,
    estimated_end_dt: estimateEnd(update, ended_lately, now),
    backend_errors: figures.backend_errors.map((e) => ({ ...e, last_dt: new Date(e.last_dt) })),
    backend_gate: toShownGate(gateOfJson(gate), now),
  };
};

/** null while the canary is open, because its speed says nothing about that of the others, and while the update is paused. */
const estimateEnd = (update: Update, endedLately: number, now: Date): Date | null => {
  const { status, counts, canary, canary_passed_dt, started_dt, finished_dt } = update;
  if (finished_dt || !started_dt || status === 'PAUSED' || endedLately === 0 || (canary && !canary_passed_dt)) return null;
  const since = canary_passed_dt ?? started_dt;
  const seconds = Math.min(lately.seconds, (now.getTime() - since.getTime()) / 1000);
  const left = counts.QUEUED + counts.IN_PROGRESS;
  return new Date(now.getTime() + (left / endedLately) * seconds * 1000);
};
