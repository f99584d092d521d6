// `npm run redrive -- --stage STAGE --queue NAME`: moves the messages of a dead-letter queue back into its queue.
import { parseArgs } from 'node:util';
import {
  DeleteMessageBatchCommand,
  GetQueueUrlCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { readStackDefinition } from './stack-definition.ts';

/**
 * Moves the messages that the dead-letter queue has now; a message that fails again meanwhile is left there. Each message is sent before it is
 * deleted, so after an interruption it may be in both queues. Consumers tolerate that (lib/update/README.md).
 *
 * @returns how many were moved.
 */
export async function redrive(sqs: SQSClient, { from, to }: { from: string; to: string }): Promise<number> {
  const moved = new Set<string | undefined>();
  for (;;) {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl: from, MaxNumberOfMessages: 10, WaitTimeSeconds: 1, VisibilityTimeout: 30 }),
    );
    const fresh = Messages.filter(({ MessageId }) => !moved.has(MessageId));
    if (fresh.length === 0) return moved.size;
    const entries = <Entry>(entry: (message: Message) => Entry) =>
      fresh.map((message, index) => ({ Id: String(index), ...entry(message) }));
    const { Failed = [] } = await sqs.send(
      new SendMessageBatchCommand({ QueueUrl: to, Entries: entries(({ Body = '' }) => ({ MessageBody: Body })) }),
    );
    if (Failed.length > 0) throw new Error(`${Failed.length} messages were not taken: ${Failed[0]?.Message}`);
    await sqs.send(new DeleteMessageBatchCommand({ QueueUrl: from, Entries: entries(({ ReceiptHandle }) => ({ ReceiptHandle })) }));
    for (const { MessageId } of fresh) moved.add(MessageId);
  }
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { stage: { type: 'string' }, queue: { type: 'string' } } });
  const { stage = '', queue = '' } = values;
  const { queues } = readStackDefinition({ stage });
  const source = queues.find(({ short_name, redrive }) => short_name === queue && redrive);
  if (!stage || !source) {
    const names = queues.filter(({ redrive }) => redrive).map(({ short_name }) => short_name);
    console.error(`npm run redrive -- --stage STAGE --queue ${names.join('|')}   (docs/operations.md)`);
    process.exit(2);
  }
  const sqs = new SQSClient({});
  const urlOf = async (QueueName: string) => (await sqs.send(new GetQueueUrlCommand({ QueueName }))).QueueUrl ?? '';
  const count = await redrive(sqs, { from: await urlOf(`${source.name}-dlq`), to: await urlOf(source.name) });
  console.log(`${count} messages were moved back into ${source.name}.`);
}
