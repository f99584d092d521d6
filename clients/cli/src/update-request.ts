import { type Command, Option } from 'commander';
import type { Client, RequestUpdateBody, UpdateRequest } from '../../api/src/index.ts';
import { collected, decimalNumber, moment, percentage, wholeNumber } from './command.ts';
import { parseCsv } from './csv.ts';
import { type DeviceKind, kindOption } from './device-options.ts';
import { UsageError } from './exit-codes.ts';
import { firmwareIdOf, firmwareNameHelp } from './firmware-name.ts';
import { readText } from './input.ts';

export interface UpdateOptions {
  firmware: string;
  kind: DeviceKind;
  devices?: string[];
  devicesFrom?: string;
  all?: boolean;
  version?: '1' | '2';
  running?: string;
  failedIn?: number;
  percentage?: number;
  perMinute?: number;
  inProgress?: number;
  unavailable?: number;
  window?: string;
  ignoreWindow?: boolean;
  canary?: string | false;
  canaryWait?: number;
  canarySuccess?: number;
  stopAt?: number;
  stopAfter?: number;
  stopAction?: 'ABORT' | 'PAUSE';
  queuedMinutes?: number;
  inProgressMinutes?: number;
  retries?: number;
  start?: string;
  allowDowngrade?: boolean;
  force?: boolean;
  unknownVersion?: 'INCLUDE' | 'EXCLUDE';
  comment?: string;
}

/** What an update is asked for with: the firmware, the devices, and how they are asked. */
export const addUpdateOptions = (command: Command): Command => {
  command.requiredOption('--firmware <firmware>', `which firmware: ${firmwareNameHelp}`);
  addTargetOptions(command);
  return addPaceOptions(command)
    .option('--canary <size>', 'ask so many devices first: a number, or a share like 1%')
    .option('--no-canary', 'ask all alike from the start')
    .option('--canary-wait <minutes>', 'from the first command to the start of the rest', decimalNumber)
    .option('--canary-success <share>', 'share of the canary that has to succeed', percentage)
    .option('--stop-at <share>', 'stop when so many of those that were asked have failed', percentage)
    .option('--stop-after <number>', 'but not before so many have ended', wholeNumber)
    .addOption(new Option('--stop-action <action>', 'what to do then').choices(['ABORT', 'PAUSE']))
    .option('--queued-minutes <minutes>', 'give up on a device that could not be asked for so long', decimalNumber)
    .option(
      '--in-progress-minutes <minutes>',
      'give up on a device that was asked and does not show the version for so long',
      decimalNumber,
    )
    .option('--retries <number>', 'ask a device that failed again, so many times', wholeNumber)
    .option('--window <times>', 'ask devices only within these hours of their local time: 02:00-05:00, or 22:00-04:00 monday,friday')
    .option('--ignore-window', 'also outside the windows of zones, in an emergency; needs --comment')
    .option('--start <time>', 'ask no device before', moment)
    .option('--allow-downgrade', 'also devices that run a newer version; needs --comment')
    .option('--force', 'also devices that failed this firmware three times')
    .addOption(new Option('--unknown-version <what>', 'devices that run what is in no catalogue').choices(['INCLUDE', 'EXCLUDE']))
    .option('--comment <text>', 'what for; shown with the update');
};

const addTargetOptions = (command: Command): Command =>
  command
    .addOption(kindOption().default('scooter'))
    .option('--devices <ids>', 'these devices, separated by commas; may be repeated', collected)
    .option('--devices-from <file>', 'those of a file: an id a line, or CSV with a column external_id; - is standard input')
    .option('--all', 'every device of the kind')
    .addOption(new Option('--version <generation>', 'scooters of this generation').choices(['1', '2']))
    .option('--running <type@version>', 'devices that run this version now')
    .option('--failed-in <update>', 'devices that did not succeed in this update', wholeNumber)
    .option('--percentage <share>', 'a sample of so many per cent of them', percentage);

export const addPaceOptions = (command: Command): Command =>
  command
    .option('--per-minute <number>', 'ask so many devices a minute at most', wholeNumber)
    .option('--in-progress <number>', 'so many at work at one moment at most', wholeNumber)
    .option(
      '--unavailable <share>',
      'so many of the devices of a zone at work at one moment at most, over all updates together',
      percentage,
    );

export const paceOf = ({ perMinute, inProgress, unavailable }: Pick<UpdateOptions, 'perMinute' | 'inProgress' | 'unavailable'>) => ({
  ...(perMinute !== undefined && { maximum_per_minute: perMinute }),
  ...(inProgress !== undefined && { maximum_in_progress: inProgress }),
  ...(unavailable !== undefined && { maximum_unavailable_percentage: unavailable }),
});

