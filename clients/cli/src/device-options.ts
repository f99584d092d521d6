import { type Command, Option } from 'commander';
import { all, type Client, type Device, type ListDevicesParams, type ListDevicesSort } from '../../api/src/index.ts';
import { moment, wholeNumber } from './command.ts';
import { firmwareIdOf, firmwareNameHelp } from './firmware-name.ts';
import { limited } from './limited.ts';
import { sortOption } from './sort-option.ts';

export type DeviceKind = Device['kind'];

export const kindOption = (description = 'scooter or cabinet') => new Option('--kind <kind>', description).choices(['scooter', 'cabinet']);

export interface DeviceConditions {
  kind?: DeviceKind;
  prefix?: string;
  version?: NonNullable<ListDevicesParams['version']>;
  channel?: NonNullable<ListDevicesParams['channel']>;
  runs?: string;
  olderThan?: string;
  unknownVersion?: string;
  notSeenSince?: string;
  sort?: ListDevicesSort;
  limit?: number;
}

/** By which `scu device list` and `export` choose devices. */
export const addDeviceConditions = (command: Command): Command =>
  command
    .addOption(kindOption('only scooters, or only cabinets'))
    .option('--prefix <text>', 'whose external id begins so; in the order of external ids')
    .addOption(new Option('--version <generation>', 'scooters of this generation').choices(['1', '2', 'none']))
    .addOption(new Option('--channel <channel>', 'reached in this way').choices(['telematics', 'iot']))
    .option('--runs <firmware>', `that run this firmware: ${firmwareNameHelp}`)
    .option('--older-than <firmware>', 'that run an older version than this firmware')
    .option('--unknown-version <type>', 'that run a version of this hardware type that is in no catalogue')
    .option('--not-seen-since <time>', 'that were not seen since then', moment)
    .addOption(
      sortOption<ListDevicesSort>([
        ...(['created_dt_ascending', 'created_dt_descending', 'external_id_ascending', 'external_id_descending'] as const),
        ...(['last_seen_on_ascending', 'last_seen_on_descending'] as const),
      ]),
    )
    .option('--limit <number>', 'so many at most', wholeNumber);

export async function* listDevices(api: Client, conditions: DeviceConditions): AsyncGenerator<Device> {
  const { kind, prefix, version, channel, runs, olderThan, unknownVersion, notSeenSince, sort, limit } = conditions;
  const query: ListDevicesParams = {
    ...(kind && { kind }),
    ...(prefix && { external_id_prefix: prefix }),
    ...(version && { version }),
    ...(channel && { channel }),
    ...(runs && { runs_firmware_id: await firmwareIdOf(api, runs) }),
    ...(olderThan && { older_than_firmware_id: await firmwareIdOf(api, olderThan) }),
    ...(unknownVersion && { unknown_version: unknownVersion }),
    ...(notSeenSince && { not_seen_since: notSeenSince }),
    ...(sort && { sort }),
  };
  yield* limited(
    all((page) => api.listDevices({ ...query, ...page })),
    limit,
  );
}
