import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import type { Confirmation, ConfirmationOutcome } from './confirmation.ts';
import { recordReports } from './record-reports.ts';

export interface ConfirmUpdateDeps {
  db: Db;
  now: Clock;
}

/** Enough for a reason; a backend that sends a log with each of 1,000 reports does not fill the disk with it. */
const maximumDetailLength = 2_000;

/**
 * Stores what devices report: what each runs now, and what became of its execution. One outcome per report, in their order; a refused
 * one hinders no other. Repeating a call changes nothing.
 */
export async function confirmUpdate(
  { db, now }: ConfirmUpdateDeps,
  confirmations: readonly Confirmation[],
): Promise<ConfirmationOutcome[]> {
  const reports = confirmations.map(({ detail, ...confirmation }) => ({
    ...confirmation,
    detail: detail?.slice(0, maximumDetailLength),
    source: 'confirmation' as const,
  }));
  return db.transaction().execute((trx) => recordReports(trx, reports, now()));
}
