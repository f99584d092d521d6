import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readStackDefinition } from '../../ops/stack-definition.ts';

function definitionOf(yaml: string) {
  const directory = mkdtempSync(join(tmpdir(), 'definition-'));
  const file = join(directory, 'serverless.yml');
  writeFileSync(file, yaml);
  try {
    return readStackDefinition({ file, stage: 'test' });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

it('reads queues, consumers and notifications, and what CloudFormation and Lambda assume where nothing is said', () => {
  const definition = definitionOf(`
service: shop
functions:
  pack: &defaults
    handler: x.handler
    events:
      - http: { method: get, path: /x }
      - sqs:
          arn: !GetAtt OrdersQueue.Arn
          batchSize: 3
          maximumConcurrency: 7
          maximumBatchingWindow: 20
          functionResponseType: ReportBatchItemFailures
  send:
    events:
      - sqs: { arn: !GetAtt PlainQueue.Arn }
      - sqs: { arn: !GetAtt PlainQueue.Arn, enabled: false }
resources:
  Resources:
    Files:
      Type: AWS::S3::Bucket
      Properties:
        BucketName: !Sub \${self:service}-\${AWS::AccountId}
        Tags: !If [A, !Ref B, !Join ['', [a, b]]]
        NotificationConfiguration:
          QueueConfigurations:
            - Event: s3:ObjectCreated:*
              Queue: !GetAtt OrdersQueue.Arn
              Filter: { S3Key: { Rules: [{ Name: prefix, Value: in/ }, { Name: suffix, Value: .bin }] } }
            - { Event: 's3:ObjectCreated:*', Queue: !GetAtt PlainQueue.Arn }
    OrdersQueue:
      Type: AWS::SQS::Queue
      Properties:
        QueueName: \${self:service}-\${sls:stage}-orders
        VisibilityTimeout: 174
        MessageRetentionPeriod: 1209600
        RedrivePolicy: { deadLetterTargetArn: !GetAtt PlainQueue.Arn, maxReceiveCount: 4 }
    PlainQueue: { Type: AWS::SQS::Queue }
`);
  expect(definition).toEqual({
    service: 'shop',
    functions: ['pack', 'send'],
    queues: [
      {
        ...{ logical_id: 'OrdersQueue', short_name: 'orders', name: 'shop-test-orders' },
        ...{ visibility_timeout_seconds: 174, retention_seconds: 1_209_600 },
        redrive: { dead_letter_queue: 'PlainQueue', maximum_receives: 4 },
      },
      {
        ...{ logical_id: 'PlainQueue', short_name: 'PlainQueue', name: 'PlainQueue' },
        ...{ visibility_timeout_seconds: 30, retention_seconds: 345_600 },
      },
    ],
    event_source_mappings: [
      {
        ...{ function_name: 'pack', queue: 'OrdersQueue', batch_size: 3, maximum_concurrency: 7 },
        ...{ maximum_batching_window_seconds: 20, reports_batch_item_failures: true },
      },
      {
        ...{ function_name: 'send', queue: 'PlainQueue', batch_size: 10 },
        ...{ maximum_batching_window_seconds: 0, reports_batch_item_failures: false },
      },
    ],
    bucket_notifications: [
      { bucket: 'Files', queue: 'OrdersQueue', event: 's3:ObjectCreated:*', prefix: 'in/', suffix: '.bin' },
      { bucket: 'Files', queue: 'PlainQueue', event: 's3:ObjectCreated:*', prefix: '', suffix: '' },
    ],
  });
});

it('refuses a consumer of a queue that is not defined', () => {
  expect(() => definitionOf('service: shop\nfunctions: { pack: { events: [{ sqs: { arn: !GetAtt Missing.Arn } }] } }')).toThrow('Missing');
});

it("the project's own serverless.yml: every work queue has a consumer and a dead-letter queue, and waits six times the function's timeout", () => {
  const { queues, event_source_mappings, bucket_notifications } = readStackDefinition();
  const workQueues = queues.filter(({ short_name }) => !short_name.endsWith('-dlq'));
  expect(workQueues.map(({ short_name }) => short_name)).toEqual(
    expect.arrayContaining(['registrations', 'advances', 'dispatches', 'observations']),
  );
  expect(new Set(event_source_mappings.map(({ queue }) => queue))).toEqual(new Set(workQueues.map(({ logical_id }) => logical_id)));
  for (const queue of workQueues) {
    expect(queue.redrive).toBeDefined();
    expect(queue.visibility_timeout_seconds).toBeGreaterThanOrEqual(174);
  }
  for (const mapping of event_source_mappings) expect(mapping.reports_batch_item_failures).toBe(true);
  expect(bucket_notifications).toMatchObject([{ queue: 'RegistrationsQueue', prefix: 'firmwares/' }]);
});
