import { type RawBuilder, sql } from 'kysely';
import { addSeconds } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { count, type Metrics } from '../metrics.ts';
import { lateAfterSeconds } from '../walk.ts';

/** Whether the next step of an update is late. An index holds the updates that have not finished by `due_dt`. */
export const isLateAt = (now: Date): RawBuilder<boolean> => sql<boolean>`due_dt < ${addSeconds(now, -lateAfterSeconds)}`;

export const countLateUpdates = async (db: Db, now: Date): Promise<number> => {
  const { n } = await db
    .selectFrom('updates')
    .select(({ fn }) => fn.countAll<number>().as('n'))
    .where(isLateAt(now))
    .executeTakeFirstOrThrow();
  return n;
};

/** Publishes the metric that has an alarm. No timer does this: functions that are called often do, and steps that see a late update. */
export const publishLateUpdates = (metrics: Metrics | undefined, late_updates: number): void =>
  metrics?.publish({ late_updates: count(late_updates) }, {});

/** Called by every update's step: publishes how many other updates are late. It publishes no zero, because steps come every second. */
export const tellLateUpdates = async (db: Db, metrics: Metrics | undefined, now: Date): Promise<void> => {
  const late_updates = metrics ? await countLateUpdates(db, now) : 0;
  if (late_updates > 0) publishLateUpdates(metrics, late_updates);
};
