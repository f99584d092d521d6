import * as z from 'zod/mini';
import { Comment, Timestamp } from '../firmware/firmware.ts';
import { MaintenanceWindow } from './maintenance-window.ts';
import { ZoneName } from './word.ts';

/** Accepts names of the IANA database that Node knows. An offset such as +03:00 is no time zone: it has no summer time. */
const isTimeZone = (name: string): boolean => {
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
};

const settings = {
  time_zone: z.string().check(
    z.maxLength(64),
    z.refine(isTimeZone, 'is no time zone of the IANA database'),
    z.meta({
      description: 'By its name in the IANA database',
      example: 'Europe/Moscow',
    }),
  ),
  maximum_unavailable_percentage: z.number().check(
    z.gt(0),
    z.maximum(100),
    z.meta({
      description:
        'The availability budget: how many per cent of the devices of a kind in this zone may be at work on updates at one moment, at most. ' +
        'At least one always may',
    }),
  ),
  maintenance_window: z
    .nullable(MaintenanceWindow)
    .check(z.meta({ description: 'Devices of this zone are asked only within it; null: at any time' })),
  comment: Comment,
};

export const NewZone = z.strictObject({
  name: ZoneName,
  time_zone: settings.time_zone,
  maximum_unavailable_percentage: z._default(settings.maximum_unavailable_percentage, 100),
  maintenance_window: z._default(settings.maintenance_window, null),
  comment: z._default(settings.comment, ''),
});
export type NewZone = z.output<typeof NewZone>;

/** What is not named stays as it is. */
export const ZoneChange = z.partial(z.strictObject(settings)).check(
  z.refine((change) => Object.keys(change).length > 0, 'must have at least one field'),
  z.meta({ minProperties: 1 }),
);
export type ZoneChange = z.output<typeof ZoneChange>;

/** Where devices stand. */
export const Zone = z
  .object({
    name: z.string(),
    ...settings,
    time_zone: z.string(),
    devices: z.int().check(z.meta({ description: 'Devices in this zone' })),
    created_dt: Timestamp,
  })
  .register(z.globalRegistry, { id: 'Zone' });
export type Zone = z.infer<typeof Zone>;
