import type { EventBridgeClientConfig, PutEventsRequestEntry } from '@aws-sdk/client-eventbridge';
import { credentialsOfRole } from '../aws-credentials.ts';
import { onDemand } from '../on-demand.ts';
import { type EventBus, EventBusUnavailable, maximumEventBytes, type ServiceEvent } from './event-bus.ts';

/** What rules match on, beside the type and the detail. */
const Source = 'scooters-updater';
/** EventBridge takes ten events a request, and 256 KiB of them together. */
const entriesPerRequest = 10;

/** Nobody waits for events: a bus that is slow must not hold up what does. */
const requestHandler = { connectionTimeout: 1_000, requestTimeout: 3_000, throwOnRequestTimeout: true };

/**
 * A bus of EventBridge, by name or ARN; the SDK is loaded with the first event.
 *
 * @param config default: the function's region and role, and the endpoint of `AWS_ENDPOINT_URL_EVENTBRIDGE` or `AWS_ENDPOINT_URL`.
 */
export const createEventBridgeBus = (EventBusName: string, config: EventBridgeClientConfig = {}): EventBus => {
  const open = onDemand(async () => {
    const { EventBridgeClient, PutEventsCommand } = await import('../sdk/eventbridge.ts');
    const client = new EventBridgeClient({ maxAttempts: 2, requestHandler, credentials: async () => credentialsOfRole(), ...config });
    return (Entries: PutEventsRequestEntry[]) => client.send(new PutEventsCommand({ Entries }));
  });
  return {
    async publishEvents(events) {
      for (const Entries of inRequests(events.map((event) => toEntry(EventBusName, event)))) {
        const putEvents = await open();
        const { FailedEntryCount = 0, Entries: outcomes = [] } = await putEvents(Entries).catch((cause: unknown) => {
          throw new EventBusUnavailable('event bus does not take events', { cause });
        });
        if (FailedEntryCount === 0) continue;
        const code = outcomes.find(({ ErrorCode }) => ErrorCode)?.ErrorCode;
        throw new EventBusUnavailable(`event bus refused ${FailedEntryCount} of ${Entries.length} events: ${code}`);
      }
    },
  };
};

const toEntry = (EventBusName: string, { type, occurred_dt, detail }: ServiceEvent): PutEventsRequestEntry => ({
  EventBusName,
  Source,
  DetailType: type,
  Time: occurred_dt,
  Detail: JSON.stringify(detail),
});

/** @throws RangeError for an event that no request has room for. */
const inRequests = (entries: readonly PutEventsRequestEntry[]): PutEventsRequestEntry[][] => {
  const requests: PutEventsRequestEntry[][] = [];
  let bytesLeft = 0;
  for (const entry of entries) {
    const bytes = Buffer.byteLength(entry.Detail ?? '') + Buffer.byteLength(`${Source}${entry.DetailType}`);
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
