import { SQSClient } from '@aws-sdk/client-sqs';
import { afterAll } from 'vitest';
import { startQueues } from '../../dev/local-aws/queues.ts';
import type { QueueDefinition } from '../../ops/stack-definition.ts';

export const region = 'eu-central-1';

/** The SQS that `npm start` uses, in memory, for a test file; gone when the file has ended. */
export const startLocalQueues = async (definitions: QueueDefinition[]) => {
  const queues = await startQueues({ definitions, region });
  const options = { endpoint: queues.endpoint, region, credentials: { accessKeyId: 'local', secretAccessKey: 'local-secret' } };
  const client = new SQSClient({ ...options, maxAttempts: 1 });
  let isRunning = true;
  const stop = async () => {
    if (!isRunning) return;
    isRunning = false;
    client.destroy();
    await queues.close();
  };
  afterAll(stop);
  return { ...queues, client, options, stop };
};
