import { type Command, Option } from 'commander';
import type { Client, UpdateRequest } from '../../api/src/index.ts';
import { budgetHelp, decimalNumber, moment, percentage, wholeNumber } from './command.ts';
import { UsageError } from './exit-codes.ts';
import { firmwareIdOf, firmwareNameHelp } from './firmware-name.ts';
import { updateIdOf } from './update-id.ts';
import { addTargetOptions, type TargetOptions, targetsOf } from './update-targets.ts';
import { maintenanceWindow, windowHelp } from './window-option.ts';

export interface UpdateOptions extends TargetOptions {
  firmware: string;
  perMinute?: number;
  inProgress?: number;
  budget?: number;
  window?: NonNullable<UpdateRequest['window']>;
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
  supersede?: boolean;
  excludeUnknown?: boolean;
  continuous?: boolean;
  replaces?: string;
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
    .option('--window <times>', `ask devices only within these hours of their local time: ${windowHelp}`, maintenanceWindow)
    .option('--ignore-window', 'also outside the windows of zones, in an emergency; needs --comment')
    .option('--start <time>', 'ask no device before', moment)
    .option('--allow-downgrade', 'also devices that run a newer version; needs --comment')
    .option('--force', 'also devices that failed this firmware three times')
    .option('--supersede', 'take the place of older updates: devices that they have not asked yet take part in this one')
    .option('--exclude-unknown', 'no devices that run what is in no catalogue')
    .option('--continuous', 'stay open, and take in devices that come to match later')
    .option('--replaces <update>', 'with --continuous: the continuous update that ends when this one begins')
    .option('--comment <text>', 'what for; shown with the update');
};

export const addPaceOptions = (command: Command): Command =>
  command
    .option('--per-minute <number>', 'ask so many devices a minute at most', wholeNumber)
    .option('--in-progress <number>', 'so many at work at one moment at most', wholeNumber)
    .option('--budget <share>', budgetHelp, percentage);

export const paceOf = ({ perMinute, inProgress, budget }: Pick<UpdateOptions, 'perMinute' | 'inProgress' | 'budget'>) => ({
  ...(perMinute !== undefined && { maximum_per_minute: perMinute }),
  ...(inProgress !== undefined && { maximum_in_progress: inProgress }),
  ...(budget !== undefined && { maximum_unavailable_percentage: budget }),
});

export const toUpdateRequest = async (client: Client, options: UpdateOptions): Promise<UpdateRequest> => {
  const { queuedMinutes, inProgressMinutes, retries, start, allowDowngrade, force, excludeUnknown, comment } = options;
  const timeouts = {
    ...(queuedMinutes !== undefined && { queued_minutes: queuedMinutes }),
    ...(inProgressMinutes !== undefined && { in_progress_minutes: inProgressMinutes }),
  };
  return {
    targets: await targetsOf(client, options, { hardwareType: () => hardwareTypeOf(client, options.firmware) }),
    firmware_id: await firmwareIdOf(client, options.firmware),
    rollout: paceOf(options),
    ...canaryOf(options),
    ...stopRuleOf(options),
    timeouts,
    ...(retries !== undefined && { retry: { number_of_retries: retries } }),
    ...(start !== undefined && { start_dt: start }),
    ...(options.window && { window: options.window }),
    ...(options.ignoreWindow && { ignore_window: true }),
    ...(allowDowngrade && { allow_downgrade: true }),
    ...(force && { force: true }),
    ...(options.supersede && { supersede: true }),
    ...(excludeUnknown && { unknown_version: 'EXCLUDE' as const }),
    ...(options.continuous && { continuous: true }),
    ...(options.replaces !== undefined && { replaces_update_id: updateIdOf(options.replaces) }),
    ...(comment !== undefined && { comment }),
  };
};

/** Of a firmware that a person has named. */
const hardwareTypeOf = async (client: Client, firmware: string): Promise<string> =>
  firmware.includes('@')
    ? firmware.slice(0, firmware.indexOf('@'))
    : (await client.getFirmware(await firmwareIdOf(client, firmware))).hardware_type;

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
