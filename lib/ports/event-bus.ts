/** Something that has happened, for other services. */
export interface ServiceEvent {
  type: string;
  /** When it happened. */
  occurred_dt: Date;
  /** JSON: dates become texts. */
  detail: object;
}

/** The largest event that is accepted: EventBridge's own limit, minus room for the envelope. */
export const maximumEventBytes = 250_000;

/** Where events go. They arrive at least once, in no order, so that listeners have to tolerate repetitions. */
export interface EventBus {
  /**
   * Returns when the bus has every event.
   *
   * @throws {@link EventBusUnavailable} when the bus may not have all of them. It may have some; publishing again repeats these.
   */
  publishEvents(events: readonly ServiceEvent[]): Promise<void>;
}

export class EventBusUnavailable extends Error {
  override readonly name = 'EventBusUnavailable';
}
