import * as z from 'zod/mini';
import { FirmwareId, firmwareStatuses, HardwareTypeName, Timestamp } from '../firmware/firmware.ts';
import { DeviceKind, ScooterVersion } from '../fleet/device.ts';
import { ExecutionCounts } from '../update/execution.ts';
import { ShownGate } from '../update/shown-gate.ts';
import { UpdateCounts } from '../update/update-status.ts';

/** Versions named one by one per hardware type. A device that invents a version at every start must not make the answer endless. */
export const maximumVersions = 100;
/** Firmwares of each hardware type whose update times are shown. */
export const maximumTimedFirmwares = 20;

const Devices = z.int().check(z.minimum(0));
const Share = z.number().check(z.minimum(0), z.maximum(1));
const Seconds = z.number().check(z.minimum(0));

export const UpdateTimes = z.object({
  installations: z.int().check(z.meta({ description: 'Ordered by this service and proven' })),
  mean_seconds: Seconds,
  p50_seconds: Seconds.check(
    z.meta({ description: 'Percentiles come from a histogram and are at most 2.5 % off; mean and maximum are exact' }),
  ),
  p90_seconds: Seconds,
  p99_seconds: Seconds,
  max_seconds: Seconds,
});
export type UpdateTimes = z.infer<typeof UpdateTimes>;

const TimeBucket = z.object({ from_seconds: Seconds, until_seconds: Seconds, installations: z.int() });
export type TimeBucket = z.infer<typeof TimeBucket>;

export const TimesByScooterVersion = z.extend(UpdateTimes, {
  histogram: z.array(TimeBucket).check(
    z.meta({
      description:
        'Installations by how long they took, the shortest first: from so many seconds to less than so many. Each bucket ends 22 % above its ' +
        'beginning; those without installations are left out. The one from 0.09614 s also has all that were shorter',
    }),
  ),
  by_scooter_version: z.array(
    z.extend(UpdateTimes, { scooter_version: z.nullable(ScooterVersion).check(z.meta({ description: 'null: own IoT, or no scooter' })) }),
  ),
});
export type TimesByScooterVersion = z.infer<typeof TimesByScooterVersion>;

const VersionShare = z.object({
  version: z.string(),
  firmware_id: z.nullable(FirmwareId).check(z.meta({ description: 'null while the version is in no catalogue' })),
  version_num: z.nullable(z.int()),
  status: z.nullable(z.enum(firmwareStatuses)),
  devices: Devices,
  share: Share,
});

const HardwareTypeStats = z.object({
  hardware_type: HardwareTypeName,
  device_kind: DeviceKind,
  devices: Devices.check(z.meta({ description: 'Whose version of this hardware type is known; shares are of these' })),
  newest: z
    .nullable(z.object({ firmware_id: FirmwareId, version: z.string(), version_num: z.int() }))
    .check(z.meta({ description: 'The available firmware with the highest version_num' })),
  on_newest: z.object({ devices: Devices, share: Share }),
  on_unknown_version: z
    .object({ devices: Devices, share: Share, versions: z.int() })
    .check(z.meta({ description: 'Devices that run a version that is in no catalogue, and how many such versions' })),
  versions: z.array(VersionShare).check(z.meta({ description: `The ${maximumVersions} that most devices run, those first` })),
  other_versions: z
    .object({ devices: Devices, share: Share, versions: z.int() })
    .check(z.meta({ description: 'All that are not in versions' })),
  update_times: z.nullable(TimesByScooterVersion).check(z.meta({ description: 'Over all firmwares; null while nothing was installed' })),
  firmware_update_times: z
    .array(z.extend(TimesByScooterVersion, { firmware_id: FirmwareId, version: z.string(), version_num: z.int() }))
    .check(z.meta({ description: `Of the ${maximumTimedFirmwares} newest that were installed, the newest first` })),
});
export type HardwareTypeStats = z.infer<typeof HardwareTypeStats>;

/** Versions named one by one for each hardware type in a zone: there may be hundreds of zones. */
export const maximumZoneVersions = 5;

const ZoneStats = z.object({
  zone: z.nullable(z.string()).check(z.meta({ description: 'null: devices without a zone' })),
  devices: z.array(z.object({ kind: DeviceKind, devices: Devices, not_seen: Devices })),
  hardware_types: z.array(
    z.object({
      hardware_type: HardwareTypeName,
      devices: Devices,
      versions: z
        .array(z.object({ version: z.string(), devices: Devices }))
        .check(z.meta({ description: `The ${maximumZoneVersions} that most devices run, those first` })),
      other_versions: z.object({ devices: Devices, versions: z.int() }).check(z.meta({ description: 'All that are not in versions' })),
    }),
  ),
});
export type ZoneStats = z.infer<typeof ZoneStats>;

export const Stats = z
  .object({
    generated_dt: Timestamp,
    devices: z.array(
      z.object({
        kind: DeviceKind,
        devices: Devices,
        not_seen: Devices.check(z.meta({ description: 'Last seen more than not_seen_days ago (in whole days, UTC), or never' })),
        never_seen: Devices,
      }),
    ),
    not_seen_days: z.int(),
    hardware_types: z.array(HardwareTypeStats),
    zones: z.array(ZoneStats).check(z.meta({ description: 'Every zone that has devices, with the versions that they run' })),
    updates: UpdateCounts.check(z.meta({ description: 'Updates by status' })),
    executions: ExecutionCounts.check(z.meta({ description: 'Executions by status, of updates that have not ended to their last device' })),
    late_updates: z.int().check(z.meta({ description: 'Updates whose next step is more than five minutes late: `walk` in each of them' })),
    backend_gate: ShownGate,
    tables: z
      .array(z.object({ table: z.string(), rows: z.nullable(z.int()) }))
      .check(
        z.meta({ description: "Rows as PostgreSQL's planner estimates them; null until it has looked at the table for the first time" }),
      ),
    sequences: z
      .array(z.object({ sequence: z.string(), last_value: z.int(), left: Share }))
      .check(z.meta({ description: 'Where ids come from: the last one given out, and which share is left; the fullest first' })),
  })
  .register(z.globalRegistry, { id: 'Stats' });
export type Stats = z.infer<typeof Stats>;

/** The most days that are shown; by default two years of days are kept. */
export const maximumShownDays = 731;

const ShareOfVersion = z.object({ version: z.string(), devices: Devices, share: Share });

export const VersionDays = z
  .object({
    hardware_type: HardwareTypeName,
    days: z
      .array(
        z.object({
          day: z.iso.date().check(z.meta({ description: 'In UTC', example: '2026-11-24' })),
          devices: Devices.check(z.meta({ description: 'Whose version of this hardware type was known; shares are of these' })),
          versions: z.array(ShareOfVersion).check(z.meta({ description: `The ${maximumVersions} that most devices ran, those first` })),
          other_versions: z.object({ devices: Devices, share: Share }).check(z.meta({ description: 'All that are not in versions' })),
        }),
      )
      .check(z.meta({ description: 'The earliest first; the last one is today, as it is now. Days before the first report are missing' })),
  })
  .register(z.globalRegistry, { id: 'VersionDays' });
export type VersionDays = z.infer<typeof VersionDays>;

/** 0 of nothing is 0. */
export const shareOf = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
