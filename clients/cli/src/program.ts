import { Command } from 'commander';
import manifest from '../package.json' with { type: 'json' };

type AddCommands = (program: Command) => void;

/** The first words of commands with their summaries, and what adds these commands: each is loaded only when it is called, which starts quicker. */
const commands: readonly { words: Record<string, string>; load: () => Promise<AddCommands> }[] = [
  {
    words: {
      login: 'log in to a service',
      logout: 'forget the login of a service',
      whoami: 'show the service, your name there, and what your token allows',
    },
    load: async () => (await import('./commands/session.ts')).addSessionCommands,
  },
  {
    words: { firmware: 'the catalogue: every version that was ever made' },
    load: async () => (await import('./commands/firmware.ts')).addFirmwareCommands,
  },
  {
    words: { type: 'hardware types: the components that have firmware of their own' },
    load: async () => (await import('./commands/type.ts')).addTypeCommands,
  },
  {
    words: { package: 'packages that are made of several firmwares (.swu)' },
    load: async () => (await import('./commands/package.ts')).addPackageCommands,
  },
  { words: { key: 'keys of those who make firmware' }, load: async () => (await import('./commands/key.ts')).addKeyCommands },
  { words: { root: 'roots: which author keys devices believe' }, load: async () => (await import('./commands/root.ts')).addRootCommands },
  {
    words: { device: 'the fleet: scooters and cabinets, and what they run' },
    load: async () => (await import('./commands/device.ts')).addDeviceCommands,
  },
  {
    words: { zone: 'zones: where devices stand, when they may be asked, and how many of them at once' },
    load: async () => (await import('./commands/zone.ts')).addZoneCommands,
  },
  {
    words: { group: 'groups: conditions that choose devices, under a name' },
    load: async () => (await import('./commands/group.ts')).addGroupCommands,
  },
  {
    words: { observe: 'ask devices what they run now; without ids and conditions: all of them' },
    load: async () => (await import('./commands/observe.ts')).addObserveCommand,
  },
  {
    words: { update: 'updates: devices to a version, at a pace, with a brake' },
    load: async () => (await import('./commands/update.ts')).addUpdateCommands,
  },
  {
    words: { stats: 'the fleet in numbers: versions, update times, devices not seen' },
    load: async () => (await import('./commands/stats.ts')).addStatsCommand,
  },
  {
    words: { audit: 'what people and programs have changed, the latest first' },
    load: async () => (await import('./commands/audit.ts')).addAuditCommand,
  },
  {
    words: { api: 'any operation of the API; answers what the service answers' },
    load: async () => (await import('./commands/api.ts')).addApiCommand,
  },
];

export const completionSummary = 'print what makes a shell complete commands and options';

const afterHelp = `
Exit codes: 0 done, 1 error, 2 wrong usage, 4 login needed, 5 refused, 6 the update ended with failures or was stopped, 7 --timeout, 130 Ctrl-C
Environment: SCU_URL the service, SCU_TOKEN or SCU_TOKEN_FILE the token, NO_COLOR no colours
Beside a running \`npm start\` of the service's repository nothing has to be set.

Examples:
  $ scu login --url https://updates.example.com/prod --issuer https://login.example.com
  $ scu firmware upload build/mcu.bin --type vega_mcu --version 1.5.0
  $ scu update create --firmware vega_mcu@1.5.0 --all --watch`;

/** `scu` with the command that begins with `word`; the others are there by name and summary only. Without a word, with every command. */
export const createProgram = async (word?: string): Promise<Command> => {
  const program = new Command('scu')
    .description('Firmware of a rental fleet: upload versions, update devices, watch them.')
    .version(manifest.version)
    .enablePositionalOptions()
    .showHelpAfterError('All options: add --help')
    .addHelpText('after', afterHelp)
    .configureHelp({ subcommandTerm: (command) => command.name() })
    .exitOverride();
  for (const { words, load } of commands) {
    if (word === undefined || Object.hasOwn(words, word)) (await load())(program);
    else for (const [name, summary] of Object.entries(words)) program.command(name).summary(summary);
  }
  return program;
};
