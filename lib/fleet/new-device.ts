import * as z from 'zod/mini';
import { Channel, DeviceKind, ExternalId, ScooterVersion } from './device.ts';
import { Revision } from './revision.ts';
import { Tags, ZoneName } from './word.ts';

/** Where a device stands and what it is. Fields that are not named stay as they are; null removes the value. */
export const devicePlace = {
  zone: z.optional(z.nullable(ZoneName)).check(z.meta({ description: 'The zone it stands in. Not named: stays as it is; null: none' })),
  tags: z
    .optional(z.nullable(Tags))
    .check(z.meta({ description: 'All of its tags, up to 20. Not named: they stay as they are; null: none' })),
  revision: z.optional(z.nullable(Revision)).check(z.meta({ description: 'Of its hardware. Not named: stays as it is; null: none' })),
};

/** The fields with which a device is registered. A scooter without a generation has an IoT of its own. */
export const NewDevice = z.pipe(
  z
    .strictObject({
      kind: DeviceKind,
      external_id: ExternalId,
      version: z._default(z.nullable(ScooterVersion), null),
      channel: z
        .optional(Channel)
        .check(z.meta({ description: 'Default: telematics for scooters of version 1 and 2, iot for all others' })),
      ...devicePlace,
    })
    .check(
      z.refine(({ kind, version }) => kind === 'scooter' || version === null, { path: ['version'], error: 'only scooters have a version' }),
      z.meta({ if: { properties: { kind: { const: 'scooter' } } }, else: { properties: { version: { type: 'null' } } } }),
    ),
  z.transform((device) => ({ ...device, channel: device.channel ?? defaultChannel(device.version) })),
);
export type NewDevice = z.output<typeof NewDevice>;

const defaultChannel = (version: 1 | 2 | null): Channel => (version === null ? 'iot' : 'telematics');
