import { ApiConfig, loadConfig } from '../../lib/config.ts';
import { createApiDeps } from '../../lib/service-deps.ts';
import { createHandler } from './handler.ts';

export const handler = createHandler(createApiDeps(loadConfig(ApiConfig, process.env)));
