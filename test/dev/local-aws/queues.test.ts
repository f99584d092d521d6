import { mkdtemp, rm } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ReceiveMessageCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { expect, it } from 'vitest';
import { startQueues } from '../../../dev/local-aws/queues.ts';

const definitions = [{ logical_id: 'Work', short_name: 'work', name: 'work', visibility_timeout_seconds: 1800, retention_seconds: 3600 }];
const region = 'eu-central-1';
const clientOf = (endpoint: string) => new SQSClient({ endpoint, region, credentials: { accessKeyId: 'x', secretAccessKey: 'x' } });

it('keeps messages over a restart, and those in flight are visible again at once', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'queues-'));
  const first = await startQueues({ definitions, region, directory });
  const sqs = clientOf(first.endpoint);
  const QueueUrl = first.urls['Work'];
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'in flight' }));
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: 'delayed', DelaySeconds: 900 }));
  const received = await sqs.send(new ReceiveMessageCommand({ QueueUrl }));
  expect(received.Messages?.map(({ Body }) => Body)).toEqual(['in flight']);
  await first.close();

  const second = await startQueues({ definitions, region, directory });
  const again = await clientOf(second.endpoint).send(
    new ReceiveMessageCommand({
      QueueUrl: second.urls['Work'],
      MaxNumberOfMessages: 10,
      MessageSystemAttributeNames: ['ApproximateReceiveCount'],
    }),
  );
  expect(again.Messages).toMatchObject([{ Body: 'in flight', Attributes: { ApproximateReceiveCount: '2' } }]);
  expect(second.depth('Work')).toBe(2);
  await second.close();
  await rm(directory, { recursive: true });
});

it('listens on loopback only', async () => {
  const queues = await startQueues({ definitions, region });
  const { port } = new URL(queues.endpoint);
  const others = Object.values(networkInterfaces()).flatMap(
    (addresses) => addresses?.filter(({ internal, family }) => !internal && family === 'IPv4') ?? [],
  );
  for (const { address } of others) await expect(fetch(`http://${address}:${port}/health`)).rejects.toThrow();
  expect((await fetch(`${queues.endpoint}/health`)).status).toBe(200);
  await queues.close();
});
