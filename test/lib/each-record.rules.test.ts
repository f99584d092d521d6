import type { SQSEvent, SQSRecord } from 'aws-lambda';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { eachRecord } from '../../lib/each-record.ts';
import type { Log } from '../../lib/log.ts';
import { createRecordingMetrics } from '../support/recording-metrics.ts';

const context = { awsRequestId: 'invocation-1', functionName: 'dispatch-update' } as Parameters<typeof eachRecord>[2];
const eventOf = (...bodies: string[]): SQSEvent => ({
  Records: bodies.map((body, i) => ({ messageId: `message-${i + 1}`, body }) as SQSRecord),
});

const setup = () => {
  const lines: Record<string, unknown>[] = [];
  const keep = (message: string, fields?: object) => lines.push({ message, ...fields });
  const log: Log = { info: keep, warn: keep, error: keep };
  return { lines, log, metrics: createRecordingMetrics() };
};

describe('a batch of messages', () => {
  it('hands back those that failed, malformed ones too, and no others', async () => {
    const deps = setup();
    const done: number[] = [];
    const work = async (n: number) => {
      if (n === 2) throw new Error('no');
      done.push(n);
    };
    expect(await eachRecord(deps, eventOf('1', '2', '{', '"x"', '5'), context, z.int(), work)).toEqual({
      batchItemFailures: ['message-2', 'message-3', 'message-4'].map((itemIdentifier) => ({ itemIdentifier })),
    });
    expect(done).toEqual([1, 5]);
  });

  it('names the invocation and the message when one fails', async () => {
    const deps = setup();
    await eachRecord(deps, eventOf('1', '2'), context, z.int(), async (n) => {
      if (n === 2) throw new Error('no');
    });
    expect(deps.lines).toEqual([
      { message: 'message failed', request_id: 'invocation-1', message_id: 'message-2', error: new Error('no') },
    ]);
  });

  it('measures messages, failures and duration of the function, once', async () => {
    const deps = setup();
    await eachRecord(deps, eventOf('1', '2', '{'), context, z.int(), async () => {});
    expect(deps.metrics.published).toEqual([
      {
        values: {
          messages: { unit: 'Count', value: 3 },
          failed_messages: { unit: 'Count', value: 1 },
          duration: { unit: 'Milliseconds', value: expect.any(Number) },
        },
        dimensionSets: [{ function: 'dispatch-update' }],
      },
    ]);
  });
});
