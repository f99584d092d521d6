import { describe, expect, it } from 'vitest';
import { type EventBus, EventBusUnavailable, type ServiceEvent } from '../../lib/ports/event-bus.ts';
import { createEventBridgeBus } from '../../lib/ports/eventbridge-event-bus.ts';
import { startOfTime } from '../support/fixtures.ts';
import { InMemoryEventBus, type PublishedEvent } from '../support/in-memory-event-bus.ts';
import { startScriptedServer } from '../support/scripted-server.ts';

interface Entry {
  EventBusName: string;
  Source: string;
  DetailType: string;
  Detail: string;
  Time: number;
}

type Refusal = 'none' | 'one entry' | 'everything' | 'silence';

/** EventBridge's PutEvents as its API reference has it: AWS JSON 1.1, ten entries and 256 KiB at most, each with its own outcome. */
const startEventBridge = async () => {
  const entries: Entry[] = [];
  const requests: number[] = [];
  const state = { refusal: 'none' as Refusal };
  const server = await startScriptedServer((response, count) => {
    const { headers, body } = server.requests[count - 1] as (typeof server.requests)[number];
    const answer = (status: number, text: object): void => {
      response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(text));
    };
    if (state.refusal === 'silence') return;
    if (state.refusal === 'everything') return answer(400, { __type: 'ResourceNotFoundException', message: 'no such bus' });
    const { Entries } = JSON.parse(body) as { Entries: Entry[] };
    const bytes = Entries.reduce((sum, e) => sum + Buffer.byteLength(e.Detail + e.Source + e.DetailType) + 14, 0);
    if (headers['x-amz-target'] !== 'AWSEvents.PutEvents' || Entries.length > 10 || bytes > 262_144) {
      return answer(400, { __type: 'ValidationException', message: `${Entries.length} entries, ${bytes} bytes` });
    }
    requests.push(Entries.length);
    const isRefused = (i: number) => state.refusal === 'one entry' && i === Entries.length - 1;
    const outcomes = Entries.map((entry, i) => {
      if (isRefused(i)) return { ErrorCode: 'ThrottlingException', ErrorMessage: 'slow down' };
      entries.push(entry);
      return { EventId: String(entries.length) };
    });
    answer(200, { FailedEntryCount: outcomes.filter(({ ErrorCode }) => ErrorCode).length, Entries: outcomes });
  });
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local-secret' };
  return { bus: createEventBridgeBus('fleet', { endpoint: server.url, region: 'eu-central-1', credentials }), entries, requests, state };
};

interface Subject {
  bus: EventBus;
  read(): PublishedEvent[];
  goDown(): void;
}

const inMemory = async (): Promise<Subject> => {
  const bus = new InMemoryEventBus();
  const goDown = () => {
    bus.failures = Number.POSITIVE_INFINITY;
  };
  return { bus, read: () => bus.published, goDown };
};

const onEventBridge = async (): Promise<Subject> => {
  const { bus, entries, state } = await startEventBridge();
  const toEvent = ({ DetailType, Detail, Time }: Entry) => ({
    type: DetailType,
    occurred_dt: new Date(Time * 1000).toISOString(),
    detail: JSON.parse(Detail),
  });
  const goDown = () => {
    state.refusal = 'everything';
  };
  return { bus, read: () => entries.map(toEvent), goDown };
};

const event = (detail: object): ServiceEvent => ({ type: 'Something changed', occurred_dt: startOfTime, detail });

describe.each([
  ['the bus in memory', inMemory],
  ['EventBridge', onEventBridge],
])('%s', (_, open) => {
  it.each([1, 10, 11, 95])('takes every one of %i events', async (count) => {
    const { bus, read } = await open();
    await bus.publishEvents(Array.from({ length: count }, (_, n) => event({ n })));
    expect(read().map(({ detail }) => detail.n)).toEqual(Array.from({ length: count }, (_, n) => n));
  });

  it('does nothing for none', async () => {
    const { bus, read } = await open();
    await bus.publishEvents([]);
    expect(read()).toEqual([]);
  });

  it('carries any text of JSON, a date as its text', async () => {
    const { bus, read } = await open();
    await bus.publishEvents([event({ text: '<a & "b">\nж€', when: startOfTime, gone: undefined, none: null })]);
    expect(read()).toEqual([
      {
        type: 'Something changed',
        occurred_dt: '2026-11-24T08:00:00.000Z',
        detail: { text: '<a & "b">\nж€', when: '2026-11-24T08:00:00.000Z', none: null },
      },
    ]);
  });

  it('takes many large events, and says so of one that is too large', async () => {
    const { bus, read } = await open();
    await bus.publishEvents(Array.from({ length: 20 }, (_, n) => event({ n, text: 'ж'.repeat(40_000) })));
    expect(read()).toHaveLength(20);
    await expect(bus.publishEvents([event({ text: 'x'.repeat(260_000) })])).rejects.toThrow(RangeError);
  });

  it('is unavailable when it is down', async () => {
    const { bus, goDown } = await open();
    goDown();
    await expect(bus.publishEvents([event({})])).rejects.toThrow(EventBusUnavailable);
  });
});

describe('EventBridge', () => {
  it('gets as few requests as ten events and 256 KiB allow, each event for its bus and from this service', async () => {
    const { bus, requests, entries } = await startEventBridge();
    await bus.publishEvents(Array.from({ length: 25 }, (_, n) => event({ n })));
    expect(requests).toEqual([10, 10, 5]);
    expect(entries[0]).toEqual({
      EventBusName: 'fleet',
      Source: 'scooters-updater',
      DetailType: 'Something changed',
      Detail: '{"n":0}',
      Time: startOfTime.getTime() / 1000,
    });
  });

  it('that refuses a part is unavailable, and named with its reason', async () => {
    const { bus, state } = await startEventBridge();
    state.refusal = 'one entry';
    await expect(bus.publishEvents([event({}), event({})])).rejects.toThrow('event bus refused 1 of 2 events: ThrottlingException');
  });

  it('that hangs is given up', { timeout: 15_000 }, async () => {
    const { bus, state } = await startEventBridge();
    state.refusal = 'silence';
    await expect(bus.publishEvents([event({})])).rejects.toThrow(EventBusUnavailable);
  });
});
