// Lambda's event source mappings for SQS: takes batches from the queues and calls the functions, with Lambda's own rules on what is deleted.
import { setTimeout as sleep } from 'node:timers/promises';
import { InvokeCommand, type LambdaClient } from '@aws-sdk/client-lambda';
import { DeleteMessageBatchCommand, type Message, ReceiveMessageCommand, type SQSClient } from '@aws-sdk/client-sqs';
import type { SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import type { EventSourceMapping } from '../../ops/stack-definition.ts';

/** Lambda's initial concurrency for a queue without `maximumConcurrency`. */
const DEFAULT_CONCURRENCY = 5;
/** Short, because a stop waits for the poll under way: an abandoned one could still receive a message and hide it from everybody. */
const POLL_SECONDS = 1;

type Mapping = Omit<EventSourceMapping, 'queue'> & { queue_url: string; queue_arn: string };

/** Calls a function by its name; rejects when the function threw, timed out or could not be called. */
export type Invoke = (functionName: string, event: SQSEvent) => Promise<unknown>;

export interface EventSourceMappings {
  /** Takes no more messages and waits for the invocations under way. */
  stop(): Promise<void>;
}

export function startEventSourceMappings(options: {
  mappings: Mapping[];
  sqs: SQSClient;
  region: string;
  invoke: Invoke;
  onError?: (functionName: string, error: unknown) => void;
}): EventSourceMappings {
  const { sqs, region, invoke, onError = () => {} } = options;
  const stopping = new AbortController();
  const pollers = options.mappings.map((mapping) => poll(mapping));

  async function poll(mapping: Mapping): Promise<void> {
    const underWay = new Set<Promise<void>>();
    while (!stopping.signal.aborted) {
      if (underWay.size >= (mapping.maximum_concurrency ?? DEFAULT_CONCURRENCY)) {
        await Promise.race(underWay);
        continue;
      }
      try {
        const messages = await receiveBatch(mapping);
        if (messages.length === 0) continue;
        const work = handleBatch(mapping, messages).finally(() => underWay.delete(work));
        underWay.add(work);
      } catch (error) {
        onError(mapping.function_name, error);
        await sleep(1_000, undefined, { signal: stopping.signal }).catch(() => {});
      }
    }
    await Promise.all(underWay);
  }

  /** At most `batch_size` messages; more than SQS gives at once are gathered for as long as the batching window allows. */
  async function receiveBatch({ queue_url, batch_size, maximum_batching_window_seconds }: Mapping): Promise<Message[]> {
    const messages: Message[] = [];
    let deadline = Number.POSITIVE_INFINITY;
    while (messages.length < batch_size && !stopping.signal.aborted) {
      const secondsLeft = Math.ceil((deadline - Date.now()) / 1_000);
      const { Messages = [] } = await sqs.send(
        new ReceiveMessageCommand({
          QueueUrl: queue_url,
          MaxNumberOfMessages: Math.min(10, batch_size - messages.length),
          WaitTimeSeconds: Math.max(0, Math.min(POLL_SECONDS, secondsLeft)),
          MessageSystemAttributeNames: ['All'],
          MessageAttributeNames: ['All'],
        }),
      );
      if (messages.length === 0) deadline = Date.now() + maximum_batching_window_seconds * 1_000;
      messages.push(...Messages);
      if (messages.length === 0 || Date.now() >= deadline) break;
    }
    return messages;
  }

  /** Messages that are not deleted become visible again after the queue's visibility timeout, and in the end go to the dead-letter queue. */
  async function handleBatch(mapping: Mapping, messages: Message[]): Promise<void> {
    try {
      const answer = await invoke(mapping.function_name, {
        Records: messages.map((message) => toRecord(message, mapping.queue_arn, region)),
      });
      const failed = mapping.reports_batch_item_failures ? failedMessageIds(answer, messages) : new Set<string | undefined>();
      await deleteMessages(
        mapping.queue_url,
        messages.filter(({ MessageId }) => !failed.has(MessageId)),
      );
    } catch (error) {
      onError(mapping.function_name, error);
    }
  }

  async function deleteMessages(queueUrl: string, messages: Message[]): Promise<void> {
    for (let start = 0; start < messages.length; start += 10) {
      const Entries = messages.slice(start, start + 10).map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle }));
      await sqs.send(new DeleteMessageBatchCommand({ QueueUrl: queueUrl, Entries }));
    }
  }

  return {
    async stop() {
      stopping.abort();
      await Promise.all(pollers);
    },
  };
}

/**
 * No answer or an empty list: all succeeded. An answer that is not understood, or names a message that was not in the batch, fails the
 * whole batch: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
 */
function failedMessageIds(answer: unknown, messages: Message[]): Set<string | undefined> {
  const all = new Set(messages.map(({ MessageId }) => MessageId));
  if (answer === null || answer === undefined || answer === '') return new Set();
  const failures: unknown = typeof answer === 'object' ? (answer as Partial<SQSBatchResponse>).batchItemFailures : answer;
  if (failures === null || failures === undefined) return new Set();
  if (!Array.isArray(failures)) return all;
  const identifiers = failures.map((failure: { itemIdentifier?: string } | null) => failure?.itemIdentifier);
  return identifiers.every((identifier) => all.has(identifier)) ? new Set(identifiers) : all;
}

function toRecord(message: Message, queueArn: string, region: string): SQSRecord {
  const attributes = message.MessageAttributes ?? {};
  return {
    messageId: message.MessageId ?? '',
    receiptHandle: message.ReceiptHandle ?? '',
    body: message.Body ?? '',
    attributes: message.Attributes as unknown as SQSRecord['attributes'],
    messageAttributes: Object.fromEntries(
      Object.entries(attributes).map(([name, { StringValue, BinaryValue, DataType = 'String' }]) => [
        name,
        {
          ...(StringValue !== undefined && { stringValue: StringValue }),
          ...(BinaryValue !== undefined && { binaryValue: Buffer.from(BinaryValue).toString('base64') }),
          stringListValues: [],
          binaryListValues: [],
          dataType: DataType,
        },
      ]),
    ),
    md5OfBody: message.MD5OfBody ?? '',
    eventSource: 'aws:sqs',
    eventSourceARN: queueArn,
    awsRegion: region,
  };
}

/** Through serverless-offline's Lambda port; `prefix` is what it puts before a function's name: `<service>-<stage>-`. */
export function invokeThroughLambda(client: LambdaClient, prefix: string): Invoke {
  return async (functionName, event) => {
    const { FunctionError, Payload } = await client.send(
      new InvokeCommand({ FunctionName: `${prefix}${functionName}`, Payload: JSON.stringify(event) }),
    );
    const text = Payload ? Buffer.from(Payload).toString('utf8') : '';
    if (FunctionError) throw new Error(`${functionName} failed: ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  };
}
