import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { Malformed } from '../http/judged.ts';
import type { Queue } from '../ports/queue.ts';
import type { AdvanceMessage } from '../update/messages.ts';
import { wordsOfOthers } from '../words-of-others.ts';
import type { Confirmation, ConfirmationOutcome, Report, SentConfirmation } from './confirmation.ts';
import { recordReports } from './record-reports.ts';

export interface ConfirmUpdateDeps {
  db: Db;
  /** Missing: no update is woken. */
  advances?: Queue<AdvanceMessage> | undefined;
  now: Clock;
}

/** Characters; enough for a reason. A backend that sends a whole log with each of 1,000 reports must not fill the disk. */
const maximumDetailLength = 2_000;

/**
 * Stores what devices report: what each runs now, and what became of its execution. Answers one outcome per report, in their order. A report
 * that is refused or not well-formed does not affect the others. Repeating a call changes nothing.
 */
export async function confirmUpdate(
  { db, advances, now }: ConfirmUpdateDeps,
  sent: readonly SentConfirmation[],
): Promise<ConfirmationOutcome[]> {
  const reports = sent.flatMap((item) => (item instanceof Malformed ? [] : [toReport(item)]));
  const outcomes = reports.length > 0 ? await db.transaction().execute((trx) => recordReports(trx, reports, now(), { advances })) : [];
  const ofReports = outcomes.values();
  return sent.map((item) => (item instanceof Malformed ? toRefusal(item) : (ofReports.next().value as ConfirmationOutcome)));
}

const toReport = ({ detail, ...confirmation }: Confirmation): Report => ({
  ...confirmation,
  detail: detail === undefined ? undefined : wordsOfOthers(detail, maximumDetailLength),
  source: 'confirmation',
});

const toRefusal = (report: Malformed): ConfirmationOutcome => ({
  external_id: report.textOf('external_id'),
  hardware_type: report.textOf('hardware_type'),
  outcome: 'refused',
  code: 'report.malformed',
  message: report.summary,
  errors: report.itemErrors,
});
