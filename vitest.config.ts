import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Tests wait for PostgreSQL much of their time; one core fewer, the default, leaves half of two idle.
    maxWorkers: '100%',
    projects: [
      // Simulations and random examples take a second or two, and many times that beside other work.
      { test: { name: 'rules', include: ['test/**/*.rules.test.ts'], testTimeout: 60_000 } },
      {
        test: {
          name: 'database',
          include: ['test/{lib,functions,contract,dev}/**/*.test.ts'],
          exclude: ['test/**/*.rules.test.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          testTimeout: 90_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], testTimeout: 180_000, hookTimeout: 120_000, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
