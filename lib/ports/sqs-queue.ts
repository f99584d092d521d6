import { SendMessageBatchCommand, SQSClient, type SQSClientConfig } from '@aws-sdk/client-sqs';
import { DomainError } from '../errors.ts';
import { checkedDelay, type Queue } from './queue.ts';

/** SQS takes ten messages a request. */
const entriesPerRequest = 10;

/** Without throwOnRequestTimeout the SDK only logs a warning and waits on. */
const requestHandler = { connectionTimeout: 1_000, requestTimeout: 3_000, throwOnRequestTimeout: true };

/** The SDK takes endpoint, region and credentials from the environment (`AWS_ENDPOINT_URL_SQS` on a laptop). */
export const createSqsClient = (config: SQSClientConfig = {}): SQSClient => new SQSClient({ maxAttempts: 3, requestHandler, ...config });

const unavailable = (cause: unknown) =>
  new DomainError('queue.unavailable', 'The queue does not take messages', { cause, retryAfterSeconds: 5 });

export const createSqsQueue = <Message>(queueUrl: string, client: SQSClient = createSqsClient()): Queue<Message> => ({
  async send(messages, { delaySeconds = 0 } = {}) {
    const DelaySeconds = checkedDelay(delaySeconds);
    const entries = messages.map((message, i) => ({ Id: String(i), MessageBody: JSON.stringify(message), DelaySeconds }));
    for (let first = 0; first < entries.length; first += entriesPerRequest) {
      const command = new SendMessageBatchCommand({ QueueUrl: queueUrl, Entries: entries.slice(first, first + entriesPerRequest) });
      const { Failed = [] } = await client.send(command).catch((error: unknown) => {
        throw unavailable(error);
      });
      if (Failed.length > 0) throw unavailable(new Error(`${Failed.length} of a batch refused: ${Failed[0]?.Code}`));
    }
  },
});
