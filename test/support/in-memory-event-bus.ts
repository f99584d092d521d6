import { type EventBus, EventBusUnavailable, maximumEventBytes, type ServiceEvent } from '../../lib/ports/event-bus.ts';

export interface PublishedEvent {
  type: string;
  occurred_dt: string;
  // biome-ignore lint/suspicious/noExplicitAny: what a reader gets is JSON.
  detail: any;
}

/** A bus that keeps what is published, and can be told to fail. test/contract/ holds it against the real one. */
export class InMemoryEventBus implements EventBus {
  readonly published: PublishedEvent[] = [];
  /** How many of the next calls fail. */
  failures = 0;
  /** Whether a call that fails has stored its events all the same, as when the answer is lost. */
  storesWhenFailing = false;
  calls = 0;

  async publishEvents(events: readonly ServiceEvent[]): Promise<void> {
    const entries = events.map((event) => JSON.parse(JSON.stringify(event)) as PublishedEvent);
    if (entries.some(({ detail }) => Buffer.byteLength(JSON.stringify(detail)) > maximumEventBytes)) {
      throw new RangeError('An event is too large');
    }
    this.calls += 1;
    const fails = this.failures > 0;
    if (fails) this.failures -= 1;
    if (!fails || this.storesWhenFailing) this.published.push(...entries);
    if (fails) throw new EventBusUnavailable('event bus does not take events');
  }
}
