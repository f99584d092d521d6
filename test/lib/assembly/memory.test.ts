import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';
import { benchAssembly } from '../../../bench/assembly.ts';

// Half a minute and 4 GB of disk: a part of the soak, which CI runs. Linux alone tells the highest resident size of a stretch of time.
const isWanted = process.env['SOAK'] !== undefined && existsSync('/proc/self/clear_refs');

it.skipIf(!isWanted)(
  'three parts of 200 MiB become a package in less than 64 MiB above what the idle function has',
  async () => {
    const [figures] = await benchAssembly([600]);
    const above = ((figures?.highest ?? Number.NaN) - (figures?.idle ?? Number.NaN)) / 1024 ** 2;
    console.log(`${above.toFixed(0)} MiB above idle`);
    expect(above).toBeLessThan(64);
  },
  300_000,
);
