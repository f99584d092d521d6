import { type Command, Option } from 'commander';
import type { Client, Device, ListDevicesParams, TagDevicesBodyFilter } from '../../api/src/index.ts';
import { moment, percentage, wholeNumber, words } from './command.ts';
import { UsageError } from './exit-codes.ts';
import { firmwareIdOf, firmwareNameHelp } from './firmware-name.ts';
import { given } from './given.ts';
import { updateIdOf } from './update-id.ts';

/** Which devices are meant, in the service's own language. */
export type Filter = TagDevicesBodyFilter;
export type DeviceKind = Device['kind'];

export const kindOption = (description = 'scooter or cabinet') => new Option('--kind <kind>', description).choices(['scooter', 'cabinet']);

/** The conditions that a group can keep. */
export interface LastingFilterOptions {
  kind?: DeviceKind;
  prefix?: string;
  version?: NonNullable<ListDevicesParams['version']>;
  channel?: Device['channel'];
  zone?: string;
  tag?: string[];
  tagAny?: string[];
  tagNone?: string[];
  revision?: string;
  running?: string;
  notRunning?: string;
  olderThan?: string;
  unknownVersion?: string;
  notSeenDays?: number;
  notSeenSince?: string;
  retired?: boolean;
}

export interface FilterOptions extends LastingFilterOptions {
  failedIn?: string;
  percentage?: number;
}

/** What a group is made of. */
export const addLastingFilterOptions = (command: Command, kind: Option = kindOption('only scooters, or only cabinets')): Command =>
  command
    .addOption(kind)
    .option('--prefix <text>', 'whose external id begins so')
    .addOption(
      new Option('--version <generation>', 'scooters of this generation; none: with an IoT of their own').choices(['1', '2', 'none']),
    )
    .addOption(new Option('--channel <channel>', 'reached in this way').choices(['telematics', 'iot']))
    .option('--zone <name>', 'that stand in this zone; none: in no zone')
    .option('--tag <tags>', 'that have this tag, or all of several: night,centre', words)
    .option('--tag-any <tags>', 'that have any of these tags', words)
    .option('--tag-none <tags>', 'that have none of these tags', words)
    .option('--revision <text>', 'whose hardware is of this revision')
    .option('--running <firmware>', `that run this firmware: ${firmwareNameHelp}`)
    .option('--not-running <firmware>', 'that run another one, or nobody knows what they run')
    .option('--older-than <firmware>', 'that run an older version than this firmware')
    .option('--unknown-version <type>', 'that run a version of this hardware type that is in no catalogue')
    .option('--not-seen-days <number>', 'that were not seen for so many days', wholeNumber)
    .option('--not-seen-since <time>', 'that were not seen since then', moment)
    .option('--retired', 'that are retired')
    .option('--no-retired', 'that are not retired');

/** By which devices are chosen; the names are those of the query parameters of the API. */
export const addFilterOptions = (command: Command, kind?: Option): Command =>
  addLastingFilterOptions(command, kind)
    .option('--failed-in <update>', 'that did not succeed in this update')
    .option('--percentage <share>', 'a sample of so many per cent of them', percentage);

interface Reading {
  /** Of which hardware type a version is that stands alone. */
  hardwareType?: () => Promise<string>;
}

/** @throws UsageError for a firmware that is named in a wrong way. */
export const filterOf = async (api: Client, options: FilterOptions, { hardwareType }: Reading = {}): Promise<Filter> => {
  const { kind, prefix, version, channel, zone, revision, unknownVersion, notSeenDays, notSeenSince, retired, percentage: share } = options;
  const { running, notRunning, olderThan, failedIn } = options;
  return given({
    ...{ kind, channel, zone, revision, retired },
    external_id_prefix: prefix,
    version: version && generations[version],
    tags: tagsOf(options),
    running: running === undefined ? undefined : await runningOf(running, '--running', hardwareType),
    not_running: notRunning === undefined ? undefined : await runningOf(notRunning, '--not-running', hardwareType),
    older_than_firmware_id: olderThan === undefined ? undefined : await firmwareIdOf(api, olderThan),
    unknown_version: unknownVersion,
    not_seen_days: notSeenDays,
    not_seen_since: notSeenSince,
    failed_in_update_id: failedIn === undefined ? undefined : updateIdOf(failedIn),
    percentage: share,
  });
};

const generations = { 1: 1, 2: 2, none: 'none' } as const;

const tagsOf = ({ tag: all, tagAny: any, tagNone: none }: FilterOptions): Filter['tags'] =>
  (all ?? any ?? none) && given({ all, any, none });

type Running = NonNullable<Filter['running']>;

const runningOf = async (text: string, option: string, hardwareType: Reading['hardwareType']): Promise<Running> => {
  if (/^\d+$/.test(text)) return { firmware_id: Number(text) };
  const at = text.indexOf('@');
  if (at > 0 && at < text.length - 1) return { hardware_type: text.slice(0, at), version: text.slice(at + 1) };
  if (at === -1 && hardwareType) return { hardware_type: await hardwareType(), version: text };
  throw new UsageError(`${option} ${text}: a hardware type and a version are wanted, vega_mcu@1.4.0`);
};

/** Whether it says more than which kind of devices. */
export const isNarrow = ({ kind: _, ...conditions }: Filter): boolean => Object.keys(conditions).length > 0;

/** As query parameters; what is nested has a dotted name there. */
export const queryOf = ({ version, tags, running, not_running, ...plain }: Filter): ListDevicesParams => ({
  ...plain,
  ...(version !== undefined && { version: `${version}` as const }),
  ...dotted('tags', tags),
  ...dotted('running', running),
  ...dotted('not_running', not_running),
});

const dotted = (name: string, fields: object = {}): Record<string, string> =>
  Object.fromEntries(Object.entries(fields).map(([field, value]) => [`${name}.${field}`, String(value)]));

/** The options that make up this filter: people can read them, and paste them. */
export const describeFilter = (filter: Filter): string => {
  const { kind, external_id_prefix, version, channel, zone, tags, revision, running, not_running, retired } = filter;
  const values: Record<string, string | number | undefined> = {
    ...{ kind, prefix: external_id_prefix, version, channel, zone, revision },
    ...{ tag: tags?.all?.join(), 'tag-any': tags?.any?.join(), 'tag-none': tags?.none?.join() },
    ...{ running: nameOf(running), 'not-running': nameOf(not_running), 'older-than': filter.older_than_firmware_id },
    ...{ 'unknown-version': filter.unknown_version, 'not-seen-days': filter.not_seen_days, 'not-seen-since': filter.not_seen_since },
    ...{ 'failed-in': filter.failed_in_update_id, percentage: filter.percentage },
  };
  const options = Object.entries(values).flatMap(([name, value]) => (value === undefined ? [] : [`--${name} ${quoted(String(value))}`]));
  return [...options, ...(retired === undefined ? [] : [retired ? '--retired' : '--no-retired'])].join(' ') || 'every device';
};

const nameOf = (running: Running | undefined): string | number | undefined =>
  running && ('version' in running ? `${running.hardware_type}@${running.version}` : running.firmware_id);

/** For a shell. */
const quoted = (text: string): string => (/^[\w.,:@%+/-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`);
