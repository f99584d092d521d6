// The bucket and the queues of serverless.yml, made in the S3 and SQS of an emulator of AWS instead of the embedded ones.
import {
  type BucketLocationConstraint,
  CreateBucketCommand,
  type Event,
  PutBucketCorsCommand,
  PutBucketNotificationConfigurationCommand,
  PutBucketVersioningCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { CreateQueueCommand, GetQueueAttributesCommand, SetQueueAttributesCommand, type SQSClient } from '@aws-sdk/client-sqs';
import type { BucketNotification, QueueDefinition } from '../../ops/stack-definition.ts';

export interface AwsQueues {
  /** By logical id. */
  urls: Record<string, string>;
  arns: Record<string, string>;
  /** How many messages a queue holds, in whatever state, by logical id. */
  depth(queue: string): Promise<number>;
}

/** May be repeated: an existing queue keeps its messages and gets the settings of the definition. */
export async function createQueues(sqs: SQSClient, definitions: QueueDefinition[]): Promise<AwsQueues> {
  const urls: Record<string, string> = {};
  const arns: Record<string, string> = {};
  for (const { logical_id, name } of definitions) {
    const { QueueUrl = '' } = await sqs.send(new CreateQueueCommand({ QueueName: name }));
    const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn'] }));
    urls[logical_id] = QueueUrl;
    arns[logical_id] = Attributes?.['QueueArn'] ?? '';
  }
  for (const { logical_id, visibility_timeout_seconds, retention_seconds, redrive } of definitions) {
    const Attributes = {
      VisibilityTimeout: String(visibility_timeout_seconds),
      MessageRetentionPeriod: String(retention_seconds),
      ...(redrive && {
        RedrivePolicy: JSON.stringify({ deadLetterTargetArn: arns[redrive.dead_letter_queue], maxReceiveCount: redrive.maximum_receives }),
      }),
    };
    await sqs.send(new SetQueueAttributesCommand({ QueueUrl: urls[logical_id], Attributes }));
  }
  return {
    urls,
    arns,
    async depth(queue) {
      const { Attributes = {} } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl: urls[queue], AttributeNames: ['All'] }));
      const states = [
        'ApproximateNumberOfMessages',
        'ApproximateNumberOfMessagesNotVisible',
        'ApproximateNumberOfMessagesDelayed',
      ] as const;
      return states.reduce((sum, state) => sum + Number(Attributes[state] ?? 0), 0);
    },
  };
}

export interface NewBucket {
  bucket: string;
  region: string;
  queues: Pick<AwsQueues, 'urls' | 'arns'>;
  notifications: Omit<BucketNotification, 'bucket'>[];
}

/** Makes a versioned bucket that sends events about new objects to the queues, with the permission to do so. May be repeated. */
export async function createBucket(s3: S3Client, sqs: SQSClient, { bucket, region, queues, notifications }: NewBucket): Promise<void> {
  try {
    const CreateBucketConfiguration = { LocationConstraint: region as BucketLocationConstraint };
    await s3.send(new CreateBucketCommand({ Bucket: bucket, CreateBucketConfiguration }));
  } catch (error) {
    if ((error as Error).name !== 'BucketAlreadyOwnedByYou') throw error;
  }
  await s3.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: 'Enabled' } }));
  const CORSRules = [{ AllowedMethods: ['GET', 'PUT'], AllowedOrigins: ['*'], AllowedHeaders: ['*'], MaxAgeSeconds: 3600 }];
  await s3.send(new PutBucketCorsCommand({ Bucket: bucket, CORSConfiguration: { CORSRules } }));
  for (const { queue } of notifications) {
    const Statement = {
      ...{ Effect: 'Allow', Principal: { Service: 's3.amazonaws.com' }, Action: 'sqs:SendMessage', Resource: queues.arns[queue] },
      Condition: { ArnEquals: { 'aws:SourceArn': `arn:aws:s3:::${bucket}` } },
    };
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [Statement] });
    await sqs.send(new SetQueueAttributesCommand({ QueueUrl: queues.urls[queue], Attributes: { Policy } }));
  }
  const QueueConfigurations = notifications.map(({ event, queue, prefix, suffix }) => {
    const rules = { prefix, suffix };
    const FilterRules = (['prefix', 'suffix'] as const).flatMap((Name) => (rules[Name] ? [{ Name, Value: rules[Name] }] : []));
    return { Events: [event as Event], QueueArn: queues.arns[queue], Filter: { Key: { FilterRules } } };
  });
  await s3.send(new PutBucketNotificationConfigurationCommand({ Bucket: bucket, NotificationConfiguration: { QueueConfigurations } }));
}
