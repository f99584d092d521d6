import type { Trx } from '../db/database.ts';
import { beginDays } from '../fleet/count-queries.ts';
import { noteLateSuccesses } from '../update/figure-queries.ts';
import { lockReportedExecutions, moveExecutions } from '../update/move-executions.ts';
import { noteDetails } from '../update/reach/offer-queries.ts';
import type { ConfirmationOutcome, Report } from './confirmation.ts';
import { learn, type ReportItem } from './learn.ts';
import { listReportFacts, lockDevices, type ReportFacts, storeReports } from './report-queries.ts';

/**
 * The one way in which the service learns what devices run: facts in, what they teach (learn.ts), and stored. A constant number of
 * statements, whatever the number of reports. Every report has an outcome of its own, in their order; a refused one changes nothing
 * and hinders no other. Repeating a call changes nothing.
 */
export async function recordReports(
  trx: Trx,
  reports: readonly Report[],
  now: Date,
  observation_id: number | null = null,
): Promise<ConfirmationOutcome[]> {
  await lockDevices(trx, reports);
  const items = await loadItems(trx, reports, now);
  await beginDays(trx, typesOfNewDay(items), now);
  const { outcomes, current, changes, moves, lateSuccesses, notes } = learn(items, now);
  await storeReports(trx, current, changes, observation_id);
  await moveExecutions(trx, moves, now);
  await noteLateSuccesses(trx, lateSuccesses, now);
  if (notes.length > 0) await noteDetails(trx, notes);
  return outcomes;
}

const loadItems = async (trx: Trx, reports: readonly Report[], now: Date): Promise<ReportItem[]> => {
  const facts = await listReportFacts(trx, reports, now);
  const subjects = reports.map(({ hardware_type, execution_id }, i) => ({
    device_id: facts[i]?.device_id ?? null,
    hardware_type,
    execution_id: execution_id ?? null,
  }));
  const executions = await lockReportedExecutions(trx, subjects);
  return reports.map((report, i) => ({ ...(facts[i] as ReportFacts), report, execution: executions[i] }));
};

/** Hardware types of which these are the first reports of the day. */
const typesOfNewDay = (items: readonly ReportItem[]): string[] => {
  const subjects = items.flatMap(({ report, hardware_type_exists, is_day_begun, parts }) => [
    ...(hardware_type_exists ? [{ hardware_type: report.hardware_type, is_day_begun }] : []),
    ...parts,
  ]);
  return [...new Set(subjects.filter((subject) => !subject.is_day_begun).map(({ hardware_type }) => hardware_type))];
};
