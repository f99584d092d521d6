import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { en } from 'zod/locales';
import * as z from 'zod/mini';
import { FileName } from '../lib/firmware/firmware.ts';
import { FirmwareVersion } from '../lib/firmware/version.ts';
import { numberOf } from './number-option.ts';
import { fittedHardwareTypes } from './simulator/fleet.ts';
import { hardwareTypesThatPoll } from './simulator/iot-fleet.ts';

z.config(en());

const HARDWARE_TYPES = [...new Set([...Object.values(fittedHardwareTypes).flat(), ...Object.values(hardwareTypesThatPoll)])];

export const HELP = `Usage: npm start -- [options]

Starts the whole service on this machine (PostgreSQL, S3, SQS, the API, a simulated fleet), uploads firmware,
updates the fleet before your eyes, and stays up until Ctrl-C. Data is kept in .local/; delete that folder to start afresh.

  --firmware FILE          update the fleet with this file instead of generated ones
  --hardware-type TYPE     what the file is for: vega_mcu, vega_gsm, audio_lock, audio_locate, audio_unlock,
                           audio_battery_low, cabinet, yandex_iot; needed with --firmware
  --firmware-version TEXT  its version (default: from the file's name and the time)
  --fleet N                number of scooters (default 1000); 10 more have an IoT of their own and talk to the
                           service directly. A fleet never gets smaller
  --cabinets N             number of cabinets (default 20), which talk to the service directly, too
  --failure-rate RATE      share of installations that fail, 0 to 1 (default 0.02)
  --install-seconds N      median time of an installation (default 1)
  --port N                 port of the API (default: any free one, the same one next time)
  --aws ADDRESS            S3 and SQS of an emulator, for example LocalStack's http://127.0.0.1:4566, instead of the embedded
                           ones; files uploaded there stay there, so delete .local/ when you change from one to the other
  --continuous             keep the update of the scooters open; ten scooters on an older version come later, and are taken in
  --once                   end after the summary; exit code 0 only if the updates ended and the numbers add up
  --quiet                  plain lines instead of a progress bar, as without a terminal
  --help                   this text
`;

export interface StartOptions {
  help: boolean;
  continuous: boolean;
  once: boolean;
  quiet: boolean;
  fleet: number | undefined;
  cabinets: number | undefined;
  failureRate: number;
  installSeconds: number;
  port: number | undefined;
  /** Base address of an emulator of AWS, without a slash at its end. */
  aws: string | undefined;
  firmware: { file: string; hardwareType: string; version: string | undefined } | undefined;
}

/** A wrong command line; the message says what is wrong with it. */
export class UsageError extends Error {
  override name = 'UsageError';
}

export function parseStartOptions(args: string[]): StartOptions {
  const { values } = parse(args);
  const number = (
    name: 'fleet' | 'cabinets' | 'failure-rate' | 'install-seconds' | 'port',
    isValid: (value: number) => boolean,
    wanted: string,
  ) => {
    const text = values[name];
    if (text === undefined) return undefined;
    const value = numberOf(text);
    if (value === undefined || !isValid(value)) throw new UsageError(`--${name} must be ${wanted}, not "${text}".`);
    return value;
  };
  const isWhole = (least: number, most: number) => (value: number) => Number.isInteger(value) && value >= least && value <= most;

  return {
    help: values.help,
    continuous: values.continuous,
    once: values.once,
    quiet: values.quiet,
    fleet: number('fleet', isWhole(1, 1_000_000), 'a whole number from 1 to 1000000'),
    cabinets: number('cabinets', isWhole(1, 1_000), 'a whole number from 1 to 1000'),
    failureRate: number('failure-rate', (value) => value >= 0 && value <= 1, 'a number from 0 to 1') ?? 0.02,
    installSeconds: number('install-seconds', (value) => value >= 0 && value <= 86_400, 'a number of seconds from 0 to 86400') ?? 1,
    port: number('port', isWhole(1, 65_535), 'a port from 1 to 65535'),
    aws: address(values.aws),
    firmware: firmwareOf(values),
  };
}

/** Refuses, before anything starts, what the service would refuse later. */
function firmwareOf(values: ReturnType<typeof parse>['values']): StartOptions['firmware'] {
  const { firmware: file, 'hardware-type': hardwareType, 'firmware-version': version } = values;
  if (file === undefined) {
    if (hardwareType !== undefined) throw new UsageError('--hardware-type needs --firmware FILE.');
    if (version !== undefined) throw new UsageError('--firmware-version needs --firmware FILE.');
    return undefined;
  }
  if (hardwareType === undefined) throw new UsageError('--firmware needs --hardware-type: what is the file for?');
  if (!HARDWARE_TYPES.includes(hardwareType))
    throw new UsageError(`--hardware-type must be one that the simulated fleet has (${HARDWARE_TYPES.join(', ')}), not "${hardwareType}".`);
  expect(FileName, basename(file), `--firmware: the name "${basename(file)}" of the file`);
  if (version !== undefined) expect(FirmwareVersion, version, `--firmware-version "${version}"`);
  return { file, hardwareType, version };
}

/** A version made of the file's name and the time. Only ASCII characters of the name are used, so that it can be cut anywhere. */
export function versionFor(file: string, now: Date): string {
  const time = now.toISOString().slice(0, 19).replaceAll(/[-:]/g, '');
  return `${basename(file)
    .replaceAll(/[^\w.+-]+/g, '_')
    .slice(0, 44)}-${time}`;
}

function expect(schema: typeof FileName | typeof FirmwareVersion, text: string, what: string): void {
  const { error } = schema.safeParse(text);
  if (error) throw new UsageError(`${what}: ${error.issues.map(({ message }) => message).join('; ')}`);
}

function address(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  if (!URL.canParse(text) || !/^https?:/.test(text))
    throw new UsageError(`--aws must be an address such as http://127.0.0.1:4566, not "${text}".`);
  return new URL(text).origin;
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        firmware: { type: 'string' },
        'hardware-type': { type: 'string' },
        'firmware-version': { type: 'string' },
        fleet: { type: 'string' },
        cabinets: { type: 'string' },
        'failure-rate': { type: 'string' },
        'install-seconds': { type: 'string' },
        port: { type: 'string' },
        aws: { type: 'string' },
        continuous: { type: 'boolean', default: false },
        once: { type: 'boolean', default: false },
        quiet: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}
