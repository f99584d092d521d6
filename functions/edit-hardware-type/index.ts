import { ApiConfig, ApprovalConfig, loadConfig } from '../../lib/config.ts';
import { createApiDeps } from '../../lib/service-deps.ts';
import { createHandler } from './handler.ts';

const config = loadConfig({ ...ApiConfig, ...ApprovalConfig }, process.env);

export const handler = createHandler({ ...createApiDeps(config), keysNeedApproval: config.APPROVAL_ABOVE !== null });
