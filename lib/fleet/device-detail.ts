import * as z from 'zod/mini';
import { FirmwareId, Timestamp } from '../firmware/firmware.ts';
import { pageOf } from '../http/page.ts';
import { Device, PastFirmware } from './shown-device.ts';

/** hawkBit also keeps up to this many attributes of a device. */
export const maximumAttributes = 100;
export const maximumAttributeName = 128;
export const maximumAttributeText = 256;

export const DeviceAttributes = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).check(
  z.meta({
    description: 'What a device that polls tells of itself, by the names that it uses: up to 100; none of a device that does not poll',
    example: { hw_revision: 'B2', serial: 'C-17-0042' },
  }),
);
export type DeviceAttributes = z.infer<typeof DeviceAttributes>;

export const DeviceWithHistory = z
  .extend(Device, {
    attributes: DeviceAttributes,
    attributes_dt: z.nullable(Timestamp).check(z.meta({ description: 'When it told them last; null: never' })),
    aliases: z
      .array(z.object({ external_id: z.string(), until_dt: Timestamp }))
      .check(z.meta({ description: 'What it was called before, the latest first' })),
    history: z.optional(pageOf(PastFirmware)).check(
      z.meta({
        description: 'Every version it is known to have run, in the order in which that was learned, the latest first; when asked for',
      }),
    ),
  })
  .register(z.globalRegistry, { id: 'DeviceWithHistory' });
export type DeviceWithHistory = z.infer<typeof DeviceWithHistory>;

export const ScooterWithHistory = z
  .extend(DeviceWithHistory, {
    iot: z.nullable(FirmwareId).check(
      z.meta({
        description:
          'The yandex_iot firmware that it runs, as in the view `scooters`; null where it has no such board or its version is in no catalogue',
      }),
    ),
  })
  .register(z.globalRegistry, { id: 'ScooterWithHistory' });
export type ScooterWithHistory = z.infer<typeof ScooterWithHistory>;

export const toScooter = (device: DeviceWithHistory): ScooterWithHistory => ({
  ...device,
  iot: device.firmwares.find(({ hardware_type }) => hardware_type === 'yandex_iot')?.firmware_id ?? null,
});
