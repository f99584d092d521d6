import * as z from 'zod/mini';

export const daysOfWeek = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'] as const;
export type DayOfWeek = (typeof daysOfWeek)[number];

const TimeOfDay = z.string().check(z.regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be a time of day from 00:00 to 23:59'));

/** When devices of a zone may be asked, in the zone's local time. */
export const MaintenanceWindow = z
  .strictObject({
    from: TimeOfDay.check(z.meta({ description: 'Local time at which it opens', example: '02:00' })),
    until: TimeOfDay.check(
      z.meta({ description: 'Local time at which it closes. A time earlier than `from` means the next day', example: '05:00' }),
    ),
    days: z
      ._default(
        z.array(z.enum(daysOfWeek)).check(
          z.minLength(1),
          z.maxLength(daysOfWeek.length),
          z.refine((days) => new Set(days).size === days.length, 'has a day more than once'),
          z.meta({ uniqueItems: true }),
        ),
        [...daysOfWeek],
      )
      .check(z.meta({ description: 'Days on which it opens. Default: every day' })),
  })
  .check(z.refine(({ from, until }) => from !== until, { path: ['until'], error: 'must differ from `from`; no window means any time' }))
  .register(z.globalRegistry, { id: 'MaintenanceWindow' });
export type MaintenanceWindow = z.output<typeof MaintenanceWindow>;
