import { createAwsService } from '../aws-json.ts';
import type { AwsCredentials } from '../aws-signature.ts';
import { type EventBus, EventBusUnavailable, maximumEventBytes, type ServiceEvent } from './event-bus.ts';

/** What rules match on, beside the type and the detail. */
const Source = 'scooters-updater';
/** EventBridge takes ten events a request, and 256 KiB of them together. */
const entriesPerRequest = 10;

interface Entry {
  EventBusName: string;
  Source: string;
  DetailType: string;
  /** Seconds since 1970. */
  Time: number;
  Detail: string;
}

interface PutEventsAnswer {
  FailedEntryCount?: number;
  Entries?: { ErrorCode?: string }[];
}

export interface EventBridgeOptions {
  /** Default: `AWS_ENDPOINT_URL_EVENTBRIDGE`, `AWS_ENDPOINT_URL`, or else EventBridge of the function's region. */
  endpoint?: string;
  /** Default: the function's. */
  region?: string;
  /** Default: those of the function's role. */
  credentials?: AwsCredentials;
}

/** A bus of EventBridge, by name or ARN. Nobody waits for events: a bus that is slow must not hold up what does. */
export const createEventBridgeBus = (EventBusName: string, options: EventBridgeOptions = {}): EventBus => {
  const { AWS_ENDPOINT_URL_EVENTBRIDGE, AWS_ENDPOINT_URL, AWS_REGION = '' } = process.env;
  const { region = AWS_REGION } = options;
  const call = createAwsService({
    service: 'events',
    region,
    endpoint: options.endpoint ?? AWS_ENDPOINT_URL_EVENTBRIDGE ?? AWS_ENDPOINT_URL ?? `https://events.${region}.amazonaws.com`,
    jsonVersion: '1.1',
    attempts: 2,
    timeoutMilliseconds: 3_000,
    keepsConnections: true,
    ...(options.credentials && { credentials: options.credentials }),
  });
  return {
    async publishEvents(events) {
      for (const Entries of inRequests(events.map((event) => toEntry(EventBusName, event)))) {
        const answer = await call<PutEventsAnswer>('AWSEvents.PutEvents', { Entries }).catch((cause: unknown) => {
          throw new EventBusUnavailable('event bus does not take events', { cause });
        });
        const { FailedEntryCount = 0, Entries: outcomes = [] } = answer;
        if (FailedEntryCount === 0) continue;
        const code = outcomes.find(({ ErrorCode }) => ErrorCode)?.ErrorCode;
        throw new EventBusUnavailable(`event bus refused ${FailedEntryCount} of ${Entries.length} events: ${code}`);
      }
    },
  };
};

const toEntry = (EventBusName: string, { type, occurred_dt, detail }: ServiceEvent): Entry => ({
  EventBusName,
  Source,
  DetailType: type,
  Time: occurred_dt.getTime() / 1_000,
  Detail: JSON.stringify(detail),
});

/** @throws RangeError for an event that no request has room for. */
const inRequests = (entries: readonly Entry[]): Entry[][] => {
  const requests: Entry[][] = [];
  let bytesLeft = 0;
  for (const entry of entries) {
    const bytes = Buffer.byteLength(entry.Detail) + Buffer.byteLength(`${Source}${entry.DetailType}`);
    if (bytes > maximumEventBytes) throw new RangeError(`An event has ${bytes} bytes, more than ${maximumEventBytes}`);
    const last = requests.at(-1);
    if (last && last.length < entriesPerRequest && bytes <= bytesLeft) last.push(entry);
    else {
      requests.push([entry]);
      bytesLeft = maximumEventBytes;
    }
    bytesLeft -= bytes;
  }
  return requests;
};
