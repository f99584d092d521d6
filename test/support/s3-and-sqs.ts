// A bucket and queues for a contract test: in the S3 and SQS that `npm start` uses, or in the emulator that E2E_ENDPOINT names.
import { randomUUID } from 'node:crypto';
import { S3Client } from '@aws-sdk/client-s3';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll } from 'vitest';
import { createBucket, createQueues } from '../../dev/local-aws/aws-resources.ts';
import type { QueueDefinition } from '../../ops/stack-definition.ts';
import { emulatorEndpoint } from './emulator-gaps.ts';
import { region, startLocalQueues } from './local-queues.ts';
import { startLocalS3 } from './local-s3.ts';

const onEmulator = {
  ...{ region, endpoint: emulatorEndpoint ?? '', maxAttempts: 1 },
  credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
};

/** Empty queues under names of their own. */
export const openQueues = async (definitions: QueueDefinition[]) => {
  if (!emulatorEndpoint) {
    const { urls, arns, client, options, stop, depth } = await startLocalQueues(definitions);
    return { urls, arns, client, options, stop, depth: async (queue: string) => depth(queue) };
  }
  const client = new SQSClient(onEmulator);
  const stop = async () => client.destroy();
  afterAll(stop);
  const renamed = definitions.map((definition) => ({ ...definition, name: `${definition.name}-${randomUUID()}` }));
  return { ...(await createQueues(client, renamed)), client, options: onEmulator, stop };
};

/** An empty versioned bucket whose events go to the queue, if one is named. */
export const openBucket = async (events?: { queues: Awaited<ReturnType<typeof openQueues>>; queue: string }) => {
  if (!emulatorEndpoint) {
    const bucket = 'firmwares-of-test';
    if (!events) return { ...(await startLocalS3({ bucket })), bucket };
    const QueueUrl = events.queues.urls[events.queue];
    const onObjectCreated = async (event: unknown) =>
      void (await events.queues.client.send(new SendMessageCommand({ QueueUrl, MessageBody: JSON.stringify(event) })));
    return { ...(await startLocalS3({ bucket, onObjectCreated })), bucket };
  }
  const bucket = `firmwares-${randomUUID()}`;
  const checksums = { requestChecksumCalculation: 'WHEN_REQUIRED', responseChecksumValidation: 'WHEN_REQUIRED' } as const;
  const client = new S3Client({ ...onEmulator, ...checksums, forcePathStyle: true });
  const stop = async () => client.destroy();
  afterAll(stop);
  const notifications = events ? [{ event: 's3:ObjectCreated:*', queue: events.queue, prefix: 'firmwares/', suffix: '' }] : [];
  const queues = events?.queues ?? { urls: {}, arns: {} };
  const sqs = events?.queues.client ?? new SQSClient(onEmulator);
  await createBucket(client, sqs, { bucket, region, queues, notifications });
  return { bucket, client, options: onEmulator, stop };
};
