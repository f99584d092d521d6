import type { Db } from '../../db/database.ts';
import type { DryRun, DryRunDevices, DryRunPage, UpdateRequest } from '../update.ts';
import type { Choice } from './eligibility.ts';
import { listEligibilityDevices, listEligibilityGroups, listPartChanges } from './plan-queries.ts';
import { getWantedFirmware, refuseRemovedExecutions } from './request-update.ts';

const devicesPerGroup = 100;

/**
 * Who would be updated, and why others would not, by the same query that a request plans by; and what a package would change of its parts.
 * Changes nothing.
 *
 * @throws `update.executions_removed`; `firmware.not_available` when there is no such firmware; one that is withdrawn makes every device FIRMWARE_NOT_AVAILABLE.
 */
export async function dryRunUpdate(db: Db, request: UpdateRequest, page: DryRunPage | undefined): Promise<DryRun | DryRunDevices> {
  const { targets, allow_downgrade, force } = request;
  const choice: Choice = { targets, allow_downgrade, force, firmware: await getWantedFirmware(db, request.firmware_id) };
  await db.transaction().execute((trx) => refuseRemovedExecutions(trx, targets));
  if (page) return listEligibilityDevices(db, choice, page);
  const reasons = await listEligibilityGroups(db, choice, devicesPerGroup);
  const { assembly_id } = choice.firmware;
  const parts = assembly_id === null ? [] : await listPartChanges(db, choice, assembly_id);
  return { eligible: reasons.find(({ reason }) => reason === 'ELIGIBLE')?.count ?? 0, reasons, parts };
}
