import { AdvancesConfig, ApiConfig, ApprovalConfig, loadConfig } from '../../lib/config.ts';
import { createSqsQueue } from '../../lib/ports/sqs-queue.ts';
import { createApiDeps } from '../../lib/service-deps.ts';
import { createHandler } from './handler.ts';

const config = loadConfig({ ...ApiConfig, ...ApprovalConfig, ...AdvancesConfig }, process.env);

export const handler = createHandler({
  ...createApiDeps(config),
  keysNeedApproval: config.APPROVAL_ABOVE !== null,
  advances: createSqsQueue(config.ADVANCES_QUEUE_URL),
});
