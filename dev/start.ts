// `npm start`: the whole service on this machine, and its main job before your eyes.
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createClient, type RegisterDevicesBodyDevicesItem as NewDevice } from '../clients/api/src/index.ts';
import { readPrivateJson, writePrivateFile } from '../ops/private-file.ts';
import { LockTakenError, takeLock } from '../ops/process-lock.ts';
import { createDisplay, type Display } from './display.ts';
import { inLocalZones, localZones } from './local-zones.ts';
import { type FirmwareFile, runMainJob, type UpdateResult } from './main-job.ts';
import { listIotDevices } from './simulator/iot-fleet.ts';
import { keepLocalAuthor } from './stack/local-author.ts';
import { causeOf, isNoSpaceError, noSpaceLeft } from './stack/part-ended.ts';
import { type Stack, type StackDescription, startStack } from './stack/stack.ts';
import { HELP, parseStartOptions, type StartOptions, UsageError, versionFor } from './start-options.ts';

const DIRECTORY = fileURLToPath(new URL('../.local', import.meta.url));
const FLEET_FILE = join(DIRECTORY, 'fleet.json');
const STACK_FILE = join(DIRECTORY, 'stack.json');
const GENERATED_FIRMWARE_BYTES = 64 * 1024;
const DEFAULT_FLEET: FleetSize = { scooters: 1_000, cabinets: 20 };
/** Scooters that poll the service, as cabinets do. */
const OWN_IOT_SCOOTERS = 10;
/** Of the scooters of a zone, at work at one moment. */
const BUDGET_PERCENTAGE = 10;
/** With --continuous: so many come when the others have been updated. */
const LATER_SCOOTERS = 10;
/** An installation takes four times the median at most; the rest is for the download and the report. */
const deadlineMinutes = (installSeconds: number): number => (4 * installSeconds + 10) / 60;
/** Cabinets are made with a root of author keys: they take only what their author has signed. */
const SIGNED_TYPES = ['cabinet'];
/** As in real life: some devices cannot be updated just now, a few never answer, a few claim a success that is none. */
const ODD_DEVICES = { deferral_rate: 0.03, silent_rate: 0.005, lie_rate: 0.005 };

/** Answers the exit code. */
async function main(): Promise<number> {
  const options = readOptions();
  if (typeof options === 'number') return options;
  const display = createDisplay({ isPlain: options.quiet || !process.stdout.isTTY });
  const interruption = listenForSignals(display);
  const { signal } = interruption;
  let lock: { release(): void } | undefined;
  let stack: Stack | undefined;
  try {
    mkdirSync(DIRECTORY, { recursive: true });
    lock = takeLock(join(DIRECTORY, 'start.lock'));
    const startedAt = performance.now();
    const { scooters: first, cabinets } = chooseFleet({ scooters: options.fleet, cabinets: options.cabinets }, display);
    const scooters = first + (options.continuous ? LATER_SCOOTERS : 0);
    const author = await keepLocalAuthor(DIRECTORY, SIGNED_TYPES);
    const files = readFiles(options, cabinets).map((file) => ({
      ...file,
      ...(SIGNED_TYPES.includes(file.hardware_type) && { sign: author.sign }),
    }));
    writePrivateFile(FLEET_FILE, JSON.stringify({ scooters, cabinets }));
    const behaviour = { failure_rate: options.failureRate, install_seconds: options.installSeconds };
    stack = await startStack({
      directory: DIRECTORY,
      stackFile: STACK_FILE,
      apiPort: options.port,
      aws: options.aws,
      simulator: { ...behaviour, scooters, cabinets: 0, ...ODD_DEVICES },
      iotFleet: { ...behaviour, cabinets, scooters: OWN_IOT_SCOOTERS, author_roots: { cabinet: author.root }, log: tellOwnerOn(display) },
      signal,
      onStep: (text) => display.line(`${text} …`),
      onApi: (url) => display.line(`\nConsole: ${url}/console   (watch the update there; nobody asks for a password)\n`),
      onError: (where, error) =>
        display.line(`${where}: ${firstLine(error)} (tried again; more in ${relative(process.cwd(), join(DIRECTORY, 'functions.log'))})`),
    });
    const known = inLocalZones(await listFleet(stack));
    const fleet = [...known.slice(0, first), ...inLocalZones(stack.iot_devices)];
    const approver_token = await stack.tokenFor({ subject: 'second-person' });
    const api = createClient({ url: stack.api_url, token: stack.token, signal });
    const approver = createClient({ url: stack.api_url, token: approver_token, signal });
    await author.introduce(api, approver);
    const died = stack.died.then((error) => Promise.reject(error));
    died.catch(() => {}); // also when nobody waits for it any more
    const job = { fleet, later: known.slice(first), files, zones: localZones, inProgressMinutes: deadlineMinutes(options.installSeconds) };
    const results = await Promise.race([
      runMainJob({ ...job, api_url: stack.api_url, token: stack.token, approver_token, display, signal }),
      died,
    ]);
    const addsUp = results.every(({ contradictions }) => contradictions.length === 0);
    display.line();
    display.line(`${addsUp ? 'Fleet updated' : 'Finished'} ${((performance.now() - startedAt) / 1_000).toFixed(1)} s after the start.`);
    if (options.once) return addsUp ? 0 : 1;

    printHowToGoOn(stack, fleet, results, display);
    await Promise.race([died, new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))]);
    return 0;
  } catch (error) {
    if (signal.aborted) return interruption.exitCode();
    display.line();
    console.error(explain(stack ? await causeOf(error, stack.died) : error));
    return 1;
  } finally {
    await stack?.stop();
    lock?.release();
    if (signal.aborted) display.line('Stopped.');
  }
}

