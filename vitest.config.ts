import { defineConfig } from 'vitest/config';
import type { Reporter } from 'vitest/node';

/**
 * Prints the result of a run in one plain line. Programs that read the closing lines of test runners know this form; not all of them know
 * Vitest's own. A file that does not load, and an error outside of every test, count as failed.
 */
const closingLine: Reporter = {
  onTestRunEnd(modules, unhandledErrors) {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state: string) => tests.filter((test) => test.result().state === state).length;
    const outsideOfTests = unhandledErrors.length + modules.flatMap((module) => module.errors()).length;
    console.log(`${count('passed')} passed, ${count('failed') + outsideOfTests} failed, ${count('skipped')} skipped`);
  },
};

export default defineConfig({
  test: {
    reporters: ['default', closingLine],
    // Tests wait for PostgreSQL much of their time; one core fewer, the default, leaves half of two idle.
    maxWorkers: '100%',
    // A fifth of a run would go into loading the same modules for each file again. No file leaves anything in them: what a test changes of the
    // process (a variable, a mock) it puts back.
    isolate: false,
    projects: [
      // Simulations and random examples take a second or two, and many times that beside other work.
      { test: { name: 'rules', include: ['test/**/*.rules.test.ts'], testTimeout: 60_000 } },
      {
        test: {
          name: 'database',
          include: ['test/{lib,functions,contract,dev,ops}/**/*.test.ts'],
          exclude: ['test/**/*.rules.test.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          testTimeout: 90_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          globalSetup: ['test/support/e2e-setup.ts'],
          testTimeout: 180_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
