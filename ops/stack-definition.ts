// What serverless.yml says about queues, their consumers and the bucket's notifications, for stacks on this machine.
import { readServerlessFile } from './serverless-file.ts';

export interface QueueDefinition {
  logical_id: string;
  /** The last part of the queue's name: `registrations`, `registrations-dlq`. */
  short_name: string;
  name: string;
  visibility_timeout_seconds: number;
  retention_seconds: number;
  redrive?: { dead_letter_queue: string; maximum_receives: number };
}

export interface EventSourceMapping {
  function_name: string;
  /** Logical id of the queue. */
  queue: string;
  batch_size: number;
  maximum_concurrency?: number;
  maximum_batching_window_seconds: number;
  reports_batch_item_failures: boolean;
}

export interface BucketNotification {
  /** Logical ids of the bucket and of the queue. */
  bucket: string;
  queue: string;
  event: string;
  prefix: string;
  suffix: string;
}

export interface StackDefinition {
  service: string;
  functions: string[];
  queues: QueueDefinition[];
  event_source_mappings: EventSourceMapping[];
  bucket_notifications: BucketNotification[];
}

interface QueueConfiguration {
  Event: string;
  Queue: string;
  Filter?: { S3Key: { Rules: { Name: string; Value: string }[] } };
}

/** Throws when a consumer or a notification names a queue that is not defined. */
export function readStackDefinition({ file, stage = 'offline' }: { file?: string; stage?: string } = {}): StackDefinition {
  const yaml = readServerlessFile(file);
  const resources = Object.entries(yaml.resources);
  const text = (value: string) => value.replaceAll(/\$\{self:service\}/g, yaml.service).replaceAll(/\$\{sls:stage\}/g, stage);

  const queues = resources
    .filter(([, { Type }]) => Type === 'AWS::SQS::Queue')
    .map(([logicalId, { Properties = {} }]): QueueDefinition => {
      const name = text(Properties.QueueName ?? logicalId);
      const redrive: { deadLetterTargetArn: string; maxReceiveCount: number } | undefined = Properties.RedrivePolicy;
      return {
        logical_id: logicalId,
        short_name: name.replace(`${yaml.service}-${stage}-`, ''),
        name,
        visibility_timeout_seconds: Properties.VisibilityTimeout ?? 30, // SQS's own defaults
        retention_seconds: Properties.MessageRetentionPeriod ?? 345_600,
        ...(redrive && {
          redrive: { dead_letter_queue: logicalIdOf(redrive.deadLetterTargetArn), maximum_receives: redrive.maxReceiveCount },
        }),
      };
    });

  const mappings = Object.entries(yaml.functions).flatMap(([functionName, { events = [] }]) =>
    events.flatMap(({ sqs }): EventSourceMapping[] =>
      !sqs || sqs.enabled === false
        ? []
        : [
            {
              function_name: functionName,
              queue: logicalIdOf(sqs.arn),
              batch_size: sqs.batchSize ?? 10, // Lambda's own defaults
              maximum_batching_window_seconds: sqs.maximumBatchingWindow ?? 0,
              reports_batch_item_failures: sqs.functionResponseType === 'ReportBatchItemFailures',
              ...(sqs.maximumConcurrency !== undefined && { maximum_concurrency: sqs.maximumConcurrency }),
            },
          ],
    ),
  );

  const notifications = resources.flatMap(([bucket, { Properties }]) =>
    ((Properties?.NotificationConfiguration?.QueueConfigurations ?? []) as QueueConfiguration[]).map(({ Event, Queue, Filter }) => {
      const rule = (wanted: string) => Filter?.S3Key.Rules.find(({ Name }) => Name.toLowerCase() === wanted)?.Value ?? '';
      return { bucket, queue: logicalIdOf(Queue), event: Event, prefix: rule('prefix'), suffix: rule('suffix') };
    }),
  );

  const known = new Set(queues.map(({ logical_id }) => logical_id));
  const named = [
    ...mappings.map(({ queue }) => queue),
    ...notifications.map(({ queue }) => queue),
    ...queues.flatMap(({ redrive }) => redrive?.dead_letter_queue ?? []),
  ];
  const unknown = named.filter((queue) => !known.has(queue));
  if (unknown.length > 0) throw new Error(`${file ?? 'serverless.yml'} names queues that it does not define: ${unknown.join(', ')}`);

  return {
    service: yaml.service,
    functions: Object.keys(yaml.functions),
    queues,
    event_source_mappings: mappings,
    bucket_notifications: notifications,
  };
}

const logicalIdOf = (arn: string): string => arn.replace(/\.Arn$/, '');
