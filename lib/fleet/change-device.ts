import * as z from 'zod/mini';
import { differenceOf, writeAuditLine } from '../audit/audit-queries.ts';
import type { Author } from '../audit/author.ts';
import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { wrongField } from '../errors.ts';
import { type ChangeableDevice, changeDevices, lockDevice } from './change-queries.ts';
import { Channel, type DeviceKind, ScooterVersion } from './device.ts';
import { deviceNotFound } from './device-exists.ts';
import { getDevice } from './get-devices.ts';
import { devicePlace } from './new-device.ts';
import type { Device } from './shown-device.ts';
import { refuseUnknownZone } from './unknown-zone.ts';

export const DeviceChange = z
  .strictObject({
    ...devicePlace,
    version: z
      .optional(z.nullable(ScooterVersion))
      .check(z.meta({ description: 'Generation of a scooter; null: it has an IoT of its own. Not named: stays as it is' })),
    channel: z.optional(Channel),
  })
  .check(
    z.refine((change) => Object.keys(change).length > 0, 'must have at least one field'),
    z.meta({ minProperties: 1 }),
  );
export type DeviceChange = z.output<typeof DeviceChange>;

export interface ChangeDeviceDeps {
  db: Db;
  now: Clock;
}

/**
 * Changes what is known of one device. What is not named stays as it is; the same again changes nothing.
 *
 * @throws `device.not_found`; `request.invalid` for a zone that there is not, or a version of a cabinet.
 */
export async function changeDevice(
  { db, now }: ChangeDeviceDeps,
  { kind, external_id }: { kind: DeviceKind; external_id: string },
  change: DeviceChange,
  author: Author,
): Promise<Device> {
  if (kind !== 'scooter' && change.version) throw wrongField('request.invalid', 'version', 'only scooters have a version');
  return db.transaction().execute(async (trx) => {
    const before = await lockDevice(trx, kind, external_id);
    if (!before) throw deviceNotFound(kind, external_id);
    const after = withChange(before, change);
    const difference = differenceOf(before, after);
    if (Object.keys(difference.after).length > 0) {
      await changeDevices(trx, [after]).catch(refuseUnknownZone);
      const resource_id = `${kind}/${external_id}`;
      await writeAuditLine(trx, author, { action: 'change', resource: 'device', resource_id, outcome: difference }, now());
    }
    return getDevice(trx, kind, external_id);
  });
}

const withChange = (before: ChangeableDevice, { tags, ...change }: DeviceChange): ChangeableDevice => ({
  ...before,
  ...(Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) as Partial<ChangeableDevice>),
  ...(tags !== undefined && { tags: (tags ?? []).toSorted() }),
});
