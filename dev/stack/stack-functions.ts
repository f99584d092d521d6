// The functions of a stack: their settings, and the queues' messages that they are called with.
import { LambdaClient } from '@aws-sdk/client-lambda';
import type { PollIntervals } from '../../lib/ddi/poll-interval.ts';
import type { SigningKeys } from '../../ops/signing-keys.ts';
import type { StackDefinition } from '../../ops/stack-definition.ts';
import { type EventSourceMappings, invokeThroughLambda, startEventSourceMappings } from '../local-aws/event-source-mappings.ts';
import type { LocalIdentity } from './local-identity.ts';
import { REGION, type StackAws } from './stack-aws.ts';
import type { Undo } from './undo.ts';

/** What deploys set as environment variables of the functions (`serverless.yml`). */
export const settingsOfFunctions = (options: {
  database_url: string;
  identity: LocalIdentity;
  backend: { url: string; token: string };
  aws: StackAws;
  signing: SigningKeys;
  pollIntervals: PollIntervals;
  approvalAbove: number | undefined;
}): Record<string, string> => {
  const { identity, backend, aws, signing, pollIntervals, approvalAbove } = options;
  const queue = (logicalId: string): string => aws.queues.urls[logicalId] ?? '';
  return {
    DATABASE_URL: options.database_url,
    JWT_ISSUER: identity.issuer,
    JWT_AUDIENCE: identity.audience,
    JWKS_URL: identity.jwks_url,
    BACKEND_URL: backend.url,
    BACKEND_TOKEN: backend.token,
    FIRMWARE_BUCKET: aws.bucket,
    ADVANCES_QUEUE_URL: queue('AdvancesQueue'),
    VERIFICATIONS_QUEUE_URL: queue('VerificationsQueue'),
    DISPATCHES_QUEUE_URL: queue('DispatchesQueue'),
    OBSERVATIONS_QUEUE_URL: queue('ObservationsQueue'),
    ASSEMBLIES_QUEUE_URL: queue('AssembliesQueue'),
    REGISTRATIONS_QUEUE_URL: queue('RegistrationsQueue'),
    DDI_POLL_SECONDS: String(pollIntervals.idleSeconds),
    DDI_WAITING_POLL_SECONDS: String(pollIntervals.waitingSeconds),
    ...(approvalAbove !== undefined && { APPROVAL_ABOVE: String(approvalAbove) }),
    ...signing,
    AWS_ENDPOINT_URL_S3: aws.endpoints.s3,
    AWS_ENDPOINT_URL_SQS: aws.endpoints.sqs,
    AWS_ACCESS_KEY_ID: aws.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: aws.credentials.secretAccessKey,
    AWS_REGION: REGION,
  };
};

/** Calls the functions with the messages of their queues, until `stop`. */
export function startConsumers(options: {
  definition: StackDefinition;
  aws: StackAws;
  lambda_url: string;
  /** What the names of deployed functions begin with. */
  prefix: string;
  onError: (where: string, error: unknown) => void;
  undo: Undo;
}): EventSourceMappings {
  const { definition, aws, lambda_url, prefix, onError, undo } = options;
  const lambda = new LambdaClient({
    endpoint: lambda_url,
    region: REGION,
    credentials: aws.credentials,
    // One attempt: a repeated invocation would be a second delivery that the queue knows nothing of.
    maxAttempts: 1,
    // Each call has its own connection. A kept connection may be closed by the other end at the moment when it is used again; the call would
    // fail, and its message would stay hidden for minutes.
    requestHandler: { httpAgent: { keepAlive: false, maxSockets: Number.POSITIVE_INFINITY } },
  });
  undo.push(() => lambda.destroy());
  return startEventSourceMappings({
    mappings: definition.event_source_mappings.map((mapping) => ({
      ...mapping,
      queue_url: aws.queues.urls[mapping.queue] ?? '',
      queue_arn: aws.queues.arns[mapping.queue] ?? '',
    })),
    sqs: aws.sqs,
    region: REGION,
    invoke: invokeThroughLambda(lambda, prefix),
    onError,
  });
}
