import { SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs';
import { DomainError } from '../errors.ts';
import type { Queue } from './queue.ts';

/** SQS takes ten messages a request. */
const entriesPerRequest = 10;

const createClient = () => new SQSClient({ maxAttempts: 3, requestHandler: { connectionTimeout: 1_000, requestTimeout: 3_000 } });

const unavailable = (cause: unknown) =>
  new DomainError('queue.unavailable', 'The queue does not take messages', { cause, retryAfterSeconds: 5 });

/** The SDK takes endpoint, region and credentials from the environment (`AWS_ENDPOINT_URL_SQS` on a laptop). */
export const createSqsQueue = <Message>(queueUrl: string, client: SQSClient = createClient()): Queue<Message> => ({
  async send(messages, { delaySeconds = 0 } = {}) {
    const entries = messages.map((message, i) => ({ Id: String(i), MessageBody: JSON.stringify(message), DelaySeconds: delaySeconds }));
    for (let first = 0; first < entries.length; first += entriesPerRequest) {
      const command = new SendMessageBatchCommand({ QueueUrl: queueUrl, Entries: entries.slice(first, first + entriesPerRequest) });
      const { Failed = [] } = await client.send(command).catch((error: unknown) => {
        throw unavailable(error);
      });
      if (Failed.length > 0) throw unavailable(new Error(`${Failed.length} of a batch refused: ${Failed[0]?.Code}`));
    }
  },
});
