import { createSecretsManager, type SecretsManagerOptions } from '../../lib/secrets-manager.ts';

/** Secrets Manager of an emulator: the service's own client, since one of the SDK is not installed. */
export const openSecretsManager = (where: Required<Pick<SecretsManagerOptions, 'endpoint' | 'region' | 'credentials'>>) =>
  createSecretsManager({ ...where, attempts: 1, timeoutMilliseconds: 30_000 });
