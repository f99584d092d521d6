import { createAwsService } from '../aws-json.ts';
import type { AwsCredentials } from '../aws-signature.ts';
import { DomainError } from '../errors.ts';
import { checkedDelay, type Queue } from './queue.ts';

/** SQS takes ten messages a request. */
const entriesPerRequest = 10;

const unavailable = (cause: unknown) =>
  new DomainError('queue.unavailable', 'The queue does not take messages', { cause, retryAfterSeconds: 5 });

export interface SqsOptions {
  /** Default: `AWS_ENDPOINT_URL_SQS` or `AWS_ENDPOINT_URL`, as on a laptop, or else where the queue's address leads to. */
  endpoint?: string;
  /** Default: the function's. */
  region?: string;
  /** Default: those of the function's role. */
  credentials?: AwsCredentials;
}

/** A queue of SQS in the function's region. */
export const createSqsQueue = <Message>(queueUrl: string, options: SqsOptions = {}): Queue<Message> => {
  const { AWS_ENDPOINT_URL_SQS, AWS_ENDPOINT_URL, AWS_REGION = '' } = process.env;
  const call = createAwsService({
    service: 'sqs',
    region: options.region ?? AWS_REGION,
    endpoint: options.endpoint ?? AWS_ENDPOINT_URL_SQS ?? AWS_ENDPOINT_URL ?? queueUrl,
    jsonVersion: '1.0',
    attempts: 3,
    timeoutMilliseconds: 3_000,
    keepsConnections: true,
    ...(options.credentials && { credentials: options.credentials }),
  });
  return {
    async send(messages, { delaySeconds = 0 } = {}) {
      const DelaySeconds = checkedDelay(delaySeconds);
      const entries = messages.map((message, i) => ({ Id: String(i), MessageBody: JSON.stringify(message), DelaySeconds }));
      for (let first = 0; first < entries.length; first += entriesPerRequest) {
        const request = { QueueUrl: queueUrl, Entries: entries.slice(first, first + entriesPerRequest) };
        const { Failed = [] } = await call<{ Failed?: { Code: string }[] }>('AmazonSQS.SendMessageBatch', request).catch(
          (error: unknown) => {
            throw unavailable(error);
          },
        );
        if (Failed.length > 0) throw unavailable(new Error(`${Failed.length} of a batch refused: ${Failed[0]?.Code}`));
      }
    },
  };
};
