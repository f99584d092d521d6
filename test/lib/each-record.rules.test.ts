import type { SQSEvent, SQSRecord } from 'aws-lambda';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import * as z from 'zod/mini';
import { eachRecord } from '../../lib/each-record.ts';
import { DomainError, type ErrorCode } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { SecretUnavailable } from '../../lib/secret.ts';
import { UnderWay } from '../../lib/walk.ts';
import { InMemoryQueue } from '../support/in-memory-queue.ts';
import { createRecordingMetrics } from '../support/recording-metrics.ts';

const context = { awsRequestId: 'invocation-1', functionName: 'dispatch-update' } as Parameters<typeof eachRecord>[2];
const Message = z.object({ n: z.int() });
type Message = z.output<typeof Message>;

/** A consumer whose work is `work`; what it is given are bodies of messages. */
const setup = (work: (message: Message) => Promise<void> = async () => {}) => {
  const lines: Record<string, unknown>[] = [];
  const keep = (message: string, fields?: object) => lines.push({ message, ...fields });
  const log: Log = { info: keep, warn: keep, error: keep };
  const metrics = createRecordingMetrics();
  const queue = new InMemoryQueue<object>();
  const deliver = async (...bodies: string[]) => {
    const event: SQSEvent = { Records: bodies.map((body, i) => ({ messageId: `message-${i + 1}`, body }) as SQSRecord) };
    const answer = await eachRecord({ log, metrics }, event, context, { schema: Message, queue, work });
    return answer.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
  };
  return { lines, metrics, queue, deliver };
};

const throws = (error: unknown) => async () => {
  throw error;
};

describe('a batch of messages', () => {
  it('hands back those that failed, malformed ones too, and no others', async () => {
    const done: number[] = [];
    const { deliver, queue } = setup(async ({ n }) => {
      if (n === 2) throw new Error('no');
      done.push(n);
    });
    expect(await deliver('{"n": 1}', '{"n": 2}', '{', '{"n": "x"}', '{"n": 5}', 'null')).toEqual([
      ...['message-2', 'message-3', 'message-4', 'message-6'],
    ]);
    expect(done).toEqual([1, 5]);
    expect(queue.sent).toEqual([]);
  });

  it('names the message when one fails', async () => {
    const { deliver, lines } = setup(async ({ n }) => {
      if (n === 2) throw new Error('no');
    });
    await deliver('{"n": 1}', '{"n": 2}');
    expect(lines).toEqual([{ message: 'message failed', message_id: 'message-2', error: new Error('no') }]);
  });

  it('measures messages, failures, what has to wait, and duration of the function, once', async () => {
    const { deliver, metrics } = setup(async ({ n }) => {
      if (n === 2) throw new DomainError('database.unavailable', 'away');
      if (n === 3) throw new UnderWay('at work');
    });
    await deliver('{"n": 1}', '{"n": 2}', '{"n": 3}', '{');
    expect(metrics.published).toEqual([
      {
        values: {
          messages: { unit: 'Count', value: 4 },
          failed_messages: { unit: 'Count', value: 1 },
          deferred_messages: { unit: 'Count', value: 1 },
          duration: { unit: 'Milliseconds', value: expect.any(Number) },
        },
        dimensionSets: [{ function: 'dispatch-update' }],
      },
    ]);
  });
});

describe('a message that fails because a dependency is away', () => {
  it.each<[string, unknown]>([
    ...(['database.unavailable', 'queue.unavailable', 'storage.unavailable', 'signing.unavailable'] satisfies ErrorCode[]).map(
      (code): [string, unknown] => [code, new DomainError(code, 'away')],
    ),
    ['a server that stops', Object.assign(new pg.DatabaseError('terminating connection', 1, 'error'), { code: '57P01' })],
    ['a lock that is held for long', Object.assign(new pg.DatabaseError('canceling statement', 1, 'error'), { code: '57014' })],
    ['a connection that is refused', Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })],
    ['a password that cannot be read', new SecretUnavailable('Secrets Manager does not answer')],
    ['one of several errors', new AggregateError([new Error('other'), new DomainError('storage.unavailable', 'away')])],
  ])('is sent anew and acknowledged: %s', async (_, error) => {
    const { deliver, queue, lines } = setup(throws(error));
    expect(await deliver('{"n": 1, "step": 7}')).toEqual([]);
    expect(queue.sent).toEqual([{ n: 1, step: 7, deferrals: 1 }]);
    expect(lines).toMatchObject([{ message: 'message deferred', deferrals: 0, delay_seconds: 5 }]);
  });

  it('waits longer and longer, a minute at most, however long the outage is', async () => {
    const { deliver, queue } = setup(throws(new DomainError('database.unavailable', 'away')));
    const delays: (number | undefined)[] = [];
    let body = '{"n": 1}';
    // A week of minutes.
    for (let time = 0; time < 10_080; time += 1) {
      expect(await deliver(body)).toEqual([]);
      delays.push(queue.delays[0]);
      body = JSON.stringify(queue.take()[0]);
    }
    expect(delays.slice(0, 6)).toEqual([5, 10, 20, 40, 60, 60]);
    expect(delays.at(-1)).toBe(60);
    expect(JSON.parse(body)).toEqual({ n: 1, deferrals: 10_080 });
  });

  it('is handed back when the queue does not take it either', async () => {
    const { deliver, queue, lines } = setup(throws(new DomainError('database.unavailable', 'away')));
    queue.failures = 1;
    expect(await deliver('{"n": 1}')).toEqual(['message-1']);
    expect(lines.map(({ message }) => message)).toEqual(['message could not be deferred', 'message failed']);
  });

  it('is not taken in by a wrong number of deferrals', async () => {
    const { deliver, queue } = setup(throws(new DomainError('database.unavailable', 'away')));
    expect(await deliver('{"n": 1, "deferrals": "many"}')).toEqual([]);
    expect(queue.sent).toEqual([{ n: 1, deferrals: 1 }]);
  });
});

it('a message that another delivery is at work on is handed back, and is no failure', async () => {
  const { deliver, queue, lines } = setup(throws(new UnderWay('at work')));
  expect(await deliver('{"n": 1}')).toEqual(['message-1']);
  expect(queue.sent).toEqual([]);
  expect(lines).toMatchObject([{ message: 'message waits for another delivery' }]);
});
