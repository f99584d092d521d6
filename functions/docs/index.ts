import style from 'swagger-ui-dist/swagger-ui.css' with { type: 'text' };
import bundle from 'swagger-ui-dist/swagger-ui-bundle.js' with { type: 'text' };
import { AuthConfig, loadConfig } from '../../lib/config.ts';
import { authenticateBy } from '../../lib/http/authenticate.ts';
import { createLog } from '../../lib/log.ts';
import { createMetrics } from '../../lib/metrics.ts';
import { createHandler } from './handler.ts';

const config = loadConfig(AuthConfig, process.env);

export const handler = createHandler({
  swaggerUi: { bundle, style },
  log: createLog(),
  metrics: createMetrics(),
  authenticate: authenticateBy(config),
});
