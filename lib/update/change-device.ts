import * as z from 'zod/mini';
import type { Actor } from '../audit/actor.ts';
import { differenceOf, writeAuditLine } from '../audit/audit-queries.ts';
import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { violatedConstraint } from '../db/database-error.ts';
import { DomainError, wrongField } from '../errors.ts';
import { type ChangeableDevice, changeDevices, lockDevice, renameDevice, waitForPlans } from '../fleet/change-queries.ts';
import { Channel, type DeviceKind, ExternalId, ScooterVersion } from '../fleet/device.ts';
import { deviceNotFound } from '../fleet/device-exists.ts';
import { getDevice } from '../fleet/get-devices.ts';
import { devicePlace } from '../fleet/new-device.ts';
import type { Device } from '../fleet/shown-device.ts';
import { refuseUnknownZone } from '../fleet/unknown-zone.ts';
import type { Queue } from '../ports/queue.ts';
import type { AdvanceMessage } from './messages.ts';
import { wakeForCandidates } from './reach/wake-for-candidates.ts';
import { removeExecutions } from './retire-queries.ts';

export const DeviceChange = z
  .strictObject({
    ...devicePlace,
    version: z
      .optional(z.nullable(ScooterVersion))
      .check(z.meta({ description: 'Generation of a scooter; null: it has an IoT of its own. Not named: stays as it is' })),
    channel: z.optional(Channel),
    retired: z.optional(z.boolean()).check(
      z.meta({
        description:
          'Whether it is out of service for good: it keeps its history, is left out of updates and counts, and its open executions end REMOVED',
      }),
    ),
    external_id: z
      .optional(ExternalId)
      .check(z.meta({ description: 'Another id, as when a tracker is moved to another frame; the one before is kept in `aliases`' })),
  })
  .check(
    z.refine((change) => Object.keys(change).length > 0, 'must have at least one field'),
    z.meta({ minProperties: 1 }),
  );
export type DeviceChange = z.output<typeof DeviceChange>;

export interface ChangeDeviceDeps {
  db: Db;
  /** Missing: no update is woken that the device may have come to match. */
  advances?: Queue<AdvanceMessage> | undefined;
  now: Clock;
}

/**
 * Changes what is known of one device. Fields that are not named stay as they are; the same change again does nothing. Retiring a device
 * waits until the plans that are being made are committed, so that none of them plans this device afterwards.
 *
 * @throws `device.not_found`; `device.exists` for an id that another device has; `request.invalid` for a zone that does not exist, or for a
 *   cabinet with a version; `queue.unavailable` when an update cannot be woken.
 */
export async function changeDevice(
  { db, advances, now }: ChangeDeviceDeps,
  { kind, external_id }: { kind: DeviceKind; external_id: string },
  change: DeviceChange,
  actor: Actor,
): Promise<Device> {
  if (kind !== 'scooter' && change.version) throw wrongField('request.invalid', 'version', 'only scooters have a version');
  const isRetiring = change.retired === true;
  return db.transaction().execute(async (trx) => {
    if (isRetiring || change.zone !== undefined) await waitForPlans(trx);
    const locked = await lockDevice(trx, kind, external_id, { isRenaming: change.external_id !== undefined });
    if (!locked) throw deviceNotFound(kind, external_id);
    const before = { ...locked, external_id };
    const after = withChange(before, change, now());
    const difference = differenceOf(before, after);
    if (Object.keys(difference.after).length === 0) return getDevice(trx, kind, external_id);
    await changeDevices(trx, [after]).catch(refuseUnknownZone);
    if (after.external_id !== external_id) await renameDevice(trx, before, after.external_id, now()).catch(refuseTakenId);
    if (isRetiring) await removeExecutions(trx, before.id, now());
    const resource_id = `${kind}/${external_id}`;
    const action = 'retired_dt' in difference.after ? (isRetiring ? 'retire' : 'reinstate') : 'change';
    await writeAuditLine(trx, actor, { action, resource: 'device', resource_id, outcome: difference }, now());
    if (advances) await wakeForCandidates(trx, advances, now());
    return getDevice(trx, kind, after.external_id);
  });
}

type Known = ChangeableDevice & { external_id: string };

const withChange = (before: Known, { tags, retired, ...change }: DeviceChange, now: Date): Known => ({
  ...before,
  ...(Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) as Partial<Known>),
  ...(tags !== undefined && { tags: (tags ?? []).toSorted() }),
  ...(retired !== undefined && { retired_dt: retired ? (before.retired_dt ?? now) : null }),
});

const refuseTakenId = (error: unknown): never => {
  if (violatedConstraint(error) !== 'devices_kind_external_id_key') throw error;
  throw new DomainError('device.exists', 'Another device has this external_id', {
    errors: [{ in: 'body', path: 'external_id', message: 'is the id of another device' }],
  });
};
