import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AuthConfig, ConsoleConfig, loadConfig, StorageConfig } from '../../lib/config.ts';
import { authenticateBy } from '../../lib/http/authenticate.ts';
import { createLog } from '../../lib/log.ts';
import { createMetrics } from '../../lib/metrics.ts';
import { createHandler } from './handler.ts';
import { originsOf } from './origins.ts';

const config = loadConfig({ ...AuthConfig, ...ConsoleConfig, ...StorageConfig }, process.env);

export const handler = createHandler({
  settings: {
    issuer: config.JWT_ISSUER,
    audience: config.JWT_AUDIENCE,
    clientId: config.CONSOLE_CLIENT_ID,
    scopes: config.CONSOLE_SCOPES,
  },
  connectsTo: originsOf({
    issuer: config.JWT_ISSUER,
    bucket: config.FIRMWARE_BUCKET,
    others: config.CONSOLE_CONNECTS_TO,
    env: process.env,
  }),
  // The build puts the console's files beside the function. Each is read when it is requested, so that the function's start does not wait.
  readAsset: (name) => readFile(join(__dirname, 'assets', name), 'utf8').catch(absentIfMissing),
  log: createLog(),
  metrics: createMetrics(),
  authenticate: authenticateBy(config),
});

function absentIfMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}
