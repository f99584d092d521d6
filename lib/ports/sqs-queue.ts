import type { SQSClientConfig } from '@aws-sdk/client-sqs';
import { credentialsOfRole } from '../aws-credentials.ts';
import { DomainError } from '../errors.ts';
import { onDemand } from '../on-demand.ts';
import { checkedDelay, type Queue } from './queue.ts';

/** SQS takes ten messages a request. */
const entriesPerRequest = 10;

/** Without throwOnRequestTimeout the SDK only logs a warning and waits on. */
const requestHandler = { connectionTimeout: 1_000, requestTimeout: 3_000, throwOnRequestTimeout: true };

const unavailable = (cause: unknown) =>
  new DomainError('queue.unavailable', 'The queue does not take messages', { cause, retryAfterSeconds: 5 });

/**
 * A queue of SQS; the SDK is loaded with the first message.
 *
 * @param config default: the function's region and role, and the endpoint of `AWS_ENDPOINT_URL_SQS` or `AWS_ENDPOINT_URL`, as on a laptop.
 */
export const createSqsQueue = <Message>(queueUrl: string, config: SQSClientConfig = {}): Queue<Message> => {
  const open = onDemand(async () => {
    const { SQSClient, SendMessageBatchCommand } = await import('../sdk/sqs.ts');
    const client = new SQSClient({ maxAttempts: 3, requestHandler, credentials: async () => credentialsOfRole(), ...config });
    return (Entries: { Id: string; MessageBody: string; DelaySeconds: number }[]) =>
      client.send(new SendMessageBatchCommand({ QueueUrl: queueUrl, Entries }));
  });
  return {
    async send(messages, { delaySeconds = 0 } = {}) {
      const DelaySeconds = checkedDelay(delaySeconds);
      const entries = messages.map((message, i) => ({ Id: String(i), MessageBody: JSON.stringify(message), DelaySeconds }));
      if (entries.length === 0) return;
      const sendBatch = await open();
      for (let first = 0; first < entries.length; first += entriesPerRequest) {
        const { Failed = [] } = await sendBatch(entries.slice(first, first + entriesPerRequest)).catch((error: unknown) => {
          throw unavailable(error);
        });
        if (Failed.length > 0) throw unavailable(new Error(`${Failed.length} of a batch refused: ${Failed[0]?.Code}`));
      }
    },
  };
};
