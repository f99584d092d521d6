import { DatabaseConfig, loadConfig, MigrateConfig } from '../../lib/config.ts';
import { createLog } from '../../lib/log.ts';
import { createSecret } from '../../lib/secret.ts';
import { createHandler } from './handler.ts';

const config = loadConfig({ ...DatabaseConfig, ...MigrateConfig }, process.env);

export const handler = createHandler({
  databaseUrl: config.DATABASE_URL,
  ...(config.DATABASE_PASSWORD && { password: createSecret(config.DATABASE_PASSWORD) }),
  isProxied: config.DATABASE_IS_PROXIED === 'true',
  firstExecutionId: config.FIRST_EXECUTION_ID,
  log: createLog(),
});
