import type { Trx } from '../db/database.ts';
import { inOneTrip, sendAhead } from '../db/pipeline.ts';
import { beginDays } from '../fleet/count-queries.ts';
import type { Queue } from '../ports/queue.ts';
import { noteLateSuccesses } from '../update/figure-queries.ts';
import type { AdvanceMessage } from '../update/messages.ts';
import {
  lockReportedExecutions,
  moveExecutions,
  type ReportedExecution,
  type ReportedRow,
  toReportedExecutions,
} from '../update/move-executions.ts';
import { returnOfIdentity } from '../update/outage-queries.ts';
import { noteDetails } from '../update/reach/device-work-queries.ts';
import { wakeForCandidates } from '../update/reach/wake-for-candidates.ts';
import type { ConfirmationOutcome, Report } from './confirmation.ts';
import { learn, type ReportItem } from './learn.ts';
import { type FactsRow, lockDevices, type ReportFacts, selectReportFacts, storeReports, toReportFacts } from './report-queries.ts';

export interface Recording {
  /** The observation that found the changes; null: they come from another source. */
  observation_id?: number | null;
  /** Missing: no update is woken. */
  advances?: Queue<AdvanceMessage> | undefined;
}

/**
 * The only way in which the service learns what devices run: reads facts, decides what follows (learn.ts), and stores it. It needs the same
 * number of statements for any number of reports, in two round trips: all reads go together, and all writes go with the COMMIT. Answers an
 * outcome for every report, in their order; a refused report changes nothing and does not affect the others. Repeating a call changes nothing.
 *
 * Where a device runs another version now, an update that rests may have to take it in. Such an update is woken, as the last act before the
 * commit and at most once a minute; this costs some statements more. While no update rests, it costs none.
 *
 * @throws `queue.unavailable` when an update cannot be woken: nothing is stored then
 */
export async function recordReports(
  trx: Trx,
  reports: readonly Report[],
  now: Date,
  { observation_id = null, advances }: Recording = {},
): Promise<ConfirmationOutcome[]> {
  const [, facts, executions] = await inOneTrip<[unknown, FactsRow, ReportedRow]>(
    trx,
    lockDevices(reports),
    selectReportFacts(reports, now),
    lockReportedExecutions(reports),
  );
  const items = itemsOf(reports, toReportFacts(facts), toReportedExecutions(executions));
  await beginDays(trx, typesOfNewDay(items), now);
  const { outcomes, current, changes, moves, lateSuccesses, notes } = learn(items, now);
  await sendAhead(trx, [
    ...storeReports(current, changes, observation_id),
    ...moveExecutions(moves, now),
    ...noteLateSuccesses(lateSuccesses, now),
    ...noteDetails(notes),
    ...(areLetInAgain(reports, facts) ? [returnOfIdentity(now)] : []),
  ]);
  if (advances && changes.length > 0 && facts.some(({ is_any_to_wake }) => is_any_to_wake)) await wakeForCandidates(trx, advances, now);
  return outcomes;
}

/** Only who confirms has a token of the identity provider. */
const areLetInAgain = (reports: readonly Report[], [first]: readonly FactsRow[]): boolean =>
  first?.were_refused === true && reports.some(({ source }) => source === 'confirmation');

const itemsOf = (
  reports: readonly Report[],
  facts: readonly ReportFacts[],
  executions: readonly (ReportedExecution | undefined)[],
): ReportItem[] => reports.map((report, i) => ({ ...(facts[i] as ReportFacts), report, execution: executions[i] }));

/** Hardware types for which these are the first reports of the day. */
const typesOfNewDay = (items: readonly ReportItem[]): string[] => {
  const subjects = items.flatMap(({ report, hardware_type_exists, is_day_begun, parts }) => [
    ...(hardware_type_exists ? [{ hardware_type: report.hardware_type, is_day_begun }] : []),
    ...parts,
  ]);
  return [...new Set(subjects.filter((subject) => !subject.is_day_begun).map(({ hardware_type }) => hardware_type))];
};
