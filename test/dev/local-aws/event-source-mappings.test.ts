import {
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import type { SQSEvent, SQSRecord } from 'aws-lambda';
import { describe, expect, it, type TestContext, vi } from 'vitest';
import { type Invoke, startEventSourceMappings } from '../../../dev/local-aws/event-source-mappings.ts';
import { type Queues, startQueues } from '../../../dev/local-aws/queues.ts';
import type { EventSourceMapping } from '../../../ops/stack-definition.ts';

const REGION = 'eu-central-1';
async function setup(
  { onTestFinished }: TestContext,
  invoke: Invoke,
  options: Partial<EventSourceMapping> & { visibilitySeconds?: number; maximumReceives?: number } = {},
) {
  const { visibilitySeconds = 1, maximumReceives = 2, ...mapping } = options;
  const queues = await startQueues({
    region: REGION,
    definitions: [
      {
        ...{ logical_id: 'Work', short_name: 'work', name: 'work', visibility_timeout_seconds: visibilitySeconds, retention_seconds: 3600 },
        redrive: { dead_letter_queue: 'Dead', maximum_receives: maximumReceives },
      },
      { logical_id: 'Dead', short_name: 'dead', name: 'dead', visibility_timeout_seconds: 30, retention_seconds: 3600 },
    ],
  });
  onTestFinished(queues.close);
  const sqs = new SQSClient({ endpoint: queues.endpoint, region: REGION, credentials: { accessKeyId: 'x', secretAccessKey: 'x' } });
  const errors: unknown[] = [];
  const mappings = startEventSourceMappings({
    mappings: [
      {
        ...{ function_name: 'work', batch_size: 10, maximum_batching_window_seconds: 0, reports_batch_item_failures: true },
        ...mapping,
        ...{ queue_url: url(queues, 'Work'), queue_arn: queues.arns['Work'] ?? '' },
      },
    ],
    sqs,
    region: REGION,
    invoke,
    onError: (_functionName, error) => errors.push(error),
  });
  onTestFinished(mappings.stop);
  const send = (...bodies: string[]) =>
    sqs.send(
      new SendMessageBatchCommand({
        QueueUrl: url(queues, 'Work'),
        Entries: bodies.map((MessageBody, index) => ({ Id: String(index), MessageBody })),
      }),
    );
  return { queues, sqs, mappings, send, errors, workUrl: url(queues, 'Work'), deadUrl: url(queues, 'Dead') };
}

const url = (queues: Queues, id: string): string => queues.urls[id] ?? '';
const waitUntil = (condition: () => void) => vi.waitFor(condition, { timeout: 10_000, interval: 20 });

/** A function that notes what it was called with and answers what the test says. */
function recorder(answer: (records: SQSRecord[]) => unknown) {
  const seen: SQSRecord[] = [];
  const invoke: Invoke = async (_name, event: SQSEvent) => {
    seen.push(...event.Records);
    return answer(event.Records);
  };
  return { seen, invoke, bodies: () => seen.map(({ body }) => body) };
}

// At once: they mostly wait for visibility timeouts.
describe.concurrent('event source mappings', () => {
  it("hands over records in Lambda's own shape and deletes what succeeded", async (context) => {
    const { seen, invoke } = recorder(() => ({ batchItemFailures: [] }));
    const { sqs, queues, workUrl } = await setup(context, invoke);
    const { MessageId } = await sqs.send(
      new SendMessageCommand({
        QueueUrl: workUrl,
        MessageBody: 'hello',
        MessageAttributes: { text: { DataType: 'String', StringValue: 'a' }, bytes: { DataType: 'Binary', BinaryValue: Buffer.from('b') } },
      }),
    );
    await waitUntil(() => expect(queues.depth('Work') + (seen.length === 1 ? 0 : 1)).toBe(0));
    expect(seen).toEqual([
      {
        messageId: MessageId,
        receiptHandle: expect.stringMatching(/.+/),
        body: 'hello',
        attributes: {
          SenderId: '000000000000',
          SentTimestamp: expect.stringMatching(/^\d{13}$/),
          ApproximateReceiveCount: '1',
          ApproximateFirstReceiveTimestamp: expect.stringMatching(/^\d{13}$/),
        },
        messageAttributes: {
          text: { dataType: 'String', stringValue: 'a', stringListValues: [], binaryListValues: [] },
          bytes: { dataType: 'Binary', binaryValue: 'Yg==', stringListValues: [], binaryListValues: [] },
        },
        md5OfBody: '5d41402abc4b2a76b9719d911017c592',
        eventSource: 'aws:sqs',
        eventSourceARN: 'arn:aws:sqs:eu-central-1:000000000000:work',
        awsRegion: 'eu-central-1',
      },
    ]);
  });

  it('repeats only the messages that a function names as failed', async (context) => {
    const { bodies, invoke } = recorder((records) => ({
      batchItemFailures: records
        .filter(({ body, attributes }) => body === 'bad' && attributes.ApproximateReceiveCount === '1')
        .map(({ messageId }) => ({ itemIdentifier: messageId })),
    }));
    const { queues, send } = await setup(context, invoke);
    await send('good', 'bad', 'fine');
    await waitUntil(() => expect(bodies().filter((body) => body === 'bad')).toHaveLength(2));
    await waitUntil(() => expect(queues.depth('Work')).toBe(0));
    expect(bodies().sort()).toEqual(['bad', 'bad', 'fine', 'good']);
    expect(queues.depth('Dead')).toBe(0);
  });

  it.for<{ what: string; answer: () => unknown }>([
    { what: 'throws', answer: async () => Promise.reject(new Error('crashed')) },
    { what: 'names a message that was not in the batch', answer: async () => ({ batchItemFailures: [{ itemIdentifier: 'unknown' }] }) },
    { what: 'names a message by an empty text', answer: async () => ({ batchItemFailures: [{ itemIdentifier: '' }] }) },
    { what: 'answers failures that are no list', answer: async () => ({ batchItemFailures: 'all' }) },
    { what: 'answers a text', answer: async () => 'done' },
  ])('repeats the whole batch when a function $what, and hands it to the dead-letter queue in the end', async ({ answer }, context) => {
    const { bodies, invoke } = recorder(answer);
    const { queues, sqs, send, deadUrl } = await setup(context, invoke);
    await send('a', 'b');
    await waitUntil(() => expect(queues.depth('Dead')).toBe(2));
    expect(bodies().sort()).toEqual(['a', 'a', 'b', 'b']);
    expect(queues.depth('Work')).toBe(0);
    const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: deadUrl, MaxNumberOfMessages: 10 }));
    expect(Messages.map(({ Body }) => Body).sort()).toEqual(['a', 'b']);
  });

  it.for([
    ['nothing', undefined],
    ['null', null],
    ['no list of failures', {}],
    ['null for the failures', { batchItemFailures: null }],
  ])('deletes the batch when a function answers %s', async ([, answer], context) => {
    const { seen, invoke } = recorder(() => answer);
    const { queues, send } = await setup(context, invoke);
    await send('a');
    await waitUntil(() => expect(seen).toHaveLength(1));
    await waitUntil(() => expect(queues.depth('Work')).toBe(0));
  });

  it('ignores batchItemFailures of a function that does not report them', async (context) => {
    const { seen, invoke } = recorder((records) => ({
      batchItemFailures: records.map(({ messageId }) => ({ itemIdentifier: messageId })),
    }));
    const { queues, send } = await setup(context, invoke, { reports_batch_item_failures: false });
    await send('a');
    await waitUntil(() => expect(seen).toHaveLength(1));
    await waitUntil(() => expect(queues.depth('Work')).toBe(0));
  });

  it('delivers a delayed message when its time has come, not before', async (context) => {
    let arrivedAt = 0;
    const { sqs, workUrl } = await setup(context, async () => {
      arrivedAt = Date.now();
    });
    const sentAt = Date.now();
    await sqs.send(new SendMessageCommand({ QueueUrl: workUrl, MessageBody: 'later', DelaySeconds: 1 }));
    await waitUntil(() => expect(arrivedAt).not.toBe(0));
    expect(arrivedAt - sentAt).toBeGreaterThanOrEqual(950);
  });

  it('never has more invocations under way than maximumConcurrency, and uses all of it', async (context) => {
    let underWay = 0;
    let most = 0;
    let handled = 0;
    const { send } = await setup(
      context,
      async () => {
        underWay += 1;
        most = Math.max(most, underWay);
        await new Promise((resolve) => setTimeout(resolve, 50));
        underWay -= 1;
        handled += 1;
      },
      { batch_size: 1, maximum_concurrency: 3, visibilitySeconds: 30 },
    );
    await send(...Array.from({ length: 10 }, (_, index) => String(index)));
    await waitUntil(() => expect(handled).toBe(10));
    expect(most).toBe(3);
  });

  it('gathers a batch for as long as the batching window allows', async (context) => {
    const batches: number[] = [];
    const { send } = await setup(context, async (_name, { Records }) => void batches.push(Records.length), {
      ...{ batch_size: 15, maximum_batching_window_seconds: 5, visibilitySeconds: 30 },
    });
    await send(...Array.from({ length: 10 }, () => 'a'));
    await send(...Array.from({ length: 5 }, () => 'b'));
    await waitUntil(() => expect(batches).toEqual([15]));
  });

  it('waits for invocations under way when it stops, deletes what they did and takes nothing new', async (context) => {
    const gate = Promise.withResolvers<void>();
    const { seen, invoke } = recorder(() => gate.promise);
    const { mappings, queues, send, sqs, workUrl } = await setup(context, invoke, { visibilitySeconds: 30, maximum_concurrency: 1 });
    await send('first');
    await waitUntil(() => expect(seen).toHaveLength(1));

    let isStopped = false;
    const stopped = mappings.stop().then(() => {
      isStopped = true;
    });
    await send('second');
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(isStopped).toBe(false);
    gate.resolve();
    await stopped;

    expect(seen.map(({ body }) => body)).toEqual(['first']);
    expect(queues.depth('Work')).toBe(1);
    const { Attributes } = await sqs.send(
      new GetQueueAttributesCommand({ QueueUrl: workUrl, AttributeNames: ['ApproximateNumberOfMessages'] }),
    );
    expect(Attributes).toEqual({ ApproximateNumberOfMessages: '1' }); // visible, not hidden by a poll that nobody waited for
  });

  it('goes on after the queue could not be reached', async (context) => {
    const invoke: Invoke = async () => {};
    const { errors, mappings, queues } = await setup(context, invoke);
    await queues.close();
    await waitUntil(() => expect(errors.length).toBeGreaterThan(0));
    await mappings.stop();
  });
});
