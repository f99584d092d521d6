// S3 and SQS of a stack: our own, in this process, or those of an emulator of AWS.
import { join } from 'node:path';
import { S3Client } from '@aws-sdk/client-s3';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import type { BucketNotification, StackDefinition } from '../../ops/stack-definition.ts';
import { createBucket, createQueues } from '../local-aws/aws-resources.ts';
import { startQueues } from '../local-aws/queues.ts';
import { startS3Server } from '../local-aws/s3-server.ts';
import type { StackSettings } from './stack-settings.ts';
import type { Undo } from './undo.ts';

export const REGION = 'eu-central-1';

export interface StackAws {
  sqs: SQSClient;
  queues: {
    /** By logical id. */
    urls: Record<string, string>;
    arns: Record<string, string>;
    depth(queue: string): number | Promise<number>;
  };
  bucket: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
  endpoints: { s3: string; sqs: string };
}

interface AwsOptions {
  definition: StackDefinition;
  bucket: string;
  undo: Undo;
}

/** S3 of our own and fauxqs. Objects are kept in `directory`, messages in `queueDirectory` or, without it, in memory. */
export async function startEmbeddedAws(
  options: AwsOptions & { settings: StackSettings; directory: string; queueDirectory: string | undefined },
): Promise<StackAws> {
  const { definition, bucket, undo, settings, directory, queueDirectory } = options;
  const credentials = { accessKeyId: settings.access_key_id, secretAccessKey: settings.secret_access_key };
  const queues = await startQueues({
    definitions: definition.queues,
    region: REGION,
    port: settings.ports.sqs,
    ...(queueDirectory !== undefined && { directory: queueDirectory }),
  });
  undo.push(queues.close);
  const sqs = new SQSClient({ endpoint: queues.endpoint, region: REGION, credentials });
  undo.push(() => sqs.destroy());
  const s3 = await startS3Server({
    directory: join(directory, 's3'),
    port: settings.ports.s3,
    credentials,
    buckets: [bucket],
    onObjectCreated: async (event, _bucket, key) => {
      for (const { queue } of definition.bucket_notifications.filter(isFor(key))) {
        await sqs.send(new SendMessageCommand({ QueueUrl: queues.urls[queue], MessageBody: JSON.stringify(event) }));
      }
    },
  });
  undo.push(s3.close);
  return { sqs, queues, bucket, credentials, endpoints: { s3: s3.url, sqs: queues.endpoint } };
}

/** Checks only that something answers by HTTP; whether it is the right emulator shows later. */
export async function expectAnswer(endpoint: string): Promise<void> {
  try {
    await (await fetch(endpoint, { signal: AbortSignal.timeout(10_000) })).body?.cancel();
  } catch (cause) {
    throw new Error(`Nothing answers at ${endpoint}. Start the emulator first (docs/local.md), or leave out --aws.`, { cause });
  }
}

/** S3 and SQS of LocalStack or MiniStack: the bucket with its notifications and the queues, as serverless.yml has them. */
export async function useEmulator({ definition, bucket, undo, endpoint }: AwsOptions & { endpoint: string }): Promise<StackAws> {
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  const sqs = new SQSClient({ endpoint, region: REGION, credentials });
  undo.push(() => sqs.destroy());
  const s3 = new S3Client({ endpoint, region: REGION, credentials, forcePathStyle: true });
  try {
    const queues = await createQueues(sqs, definition.queues);
    await createBucket(s3, sqs, { bucket, region: REGION, queues, notifications: definition.bucket_notifications });
    return { sqs, queues, bucket, credentials, endpoints: { s3: endpoint, sqs: endpoint } };
  } catch (cause) {
    throw new Error(`S3 and SQS at ${endpoint} cannot be used: ${(cause as Error).message || (cause as { code?: string }).code}`, {
      cause,
    });
  } finally {
    s3.destroy();
  }
}

const isFor =
  (key: string) =>
  ({ prefix, suffix }: BucketNotification) =>
    key.startsWith(prefix) && key.endsWith(suffix);