function readOptions(): StartOptions | number {
  try {
    const options = parseStartOptions(process.argv.slice(2));
    if (!options.help) return options;
    process.stdout.write(HELP);
    return 0;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\nAll options: npm start -- --help`);
    return 2;
  }
}

/** The first signal makes everything stop in order; further signals change nothing. */
function listenForSignals(display: Display): { signal: AbortSignal; exitCode(): number } {
  const controller = new AbortController();
  let exitCode = 0;
  const stop = (name: string, code: number) => {
    if (controller.signal.aborted) return display.line('Still stopping …');
    exitCode = code;
    display.line();
    display.line(`${name}: stopping …`);
    controller.abort(new Error(name));
  };
  process.on('SIGINT', () => stop('Ctrl-C', 130));
  process.on('SIGTERM', () => stop('SIGTERM', 143));
  process.on('SIGHUP', () => stop('The terminal is gone', 129));
  process.stdout.on('error', () => {}); // nobody reads any more; this must not end the process before its children are stopped
  process.stderr.on('error', () => {});
  if (process.env['npm_lifecycle_event'] !== undefined) {
    // When npm is killed by -9, it does not end its children; they must not go on running unnoticed.
    const npm = process.ppid;
    setInterval(() => process.ppid !== npm && !controller.signal.aborted && stop('npm was killed', 137), 500).unref();
  }
  return { signal: controller.signal, exitCode: () => exitCode };
}

function readFiles({ firmware, continuous }: StartOptions, cabinets: number): FirmwareFile[] {
  if (!firmware) {
    const generate = (hardware_type: string, kind: FirmwareFile['kind']): FirmwareFile => ({
      ...{ hardware_type, kind, comment: 'Generated by npm start' },
      bytes: new Uint8Array(randomBytes(GENERATED_FIRMWARE_BYTES)),
    });
    return [
      { ...generate('vega_mcu', 'scooter'), ...budgetOf('scooter'), continuous },
      { ...generate('cabinet', 'cabinet'), ...simulatedOnly('cabinet', cabinets) },
      { ...generate('yandex_iot', 'scooter'), ...simulatedOnly('yandex_iot', cabinets), ...budgetOf('scooter') },
    ];
  }
  const { file, hardwareType, version } = firmware;
  const bytes = readFirmware(file);
  const kind = hardwareType === 'cabinet' ? 'cabinet' : 'scooter';
  return [
    {
      ...{ hardware_type: hardwareType, kind },
      ...budgetOf(kind),
      // Devices that poll are named here, and a continuous update takes no names.
      continuous: continuous && !['cabinet', 'yandex_iot'].includes(hardwareType),
      ...simulatedOnly(hardwareType, cabinets),
      version: version ?? versionFor(file, new Date()),
      filename: basename(file),
      bytes,
      comment: `${basename(file)}, by npm start`,
    },
  ];
}

/** Nobody rides a cabinet. */
const budgetOf = (kind: FirmwareFile['kind']): Pick<FirmwareFile, 'maximum_unavailable_percentage'> =>
  kind === 'scooter' ? { maximum_unavailable_percentage: BUDGET_PERCENTAGE } : {};

function readFirmware(file: string): FirmwareFile['bytes'] {
  let bytes: FirmwareFile['bytes'];
  try {
    bytes = new Uint8Array(readFileSync(file));
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    const why = { ENOENT: 'there is no such file', EISDIR: 'it is a folder', EACCES: 'this user may not read it' }[code];
    throw new UsageError(`--firmware: ${file} cannot be read: ${why ?? (error as Error).message}.`, { cause: error });
  }
  if (bytes.byteLength === 0) throw new UsageError(`--firmware: ${file} is empty.`);
  return bytes;
}

/** For hardware types whose devices poll, only the simulated devices are updated: nobody waits for a real device that somebody tries out here. */
function simulatedOnly(hardwareType: string, cabinets: number): Pick<FirmwareFile, 'external_ids'> {
  const kind = { cabinet: 'cabinet', yandex_iot: 'scooter' }[hardwareType];
  if (kind === undefined) return {};
  const devices = listIotDevices({ cabinets, scooters: OWN_IOT_SCOOTERS }).filter((device) => device.kind === kind);
  return { external_ids: devices.map(({ external_id }) => external_id) };
}

interface FleetSize {
  scooters: number;
  cabinets: number;
}

/** Devices of earlier runs are still registered, so the simulated fleet must not become smaller. */
function chooseFleet(wanted: Record<keyof FleetSize, number | undefined>, display: Display): FleetSize {
  const kept = readPrivateJson<Partial<FleetSize>>(FLEET_FILE) ?? {};
  const choose = (kind: keyof FleetSize): number => {
    const before = kept[kind] ?? 0;
    const asked = wanted[kind] ?? (before || DEFAULT_FLEET[kind]);
    if (asked < before)
      display.line(`The fleet has ${before} ${kind} from earlier runs and keeps them; delete .local/ to start with ${asked}.`);
    return Math.max(before, asked);
  };
  return { scooters: choose('scooters'), cabinets: choose('cabinets') };
}

async function listFleet({ simulator_url, simulator_token }: Stack): Promise<NewDevice[]> {
  const devices: NewDevice[] = [];
  let cursor: string | null = null;
  do {
    const query: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const answer = await fetch(`${simulator_url}/v1/devices?limit=1000${query}`, {
      headers: { authorization: `Bearer ${simulator_token}` },
    });
    const page = (await answer.json()) as { items: NewDevice[]; next_cursor: string | null };
    devices.push(
      ...page.items.map(({ kind, external_id, version = null }) => ({ kind, external_id, version, channel: 'telematics' as const })),
    );
    cursor = page.next_cursor;
  } while (cursor !== null);
  return devices;
}

/** What devices tell their owner: here, whoever looks at the terminal. */
const tellOwnerOn =
  (display: Display) =>
  ({ msg, external_id, text }: Record<string, unknown>): void => {
    if (msg === 'iot_device.tells_owner') display.line(`${external_id}: ${text}`);
  };

function printHowToGoOn(stack: Stack, fleet: NewDevice[], results: UpdateResult[], display: Display): void {
  const scooter = fleet.find(({ kind }) => kind === 'scooter');
  for (const line of [
    '',
    `Console: ${stack.api_url}/console`,
    `API:     ${stack.api_url}   (read it at ${stack.api_url}/docs)`,
    `Stack:   ${relative(process.cwd(), STACK_FILE)} has all addresses, a token and local credentials; the functions log to ${relative(process.cwd(), stack.log_file)}`,
    '',
    'In another terminal, in this folder (npx scu --help shows all):',
    '  npx scu stats',
    '  npx scu zone list',
    `  npx scu device view ${scooter?.external_id}`,
    `  npx scu update view ${results[0]?.id}`,
    '',
    'It stays up until Ctrl-C.',
  ]) {
    display.line(line);
  }
}

function explain(error: unknown): string {
  if (error instanceof LockTakenError) {
    const running = readPrivateJson<StackDescription>(STACK_FILE);
    const where =
      running?.pid === error.pid
        ? `its API is ${running.api_url}, everything else is in ${relative(process.cwd(), STACK_FILE)}`
        : 'it is just starting or stopping';
    return `npm start runs in this folder already, as process ${error.pid}: ${where}. Stop it with Ctrl-C in its terminal, or: kill ${error.pid}`;
  }
  const { code, path, message } = error as NodeJS.ErrnoException;
  if (path !== undefined && (code === 'EACCES' || code === 'EPERM' || code === 'EROFS'))
    return `${path} cannot be used: ${code}. Make it readable and writable for this user.`;
  if (code === 'ENOENT' && path !== undefined) return `There is no file ${path}.`;
  if (isNoSpaceError(error)) return noSpaceLeft(DIRECTORY);
  return message ?? String(error);
}

const firstLine = (error: unknown): string => ((error as Error).message ?? String(error)).split('\n', 1)[0]?.slice(0, 200) ?? '';

process.exit(await main());
