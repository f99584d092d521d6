import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AuthConfig, loadConfig } from '../../lib/config.ts';
import { authenticateBy } from '../../lib/http/authenticate.ts';
import { createLog } from '../../lib/log.ts';
import { createMetrics } from '../../lib/metrics.ts';
import { createHandler } from './handler.ts';

const config = loadConfig(AuthConfig, process.env);

export const handler = createHandler({
  // The build puts them beside the function. Each is read when it is requested, so that the function's start does not wait.
  readAsset: (name) => readFile(join(__dirname, 'assets', name), 'utf8'),
  log: createLog(),
  metrics: createMetrics(),
  authenticate: authenticateBy(config),
});
