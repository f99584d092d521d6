import type { Clock } from '../../clock.ts';
import type { Db } from '../../db/database.ts';
import { countEligible, type UpdateRequest } from '../update.ts';
import { chooseTargets } from './chosen-targets.ts';
import type { DryRun, DryRunDevices, DryRunPage } from './dry-run.ts';
import type { Choice } from './eligibility.ts';
import { listEligibilityDevices, listEligibilityGroups, listPartChanges } from './plan-queries.ts';
import { getWantedFirmware } from './request-update.ts';

const devicesPerGroup = 100;

export interface DryRunDeps {
  db: Db;
  now: Clock;
}

/**
 * Answers which devices would be updated and why others would not, by the query that plans a request; for a package also which of its parts
 * would change. Changes nothing. A withdrawn firmware is no error: every device is FIRMWARE_NOT_AVAILABLE then.
 *
 * @throws `request.invalid` for a filter that names something that does not exist, `update.executions_removed`; `firmware.not_available`
 *   when there is no such firmware.
 */
export async function dryRunUpdate(
  { db, now }: DryRunDeps,
  request: UpdateRequest,
  page: DryRunPage | undefined,
): Promise<DryRun | DryRunDevices> {
  const { allow_downgrade, force, unknown_version } = request;
  const choice: Choice = {
    targets: await chooseTargets(db, request.targets),
    allow_downgrade,
    force,
    unknown_version,
    firmware: await getWantedFirmware(db, request.firmware_id),
    now: now(),
  };
  if (page) return listEligibilityDevices(db, choice, page);
  const reasons = await listEligibilityGroups(db, choice, devicesPerGroup);
  const { assembly_id } = choice.firmware;
  const parts = assembly_id === null ? [] : await listPartChanges(db, choice, assembly_id);
  return { eligible: countEligible(Object.fromEntries(reasons.map(({ reason, count }) => [reason, count]))), reasons, parts };
}
