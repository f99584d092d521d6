/** Something that has happened, for whoever listens. */
export interface ServiceEvent {
  type: string;
  /** When it was so. */
  occurred_dt: Date;
  /** JSON: dates become texts. */
  detail: object;
}

/** An event larger than this is not taken, by EventBridge's own limit with room for what surrounds it. */
export const maximumEventBytes = 250_000;

/** Where events go. At least once, in no order: what reads them is safe to read one twice. */
export interface EventBus {
  /**
   * Returns when the bus has every event.
   *
   * @throws {@link EventBusUnavailable} when it may not have all of them; it may have some, so that publishing again repeats these.
   */
  publishEvents(events: readonly ServiceEvent[]): Promise<void>;
}

export class EventBusUnavailable extends Error {
  override readonly name = 'EventBusUnavailable';
}
