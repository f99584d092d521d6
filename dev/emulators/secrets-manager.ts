import { type AwsServiceOptions, createAwsService } from '../../lib/aws-json.ts';

/** Secrets Manager of an emulator, for which no SDK client is worth installing. */
export const createSecretsManager = (where: Required<Pick<AwsServiceOptions, 'endpoint' | 'region' | 'credentials'>>) =>
  createAwsService({ ...where, service: 'secretsmanager', jsonVersion: '1.1', attempts: 1, timeoutMilliseconds: 30_000 });
