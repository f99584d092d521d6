import { addSeconds } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import { removeOldDays, removeOldHistory, removeUnusedCounts } from '../fleet/removal-queries.ts';
import { removeOldObservation } from '../observation/removal-queries.ts';
import type { Removal } from '../removal.ts';
import { removeOldExecutions, removeOldOutages } from '../update/removal-queries.ts';

/** Rows of each kind; removing them takes some 100 ms altogether. */
const batch = 2_000;
const secondsPerMonth = 31 * 86_400;

const removals: readonly ((trx: Trx, removal: Removal) => Promise<boolean>)[] = [
  removeOldExecutions,
  removeOldHistory,
  removeOldObservation,
  removeOldOutages,
  removeUnusedCounts,
  removeOldDays,
];

/**
 * Removes a batch of each kind of old row, each in a transaction of its own, and answers whether there may be more. `historyMonths`: how many
 * months of 31 days are kept; 0: nothing is ever removed. README.md of this folder says what goes and what stays. May be repeated, also while
 * another call does the same: rows that it has locked are left to it.
 */
export async function removeOldRows(db: Db, historyMonths: number, now: Date): Promise<boolean> {
  if (historyMonths === 0) return false;
  const removal = { before: addSeconds(now, -historyMonths * secondsPerMonth), limit: batch, now };
  let isMore = false;
  for (const remove of removals) {
    if (await db.transaction().execute((trx) => remove(trx, removal))) isMore = true;
  }
  return isMore;
}
