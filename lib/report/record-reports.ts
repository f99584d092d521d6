import type { Trx } from '../db/database.ts';
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
  const { outcomes, current, changes, moves, lateSuccesses, notes } = learn(await loadItems(trx, reports), now);
  await storeReports(trx, current, changes, observation_id);
  await moveExecutions(trx, moves, now);
  await noteLateSuccesses(trx, lateSuccesses, now);
  if (notes.length > 0) await noteDetails(trx, notes);
  return outcomes;
}

const loadItems = async (trx: Trx, reports: readonly Report[]): Promise<ReportItem[]> => {
  const facts = await listReportFacts(trx, reports);
  const subjects = reports.map(({ hardware_type, execution_id }, i) => ({
    device_id: facts[i]?.device_id ?? null,
    hardware_type,
    execution_id: execution_id ?? null,
  }));
  const executions = await lockReportedExecutions(trx, subjects);
  return reports.map((report, i) => ({ ...(facts[i] as ReportFacts), report, execution: executions[i] }));
};
