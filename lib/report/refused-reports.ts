import { type Clock, secondsBetween } from '../clock.ts';
import type { Db } from '../db/database.ts';
import type { Authenticate, Authenticated } from '../http/authenticate.ts';
import { dependencyOf, noteOutage } from '../update/outage-queries.ts';

/** Anybody can have a request refused: however many are, each function notes it no more often than this. */
const noticeSeconds = 5;

/**
 * Who may report. While the keys of the identity provider are away, all reports are refused, and so nobody is heard: that is noted, and no
 * deadline runs in it. Its end is noted with the first report that is taken (`confirmUpdate`).
 */
export const notingRefusedReports = <C extends Authenticated>(
  { db, now }: { db: Db; now: Clock },
  authenticate: Authenticate<C>,
): Authenticate<C> => {
  let notedDt: Date | undefined;
  return async (authorization, path) => {
    try {
      return await authenticate(authorization, path);
    } catch (error) {
      const moment = now();
      const isDue = !notedDt || secondsBetween(notedDt, moment) >= noticeSeconds;
      if (dependencyOf(error) === 'identity' && isDue) {
        notedDt = moment;
        await noteOutage(db, 'identity', moment);
      }
      throw error;
    }
  };
};
