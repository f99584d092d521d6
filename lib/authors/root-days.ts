import { secondsBetween } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { count, type Metrics } from '../metrics.ts';
import { readRoot } from './root.ts';
import { findLatestRoot } from './root-queries.ts';

const secondsPerDay = 86_400;

/**
 * Publishes for how many days devices believe the latest root, at least 0, because with an expired one they install nothing. Nothing where no
 * root was published. No timer does this, but a monitor that asks for `/v1/health` every minute does.
 */
export const publishRootDays = async (db: Db, metrics: Metrics | undefined, now: Date): Promise<void> => {
  if (!metrics) return;
  const latest = await findLatestRoot(db);
  const root = latest && readRoot(latest.document);
  if (!root) return;
  const days = Math.floor(secondsBetween(now, new Date(root.exp * 1_000)) / secondsPerDay);
  metrics.publish({ author_root_days: count(Math.max(0, days)) });
};
