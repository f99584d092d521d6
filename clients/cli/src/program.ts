import { Command } from 'commander';
import manifest from '../package.json' with { type: 'json' };
import { addApiCommand } from './commands/api.ts';
import { addDeviceCommands } from './commands/device.ts';
import { addFirmwareCommands } from './commands/firmware.ts';
import { addKeyCommands } from './commands/key.ts';
import { addObserveCommand } from './commands/observe.ts';
import { addPackageCommands } from './commands/package.ts';
import { addRootCommands } from './commands/root.ts';
import { addSessionCommands } from './commands/session.ts';
import { addStatsCommand } from './commands/stats.ts';
import { addTypeCommands } from './commands/type.ts';
import { addUpdateCommands } from './commands/update.ts';

const afterHelp = `
Exit codes: 0 done, 1 error, 2 wrong usage, 4 login needed, 5 refused, 6 the update ended with failures or was stopped, 7 --timeout, 130 Ctrl-C
Environment: SCU_URL the service, SCU_TOKEN or SCU_TOKEN_FILE the token, NO_COLOR no colours
Beside a running \`npm start\` of the service's repository nothing has to be set.

Examples:
  $ scu login --url https://updates.example.com/prod --issuer https://login.example.com
  $ scu firmware upload build/mcu.bin --type vega_mcu --version 1.5.0
  $ scu update create --firmware vega_mcu@1.5.0 --all --watch`;

/** Every command of `scu`. */
export const createProgram = (): Command => {
  const program = new Command('scu')
    .description('Firmware of a rental fleet: upload versions, update devices, watch them.')
    .version(manifest.version)
    .enablePositionalOptions()
    .showHelpAfterError('All options: add --help')
    .addHelpText('after', afterHelp)
    .exitOverride();
  addSessionCommands(program);
  addFirmwareCommands(program);
  addTypeCommands(program);
  addPackageCommands(program);
  addKeyCommands(program);
  addRootCommands(program);
  addDeviceCommands(program);
  addObserveCommand(program);
  addUpdateCommands(program);
  addStatsCommand(program);
  addApiCommand(program);
  return program;
};
