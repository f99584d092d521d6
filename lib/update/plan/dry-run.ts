import * as z from 'zod/mini';
import { FirmwareId, HardwareTypeName, Timestamp } from '../../firmware/firmware.ts';
import { PageQuery, pageOf } from '../../http/page.ts';
import { listEligibilities } from '../reasons.ts';
import { eligibilities } from '../update.ts';

/** A page of a dry run: the devices of one reason. */
export const DryRunPage = z.strictObject({
  reason: z.enum(eligibilities),
  limit: z._default(z.int().check(z.minimum(1), z.maximum(500)), 100),
  cursor: PageQuery.cursor,
});
export type DryRunPage = z.output<typeof DryRunPage>;

const DryRunDevice = z.object({
  external_id: z.string(),
  other_update_id: z.nullable(z.int()).check(z.meta({ description: 'The update that has this device in flight' })),
  detail: z.nullable(z.string()).check(
    z.meta({
      description: 'Of HARDWARE_MISMATCH: the revision of the device and those that the firmware fits, if this is why',
      example: 'revision B1, fits B2, B3',
    }),
  ),
});

/** What an update with a package does to its parts on the devices that would be updated. */
const PartChanges = z
  .object({
    firmware_id: FirmwareId,
    hardware_type: HardwareTypeName,
    version: z.string(),
    version_num: z.int(),
    changes: z.array(
      z.object({
        change: z.enum(['NONE', 'UPGRADE', 'DOWNGRADE', 'UNKNOWN']).check(
          z.meta({
            description: 'NONE: they run it already; UNKNOWN: what they run is not known, or in no catalogue',
          }),
        ),
        from_version: z.nullable(z.string()),
        from_version_num: z.nullable(z.int()),
        count: z.int().check(z.meta({ description: 'Devices' })),
      }),
    ),
  })
  .register(z.globalRegistry, { id: 'PartChanges' });
export type PartChanges = z.infer<typeof PartChanges>;

/** When the eligible devices may be asked, as far as their zones decide it. */
const When = z
  .object({
    now: z.int().check(z.meta({ description: 'Devices that no window and no budget holds back; the pace of the update does not count' })),
    later: z
      .array(
        z.object({
          zone: z.nullable(z.string()).check(z.meta({ description: 'null: devices without a zone' })),
          cause: z.enum(['WINDOW', 'BUDGET']).check(
            z.meta({
              description:
                'WINDOW: they wait until the window of the zone, or of the update, opens; BUDGET: until others of the zone have finished',
            }),
          ),
          opens_dt: z.nullable(Timestamp).check(z.meta({ description: 'Of WINDOW; null: it never opens, or a budget is waited for' })),
          count: z.int().check(z.meta({ description: 'Devices' })),
        }),
      )
      .check(z.meta({ description: 'The others, by zone; those whose window opens first in front' })),
  })
  .register(z.globalRegistry, { id: 'DryRunWhen' });
export type When = z.infer<typeof When>;

/** What a continuous update would do besides. */
const WouldStayOpen = z
  .object({
    waiting: z
      .int()
      .check(z.meta({ description: 'Devices that another update has at work: they are taken in when that is done with them' })),
    takes_over: z.array(z.object({ update_id: z.int(), devices: z.int() })).check(
      z.meta({
        description:
          'Open continuous updates of this hardware type, except the one that is replaced, and how many devices both mean: these would be left to the new update',
      }),
    ),
  })
  .register(z.globalRegistry, { id: 'DryRunContinuous' });
export type WouldStayOpen = z.infer<typeof WouldStayOpen>;

export const DryRun = z
  .object({
    eligible: z.int().check(z.meta({ description: 'Devices that would be updated' })),
    when: When.check(z.meta({ description: 'When devices would be asked, seen from the moment at which the update would begin' })),
    needs_approval: z.boolean().check(z.meta({ description: 'Whether somebody else would have to approve the update' })),
    superseded: z
      .array(
        z.object({
          update_id: z.int(),
          executions: z.int().check(
            z.meta({
              description: 'That would end, because nobody has asked their devices yet: these devices would take part in this update',
            }),
          ),
          at_work: z.int().check(
            z.meta({
              description: 'Devices that stay with it for now (UPDATE_IN_FLIGHT) and would be taken in when they have ended there',
            }),
          ),
        }),
      )
      .check(z.meta({ description: 'With `supersede`: which older updates would lose devices' })),
    continuous: z.nullable(WouldStayOpen).check(z.meta({ description: 'null: it would not be continuous' })),
    reasons: z
      .array(z.object({ reason: z.enum(eligibilities), count: z.int(), devices: z.array(DryRunDevice) }))
      .check(z.meta({ description: `Every reason with its number of devices and the first 100 of them.\n\n${listEligibilities()}` })),
    parts: z
      .array(PartChanges)
      .check(z.meta({ description: 'Of a package: what would change of each of its parts, on the eligible devices' })),
  })
  .register(z.globalRegistry, { id: 'DryRun' });
export type DryRun = z.infer<typeof DryRun>;

export const DryRunDevices = pageOf(DryRunDevice).register(z.globalRegistry, { id: 'DryRunDevices' });
export type DryRunDevices = z.infer<typeof DryRunDevices>;
