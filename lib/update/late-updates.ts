import { type RawBuilder, sql } from 'kysely';
import { addSeconds } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { count, type Metrics } from '../metrics.ts';
import { lateAfterSeconds } from '../walk.ts';

/** Of updates whose next step is late; by an index of those that have not finished. */
export const isLateAt = (now: Date): RawBuilder<boolean> => sql<boolean>`due_dt < ${addSeconds(now, -lateAfterSeconds)}`;

export const countLateUpdates = async (db: Db, now: Date): Promise<number> => {
  const { n } = await db
    .selectFrom('updates')
    .select(({ fn }) => fn.countAll<number>().as('n'))
    .where(isLateAt(now))
    .executeTakeFirstOrThrow();
  return n;
};

/** The metric that an alarm is on. There is no timer: it is published by whatever is asked for often, and by steps that see a late one. */
export const publishLateUpdates = (metrics: Metrics | undefined, late_updates: number): void =>
  metrics?.publish({ late_updates: count(late_updates) }, {});

/** For the step of any update: tells of others that are late. Says nothing of none, because a step comes every second. */
export const tellLateUpdates = async (db: Db, metrics: Metrics | undefined, now: Date): Promise<void> => {
  const late_updates = metrics ? await countLateUpdates(db, now) : 0;
  if (late_updates > 0) publishLateUpdates(metrics, late_updates);
};
