import type { Clock } from '../../clock.ts';
import type { Db } from '../../db/database.ts';
import { listPlaces } from '../budget-queries.ts';
import { countEligible, type Eligibility } from '../update.ts';
import type { UpdateRequest } from '../update-request.ts';
import { type Opening, openingsOf } from '../zone-rules.ts';
import { chooseTargets } from './chosen-targets.ts';
import type { DryRun, DryRunDevices, DryRunPage, When, WouldStayOpen } from './dry-run.ts';
import { type Choice, supersedesAll } from './eligibility.ts';
import { countShared, listOpenUpdates } from './open-update-queries.ts';
import { type EligibleZone, listEligibilityDevices, listEligibilityGroups, listPartChanges } from './plan-queries.ts';
import { checkReplaced, findReplaced } from './replace-update.ts';
import { needsApproval } from './request-update.ts';
import { filterOf } from './take-in.ts';
import { getWantedFirmware } from './wanted-firmware.ts';
import { whenOf } from './when.ts';

const devicesPerGroup = 100;

export interface DryRunDeps {
  db: Db;
  approvalAbove?: number | null;
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
  { db, approvalAbove, now }: DryRunDeps,
  request: UpdateRequest,
  page: DryRunPage | undefined,
): Promise<DryRun | DryRunDevices> {
  const { allow_downgrade, force, unknown_version, supersede } = request;
  const choice: Choice = {
    targets: await chooseTargets(db, request),
    allow_downgrade,
    force,
    unknown_version,
    supersedesBelow: supersede ? supersedesAll : null,
    firmware: await getWantedFirmware(db, request.firmware_id),
    now: now(),
  };
  if (page) return listEligibilityDevices(db, choice, page);
  const { reasons, zones, superseded } = await listEligibilityGroups(db, choice, devicesPerGroup);
  const { assembly_id } = choice.firmware;
  const parts = assembly_id === null ? [] : await listPartChanges(db, choice, assembly_id);
  const when = await findWhen(db, zones, request, choice.now);
  const countOf = (wanted: Eligibility) => reasons.find(({ reason }) => reason === wanted)?.count ?? 0;
  const eligible = countEligible(Object.fromEntries(reasons.map(({ reason, count }) => [reason, count])));
  const continuous = request.continuous ? await foresee(db, choice, request, countOf('UPDATE_IN_FLIGHT')) : null;
  const needs_approval = needsApproval(eligible, approvalAbove, request.continuous);
  return { when, continuous, eligible, needs_approval, superseded, reasons, parts };
}

/** @throws `request.invalid`, `update.ended` for an update that cannot be replaced */
const foresee = async (db: Db, choice: Choice, { replaces_update_id }: UpdateRequest, waiting: number): Promise<WouldStayOpen> => {
  const { firmware, now } = choice;
  if (replaces_update_id !== null) checkReplaced(await findReplaced(db, replaces_update_id), firmware);
  const takes_over = [];
  for (const open of await listOpenUpdates(db, firmware.hardware_type, replaces_update_id)) {
    const devices = await countShared(db, choice, { firmware_id: open.firmware_id, filter: await filterOf(db, open.targets) }, now);
    if (devices > 0) takes_over.push({ update_id: open.id, devices });
  }
  return { waiting, takes_over };
};

/** When devices would be asked, from the start of the update on. All eligible devices are of one kind. */
const findWhen = async (
  db: Db,
  eligible: readonly EligibleZone[],
  { rollout, window, ignore_window, start_dt }: UpdateRequest,
  now: Date,
): Promise<When> => {
  const zones = eligible.map((zone) => ({
    ...{ ...zone, window, ignore_window },
    percentage: Math.min(zone.percentage, rollout.maximum_unavailable_percentage),
  }));
  const [first] = zones;
  const places = first ? await listPlaces(db, first.kind, zones) : [];
  const openings = openingsOf(zones, start_dt && start_dt > now ? start_dt : now);
  return whenOf(zones.map(({ zone, count }, i) => ({ zone, count, opening: openings[i] as Opening, places: places[i] ?? null })));
};
