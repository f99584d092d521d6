import { ReceiveMessageCommand } from '@aws-sdk/client-sqs';
import { describe, expect, it } from 'vitest';
import type { Queue } from '../../lib/ports/queue.ts';
import { createSqsQueue } from '../../lib/ports/sqs-queue.ts';
import { unless } from '../support/emulator-gaps.ts';
import { InMemoryQueue } from '../support/in-memory-queue.ts';
import { openQueues } from '../support/s3-and-sqs.ts';

interface Subject {
  queue: Queue<unknown>;
  /** What a reader would get now, in any order. */
  visible(): Promise<unknown[]>;
  /** How many messages are kept, delayed ones too. */
  depth(): Promise<number>;
  goDown(): Promise<void>;
}

const inMemory = async (): Promise<Subject> => {
  const queue = new InMemoryQueue<unknown>();
  return {
    queue,
    visible: async () => queue.sent.filter((_, i) => queue.delays[i] === 0),
    depth: async () => queue.sent.length,
    goDown: async () => {
      queue.failures = Number.POSITIVE_INFINITY;
    },
  };
};

const onSqs = async (): Promise<Subject> => {
  const definition = { logical_id: 'Work', short_name: 'work', name: 'work', visibility_timeout_seconds: 60, retention_seconds: 3600 };
  const { client, options, urls, depth, stop } = await openQueues([definition]);
  const QueueUrl = urls['Work'] ?? '';
  const visible = async () => {
    const bodies: unknown[] = [];
    for (;;) {
      const { Messages = [] } = await client.send(new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10 }));
      if (Messages.length === 0) return bodies;
      bodies.push(...Messages.map(({ Body = '' }) => JSON.parse(Body)));
    }
  };
  return { queue: createSqsQueue(QueueUrl, options), visible, depth: () => depth('Work'), goDown: stop };
};

describe.each([
  ['the queue in memory', inMemory],
  ['SQS', onSqs],
])('%s', (_, open) => {
  it.each([1, 10, 11, 95])('keeps every one of %i messages sent at once', async (count) => {
    const { queue, visible } = await open();
    const messages = Array.from({ length: count }, (_, n) => ({ n }));
    await queue.send(messages);
    const received = (await visible()) as { n: number }[];
    expect(received.map(({ n }) => n).toSorted((a, b) => a - b)).toEqual(messages.map(({ n }) => n));
  });

  it('sends nothing when there is nothing to send', async () => {
    const { queue, depth } = await open();
    await queue.send([]);
    expect(await depth()).toBe(0);
  });

  it('carries any text of JSON, a date as its text', async () => {
    const { queue, visible } = await open();
    await queue.send([
      { text: '<a & "b">\u0000\u0007\nж€\ud800', when: new Date('2026-11-24T08:00:00.000Z'), gone: undefined, none: null },
    ]);
    expect(await visible()).toEqual([{ text: '<a & "b">\u0000\u0007\nж€\ud800', when: '2026-11-24T08:00:00.000Z', none: null }]);
  });

  it('keeps a delayed message and shows it to nobody before its time', async () => {
    const { queue, visible, depth } = await open();
    await queue.send([{ n: 1 }], { delaySeconds: 900 });
    await queue.send([{ n: 2 }], { delaySeconds: 0 });
    expect(await visible()).toEqual([{ n: 2 }]);
    expect(await depth()).toBe(2);
  });

  it('keeps a message as it was when it was sent', async () => {
    const { queue, visible } = await open();
    const message = { n: 1 };
    await queue.send([message]);
    message.n = 2;
    expect(await visible()).toEqual([{ n: 1 }]);
  });

  it('keeps both of two equal messages', async () => {
    const { queue, visible } = await open();
    await queue.send([{ n: 1 }, { n: 1 }]);
    expect(await visible()).toEqual([{ n: 1 }, { n: 1 }]);
  });

  it.each([901, -1, 1.5, Number.NaN])('refuses a delay of %d seconds, which SQS does not know, and keeps nothing', async (delaySeconds) => {
    const { queue, depth } = await open();
    await expect(queue.send([{ n: 1 }], { delaySeconds })).rejects.toThrow(RangeError);
    expect(await depth()).toBe(0);
  });

  unless('no end', 'is unavailable while it is down', async () => {
    const { queue, goDown } = await open();
    await goDown();
    await expect(queue.send([{ n: 1 }])).rejects.toMatchObject({ code: 'queue.unavailable' });
  });
});