export const toUpdateRequest = async (client: Client, options: UpdateOptions): Promise<UpdateRequest> => {
  const { queuedMinutes, inProgressMinutes, retries, start, allowDowngrade, force, unknownVersion, comment } = options;
  const timeouts = {
    ...(queuedMinutes !== undefined && { queued_minutes: queuedMinutes }),
    ...(inProgressMinutes !== undefined && { in_progress_minutes: inProgressMinutes }),
  };
  return {
    targets: await targetsOf(options),
    firmware_id: await firmwareIdOf(client, options.firmware),
    rollout: paceOf(options),
    ...canaryOf(options),
    ...stopRuleOf(options),
    timeouts,
    ...(retries !== undefined && { retry: { number_of_retries: retries } }),
    ...(start !== undefined && { start_dt: start }),
    ...(options.window !== undefined && { window: windowOf(options.window) }),
    ...(options.ignoreWindow && { ignore_window: true }),
    ...(allowDowngrade && { allow_downgrade: true }),
    ...(force && { force: true }),
    ...(unknownVersion && { unknown_version: unknownVersion }),
    ...(comment !== undefined && { comment }),
  };
};

type Window = NonNullable<UpdateRequest['window']>;
type Days = NonNullable<Window['days']>;

const windowOf = (text: string): Window => {
  const [, from = '', until = '', days] = /^(\d\d:\d\d)-(\d\d:\d\d)(?: ([a-z,]+))?$/.exec(text) ?? [];
  if (from === '') throw new UsageError(`--window ${text}: two times of day are wanted, 02:00-05:00`);
  return { from, until, ...(days !== undefined && { days: days.split(',') as Days }) };
};

const targetsOf = async (options: UpdateOptions): Promise<RequestUpdateBody['targets']> => {
  const { kind, all, devices, devicesFrom, version, running, failedIn, percentage: share } = options;
  const filter = {
    ...(version && { version: Number(version) as 1 | 2 }),
    ...(running !== undefined && { running: runningOf(running) }),
    ...(failedIn !== undefined && { failed_in_update_id: failedIn }),
    ...(share !== undefined && { percentage: share }),
  };
  const isFiltered = Object.keys(filter).length > 0;
  if (devices || devicesFrom !== undefined) {
    if (isFiltered || all)
      throw new UsageError('Devices are named, or chosen by --all, --version, --running, --failed-in and --percentage: not both');
    const external_ids = [
      ...(devices ?? []).flatMap((ids) => ids.split(',')),
      ...(devicesFrom === undefined ? [] : await readIds(devicesFrom)),
    ];
    return { kind, external_ids: external_ids.map((id) => id.trim()).filter(Boolean) };
  }
  if (!isFiltered && !all)
    throw new UsageError('Which devices? Say --all, --devices, --devices-from, --version, --running, --failed-in or --percentage');
  return { filter: { kind, ...filter } };
};

const readIds = async (file: string): Promise<string[]> => {
  const rows = parseCsv(await readText(file));
  const column = rows[0]?.cells.indexOf('external_id') ?? -1;
  return column < 0 ? rows.map(({ cells: [id = ''] }) => id) : rows.slice(1).map(({ cells }) => cells[column] ?? '');
};

const runningOf = (text: string) => {
  const at = text.indexOf('@');
  if (at < 1 || at === text.length - 1) throw new UsageError(`--running ${text}: a hardware type and a version are wanted, vega_mcu@1.4.0`);
  return { hardware_type: text.slice(0, at), version: text.slice(at + 1) };
};

const canaryOf = ({ canary, canaryWait, canarySuccess }: UpdateOptions): Pick<UpdateRequest, 'canary'> => {
  const bar = {
    ...(canaryWait !== undefined && { minimum_wait_minutes: canaryWait }),
    ...(canarySuccess !== undefined && { success_percentage: canarySuccess }),
  };
  if (canary === false) return { canary: null };
  if (typeof canary !== 'string') {
    if (Object.keys(bar).length > 0) throw new UsageError('--canary-wait and --canary-success need --canary');
    return {};
  }
  const isShare = canary.trim().endsWith('%');
  return { canary: isShare ? { percentage: percentage(canary), ...bar } : { size: wholeNumber(canary), ...bar } };
};

const stopRuleOf = ({ stopAt, stopAfter, stopAction }: UpdateOptions): Pick<UpdateRequest, 'abort'> => {
  if (stopAt === undefined && stopAfter === undefined && stopAction === undefined) return {};
  if (stopAt === undefined || stopAfter === undefined) throw new UsageError('A stop rule needs --stop-at and --stop-after');
  return { abort: { threshold_percentage: stopAt, minimum_executions: stopAfter, ...(stopAction && { action: stopAction }) } };
};
