import { BackendConfig, DatabaseConfig, loadConfig } from '../../lib/config.ts';
import { createHttpBackend } from '../../lib/ports/http-backend.ts';
import { createServiceDeps } from '../../lib/service-deps.ts';
import { createHandler } from './handler.ts';

const config = loadConfig({ ...DatabaseConfig, ...BackendConfig }, process.env);

export const handler = createHandler({
  ...createServiceDeps(config),
  backend: createHttpBackend({ url: config.BACKEND_URL, token: config.BACKEND_TOKEN }),
});
