import type { Actor } from '../audit/actor.ts';
import { writeAuditLine } from '../audit/audit-queries.ts';
import type { Clock } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import { DomainError, type FieldError } from '../errors.ts';
import { isAnyMoved, takeTurnInRegistering, upsertDevices, waitForPlans } from './change-queries.ts';
import type { NewDevice } from './new-device.ts';
import { refuseUnknownZone } from './unknown-zone.ts';

export interface FleetDeps {
  db: Db;
  now: Clock;
  /** The last act before a change of devices is committed: wakes updates that they may have come to match. Missing: none is woken. */
  wakeForCandidates?: (trx: Trx) => Promise<void>;
}

export interface RegisteredDevices {
  created: number;
  changed: number;
  unchanged: number;
}

/**
 * Adds and changes devices, all or none, in a few statements for any number. Calls take turns. Repeating a call changes nothing.
 *
 * @throws `request.invalid` naming every device that comes twice (nobody can know which of the two was meant), or a zone that does not exist.
 */
export async function registerDevices(
  { db, now, wakeForCandidates }: FleetDeps,
  devices: readonly NewDevice[],
  actor: Actor,
): Promise<RegisteredDevices> {
  const errors = findRepeated(devices);
  if (errors.length > 0) throw new DomainError('request.invalid', `${errors.length} devices come more than once`, { errors });
  const { created, changed } = await db.transaction().execute(async (trx) => {
    await takeTurnInRegistering(trx);
    if (await isAnyMoved(trx, devices)) await waitForPlans(trx);
    const outcome = await upsertDevices(trx, devices, now()).catch(refuseUnknownZone);
    const isChange = outcome.created + outcome.changed > 0;
    if (isChange) await writeAuditLine(trx, actor, { action: 'register', resource: 'device', resource_id: null, outcome }, now());
    if (isChange) await wakeForCandidates?.(trx);
    return outcome;
  });
  return { created, changed, unchanged: devices.length - created - changed };
}

const findRepeated = (devices: readonly NewDevice[]): FieldError[] => {
  const seen = new Set<string>();
  return devices.flatMap(({ kind, external_id }, i) => {
    const key = `${kind} ${external_id}`;
    if (seen.has(key)) return [{ in: 'body', path: `devices.${i}.external_id`, message: `${key} comes more than once` } as const];
    seen.add(key);
    return [];
  });
};
