import type { Migration } from 'kysely/migration';
import * as createCatalogue from './20261124080000_create_catalogue.ts';
import * as createFleet from './20261124080100_create_fleet.ts';
import * as createUpdates from './20261124080200_create_updates.ts';

/** Every migration by its name, in the order in which they run. A list rather than a folder scan, so that it can be bundled. */
export const migrations: Record<string, Migration> = {
  '20261124080000_create_catalogue': createCatalogue,
  '20261124080100_create_fleet': createFleet,
  '20261124080200_create_updates': createUpdates,
};
