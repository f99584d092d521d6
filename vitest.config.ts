import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type Reporter, type TestSpecification } from 'vitest/node';

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

/** Files that take ten seconds and more, the longest first. If one of them came last, the other workers would have nothing to do meanwhile. */
const longFiles = [
  ...['lib/update/walk/stop-rules.rules', 'serverless/bundles.rules'],
  ...['e2e/console/updates', 'e2e/console/every-page', 'e2e/scu', 'e2e/console/fleet-and-firmwares', 'e2e/service', 'e2e/restart'],
  ...['dev/stack/postgres', 'lib/crashes/every-boundary', 'lib/update/walk/rollout', 'lib/update/history/outage'],
  ...['lib/update/history/history', 'lib/update/walk/deadlines', 'lib/audit/audited-changes', 'lib/update/walk/brake'],
  ...['lib/update/walk/pace', 'lib/update/history/ends-as-without-outage', 'lib/update/walk/tell-events', 'dev/stack/offline-problems'],
].map((name) => `/test/${name}.test.ts`);

/** Rules tell soonest what is wrong. Tests end to end wait a lot, and the small files of the database fill up the end. */
const projectsInOrder = ['rules', 'e2e', 'database'];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rankOf = ({ project, moduleId }: TestSpecification): number => {
      const longFile = longFiles.findIndex((name) => moduleId.endsWith(name));
      return projectsInOrder.indexOf(project.name) * 1_000 + (longFile === -1 ? longFiles.length : longFile);
    };
    return (await super.sort(files)).toSorted((a, b) => rankOf(a) - rankOf(b));
  }
}

export default defineConfig({
  test: {
    reporters: ['default', closingLine],
    // Tests wait for PostgreSQL and for stacks much of their time: with a worker more than there are processors, these are seldom idle.
    maxWorkers: availableParallelism() + 1,
    sequence: { sequencer: LongestFirst },
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
          // An emulator of AWS is one for all: its contracts are tried before a deployed stack uses it.
          sequence: { groupOrder: process.env['E2E_ENDPOINT'] === undefined ? 0 : 1 },
        },
      },
    ],
  },
});
