import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { eachRecord } from '../../lib/each-record.ts';
import { endpoint, json, operation } from '../../lib/http/endpoint.ts';
import { defineRoute } from '../../lib/http/route.ts';
import { createLog } from '../../lib/log.ts';
import { createContext, createEvent } from '../support/http.ts';
import { InMemoryQueue } from '../support/in-memory-queue.ts';
import { catchPrintedLines } from '../support/printed-lines.ts';

const route = defineRoute({
  operationId: 'testRoute',
  method: 'GET',
  path: '/v1/things',
  tag: 'Service',
  scope: null,
  summary: 'Things',
  responses: { 200: { description: 'Things', body: z.object({}) } },
});

describe('the log', () => {
  it('names the request in every line that it causes, however deep and late, of several at once too', async () => {
    const lines = catchPrintedLines();
    const log = createLog();
    const handler = endpoint(
      operation({ log, authenticate: async () => ({ subject: '', scopes: new Set() }) }, route, async () => {
        await nextTurn();
        log.warn('deep in a use case', { firmware_id: 17 });
        throw new Error('no');
      }),
    );
    const ids = ['request-a', 'request-b', 'request-c'];
    await Promise.all(
      ids.map((id) => handler(createEvent({ method: 'GET', path: '/v1/things', headers: { 'X-Request-Id': id } }), createContext())),
    );
    for (const id of ids) {
      expect(lines.filter(({ request_id }) => request_id === id).map(({ message }) => message)).toEqual([
        'deep in a use case',
        'request failed',
        'request',
      ]);
    }
    expect(lines).toHaveLength(9);
    log.info('of no request');
    expect(lines.at(-1)).not.toHaveProperty('request_id');
  });

  it('names the invocation and the message in every line that a message causes', async () => {
    const lines = catchPrintedLines();
    const log = createLog();
    const context = { ...createContext(), awsRequestId: 'invocation-1' };
    const records = ['1', '2'].map((body) => ({ messageId: `message-${body}`, body }));
    const work = async (n: number) => {
      await nextTurn();
      log.info('at work', { update_id: n });
      if (n === 2) throw new Error('no');
    };
    await eachRecord({ log }, { Records: records as never }, context, { schema: z.int(), queue: new InMemoryQueue(), work });
    expect(lines).toMatchObject([
      { message: 'at work', request_id: 'invocation-1', message_id: 'message-1', update_id: 1 },
      { message: 'at work', request_id: 'invocation-1', message_id: 'message-2', update_id: 2 },
      { message: 'message failed', level: 'ERROR', request_id: 'invocation-1', message_id: 'message-2' },
    ]);
  });

  it('has of an error its text, its code and its cause, and no other member: these may hold tokens and links', () => {
    const lines = catchPrintedLines();
    const cause = Object.assign(new Error('socket hang up'), {
      code: 'ECONNRESET',
      request: { headers: { authorization: 'Bearer abc.def' } },
    });
    const error = Object.assign(new Error('no answer', { cause }), { config: { url: 'https://s3.test/x?X-Amz-Signature=5ec2e7' } });
    createLog().error('asked', { error });
    expect(lines).toMatchObject([{ error: { message: 'no answer', cause: { message: 'socket hang up', code: 'ECONNRESET' } } }]);
    expect(JSON.stringify(lines)).not.toMatch(/abc\.def|5ec2e7/);
  });

  it('lets a line say something else than what is said of all', async () => {
    const lines = catchPrintedLines();
    const log = createLog();
    const handler = endpoint(
      operation({ log, authenticate: async () => ({ subject: '', scopes: new Set() }) }, route, async () => {
        log.info('about another', { request_id: 'request-z' });
        return json(200, {});
      }),
    );
    await handler(createEvent({ method: 'GET', path: '/v1/things' }), createContext());
    expect(lines[0]).toMatchObject({ message: 'about another', request_id: 'request-z' });
  });
});
