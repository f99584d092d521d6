import { sql } from 'kysely';
import { addSeconds, type Clock } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import type { Outage } from './outage.ts';

/** What all updates need of others to reach their devices. */
export type Dependency = 'backend' | 'signing' | 'storage';

/** The dependency that an error says is away; undefined: another kind of error. */
const dependencyOf = (error: unknown): Dependency | undefined => {
  if (!(error instanceof DomainError)) return undefined;
  if (error.code === 'signing.unavailable') return 'signing';
  return error.code === 'storage.unavailable' ? 'storage' : undefined;
};

/** With nobody asking, something that was away does not count as away for longer than this: then a look-up would have come by. */
const longestSilenceSeconds = 900;
/** Thousands of devices may find the same away; more often than this it tells nothing new. */
const noticeSeconds = 5;

/**
 * Notes that something was away at this time; it counts as away until it is heard again ({@link noteReturn}), or until nobody has noticed it
 * for a quarter of an hour: what is away after that is another outage.
 */
export const noteOutage = async (db: Db, cause: Dependency, now: Date): Promise<void> => {
  await sql`
    UPDATE outages SET ended_dt = seen_dt + make_interval(secs => ${longestSilenceSeconds})
    WHERE cause = ${cause} AND ended_dt IS NULL AND seen_dt < ${addSeconds(now, -longestSilenceSeconds)}`.execute(db);
  await sql`
    INSERT INTO outages AS o (cause, began_dt, seen_dt) VALUES (${cause}, ${now}, ${now})
    ON CONFLICT (cause) WHERE ended_dt IS NULL AND cause <> 'walk'
    DO UPDATE SET seen_dt = excluded.seen_dt WHERE o.seen_dt < ${addSeconds(now, -noticeSeconds)}`.execute(db);
};

/** Does what needs others, and notes which of them it has found away. */
export const notingOutages = async <T>({ db, now }: { db: Db; now: Clock }, work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (error) {
    const dependency = dependencyOf(error);
    if (dependency) await noteOutage(db, dependency, now());
    throw error;
  }
};

/** Notes that these are there; writes only when one was away. */
export const noteReturn = async (db: Db, causes: readonly Dependency[], now: Date): Promise<void> => {
  await sql`
    UPDATE outages SET ended_dt = greatest(seen_dt, ${now}::timestamptz)
    WHERE ended_dt IS NULL AND cause = ANY (${causes}::text[])`.execute(db);
};

/** A step comes every half minute at least; time beyond this is none in which devices were heard. */
const latestStepSeconds = 60;

/**
 * Notes the steps that an update has missed until now, and answers the outages that it has met, the latest first. Only while the update is
 * locked.
 */
export const noteMissedSteps = async (
  trx: Trx,
  { id, stepped_dt }: { id: number; stepped_dt: Date | null },
  now: Date,
): Promise<Outage[]> => {
  const expected = stepped_dt && addSeconds(stepped_dt, latestStepSeconds);
  if (expected && expected < now) {
    await sql`
      INSERT INTO outages (cause, update_id, began_dt, seen_dt, ended_dt)
      VALUES ('walk', ${id}, ${expected}, ${now}, ${now})`.execute(trx);
  }
  return listOutages(trx, id, now);
};

/** Above what any update meets; bounds a step. */
const maximumOutages = 1_000;

/** The outages that concern an update, the latest first. */
export const listOutages = async (db: Db, update_id: number, now: Date): Promise<Outage[]> => {
  const { rows } = await sql<Outage>`
    SELECT began_dt, least(coalesce(ended_dt, seen_dt + make_interval(secs => ${longestSilenceSeconds})), ${now}::timestamptz) AS ended_dt
    FROM outages o
    WHERE o.update_id = ${update_id}
       OR (o.update_id IS NULL AND o.seen_dt >= (SELECT u.created_dt FROM updates u WHERE u.id = ${update_id}))
    ORDER BY 2 DESC
    LIMIT ${maximumOutages}`.execute(db);
  return rows;
};
