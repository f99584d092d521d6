import { type Command, Option } from 'commander';
import { duration } from './command.ts';

/** How long an update is watched, and what counts as success. */
export const addWatchOptions = (command: Command): Command =>
  command
    .option('--timeout <time>', 'watch for so long at most: 90s, 30m, 2h', duration)
    .addOption(
      new Option(
        '--until <what>',
        'watch until the canary has passed, until the end, or until nothing is left to do: an update that stays open never ends by itself',
      ).choices(['canary', 'rest', 'end']),
    )
    .option('--accept-failures <number>', 'so many devices, or a share like 2%, may fail without exit code 6');
