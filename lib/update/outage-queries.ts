import { type RawBuilder, sql } from 'kysely';
import { addSeconds, type Clock } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import { DomainError, type ErrorCode } from '../errors.ts';
import { latestStepSeconds } from '../walk.ts';
import type { Outage, Outages } from './outage.ts';

/** Services that every update needs to reach its devices and to hear them. */
export type Dependency = 'backend' | 'signing' | 'storage' | 'identity';

const dependencies: Partial<Record<ErrorCode, Dependency>> = {
  'signing.unavailable': 'signing',
  'storage.unavailable': 'storage',
  'auth.keys_unavailable': 'identity',
};

/** The dependency that is away according to an error; undefined for every other kind of error. */
export const dependencyOf = (error: unknown): Dependency | undefined =>
  error instanceof DomainError ? dependencies[error.code] : undefined;

/**
 * While nobody asks a dependency, it counts as away for at most so long. It is the longest wait between two look-ups: if the dependency were
 * still away, a look-up would have noticed. Callers that were refused because of the identity provider may wait longer before they report again.
 */
const longestSilenceSeconds = 900;
const longestSilenceOfCallersSeconds = 3_600;
const endOfSilence = sql`seen_dt + make_interval(secs => CASE cause
  WHEN 'identity' THEN ${sql.lit(longestSilenceOfCallersSeconds)} ELSE ${sql.lit(longestSilenceSeconds)} END)`;
/** Thousands of devices may notice the same outage; it is written at most once in this time. */
const noticeSeconds = 5;

/**
 * Notes that a dependency was away at this time. The outage lasts until the dependency answers ({@link noteReturn}), or until nobody has
 * noticed it for the longest silence above; when it is noticed after that, another outage begins.
 */
export const noteOutage = async (db: Db, cause: Dependency, now: Date): Promise<void> => {
  await sql`
    UPDATE outages SET ended_dt = ${endOfSilence}
    WHERE cause = ${cause} AND ended_dt IS NULL AND ${endOfSilence} < ${now}`.execute(db);
  await sql`
    INSERT INTO outages AS o (cause, began_dt, seen_dt) VALUES (${cause}, ${now}, ${now})
    ON CONFLICT (cause) WHERE ended_dt IS NULL AND cause <> 'walk'
    DO UPDATE SET seen_dt = excluded.seen_dt WHERE o.seen_dt < ${addSeconds(now, -noticeSeconds)}`.execute(db);
};

/** Does work that needs a dependency; if an error says that the dependency is away, notes an outage. */
export const notingOutages = async <T>({ db, now }: { db: Db; now: Clock }, work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    const dependency = dependencyOf(error);
    if (dependency) await noteOutage(db, dependency, now());
    throw error;
  }
};

/** Notes that these dependencies answer; writes only when one was away. */
export const noteReturn = async (db: Db, causes: readonly Dependency[], now: Date): Promise<void> => {
  await sql`
    UPDATE outages SET ended_dt = greatest(seen_dt, ${now}::timestamptz)
    WHERE ended_dt IS NULL AND cause = ANY (${causes}::text[])`.execute(db);
};

/** Callers have different keys: if one is let in, another who was refused less than this ago may still be refused. */
const quietSeconds = 60;

const identityIsAway = (now: Date) => sql`ended_dt IS NULL AND cause = 'identity' AND seen_dt <= ${addSeconds(now, -quietSeconds)}`;

/** Whether callers were refused before, and none is known to have been let in since. */
export const wereRefused = (now: Date): RawBuilder<boolean> => sql<boolean>`EXISTS (SELECT FROM outages WHERE ${identityIsAway(now)})`;

/** The statement that notes that callers are let in again. */
export const returnOfIdentity = (now: Date): RawBuilder<unknown> => sql`
  UPDATE outages SET ended_dt = ${now}::timestamptz WHERE ${identityIsAway(now)}`;

/** The step after a long sleep has been missed if it is later than due by so much. */
const latestWakingSeconds = 30;

/** Notes as an outage the time in which an update missed its steps. Only while the update is locked. */
export const noteMissedSteps = async (
  trx: Trx,
  { id, stepped_dt, due_dt }: { id: number; stepped_dt: Date | null; due_dt: Date | null },
  now: Date,
): Promise<void> => {
  const afterLast = stepped_dt && addSeconds(stepped_dt, latestStepSeconds);
  const whenDue = due_dt && addSeconds(due_dt, latestWakingSeconds);
  // An update that rests has no step that is due.
  const expected = afterLast && whenDue && (afterLast > whenDue ? afterLast : whenDue);
  if (expected && expected < now) {
    await sql`
      INSERT INTO outages (cause, update_id, began_dt, seen_dt, ended_dt)
      VALUES ('walk', ${id}, ${expected}, ${now}, ${now})`.execute(trx);
  }
};

/** Notes for how long an update was paused that goes on now. Only while the update is locked. */
export const notePause = async (trx: Trx, { id, paused_dt }: { id: number; paused_dt: Date | null }, now: Date): Promise<void> => {
  if (!paused_dt) return;
  await sql`
    INSERT INTO outages (cause, update_id, began_dt, seen_dt, ended_dt)
    VALUES ('pause', ${id}, ${paused_dt}, ${now}, ${now})`.execute(trx);
};

/** More than any update meets; this bounds the work of a step. */
const maximumOutages = 1_000;

/** The outages that concern an update, and its pauses, the latest first. */
export const listOutages = async (db: Db, update_id: number, now: Date): Promise<Outages> => {
  const { rows } = await sql<Outage & { is_pause: boolean }>`
    SELECT cause = 'pause' AS is_pause, began_dt, least(coalesce(ended_dt, ${endOfSilence}), ${now}::timestamptz) AS ended_dt
    FROM outages o
    WHERE o.update_id = ${update_id}
       OR (o.update_id IS NULL AND o.seen_dt >= (SELECT u.created_dt FROM updates u WHERE u.id = ${update_id}))
    ORDER BY 3 DESC
    LIMIT ${maximumOutages}`.execute(db);
  return { outages: rows.filter((row) => !row.is_pause), pauses: rows.filter((row) => row.is_pause) };
};
