import { addSeconds, type Clock, secondsBetween } from '../../lib/clock.ts';
import { checkedDelay, type Queue, type SendOptions } from '../../lib/ports/queue.ts';
import type { TestClock } from './fixtures.ts';

/** Of the work queues in resources/queues.yml, like the number of receives. */
export const visibilitySeconds = 174;
const maximumReceives = 100;

/** A message in a queue. */
export interface QueuedMessage<Name extends string = string> {
  queue: Name;
  body: unknown;
  /** From when on it can be received. */
  due: Date;
  receives: number;
}

/**
 * SQS by a clock that a test moves: a message can be received from its time on. While somebody works on it, it is hidden; it comes again
 * unless it was removed by then, and is dead when that has happened too often.
 */
export class TimedQueues<Name extends string = string> {
  /** In the queues, oldest first. */
  messages: QueuedMessage<Name>[] = [];
  /** In the dead-letter queues. */
  readonly dead: QueuedMessage<Name>[] = [];
  readonly #now: Clock;
  readonly #maximumReceives: number;

  /** With fewer receives than in SQS a test shows that none of its messages is in trouble. */
  constructor(now: Clock, options: { maximumReceives?: number } = {}) {
    this.#now = now;
    this.#maximumReceives = options.maximumReceives ?? maximumReceives;
  }

  /** What travels is JSON: a Date arrives as text. */
  put(queue: Name, body: unknown, delaySeconds = 0): QueuedMessage<Name> {
    const message = { queue, body: JSON.parse(JSON.stringify(body)), due: addSeconds(this.#now(), delaySeconds), receives: 0 };
    this.messages.push(message);
    return message;
  }

  send(queue: Name, bodies: readonly unknown[], { delaySeconds = 0 }: SendOptions = {}): void {
    checkedDelay(delaySeconds);
    for (const body of bodies) this.put(queue, body, delaySeconds);
  }

  /** The side of a queue that functions see. `onSend` comes first, and may fail. */
  sender<Body>(name: Name, onSend: () => void): Queue<Body> {
    return {
      send: async (bodies, options) => {
        onSend();
        this.send(name, bodies, options);
      },
    };
  }

  /** The message that can be received first. */
  first(): QueuedMessage<Name> | undefined {
    return this.messages.toSorted((a, b) => a.due.getTime() - b.due.getTime())[0];
  }

  /** Hides a message from now on; false: it is dead. SQS may bring a copy of a message before its time; that is no receive. */
  receive(message: QueuedMessage<Name>): boolean {
    const isCopy = message.due > this.#now();
    if (!isCopy && message.receives >= this.#maximumReceives) {
      this.remove(message);
      this.dead.push(message);
      return false;
    }
    if (!isCopy) message.receives += 1;
    message.due = addSeconds(this.#now(), visibilitySeconds);
    return true;
  }

  /** The message that can be received first, at its time. @throws for one that is dead */
  receiveFirst(clock: TestClock): QueuedMessage<Name> | undefined {
    const message = this.first();
    if (!message) return undefined;
    clock.advance(Math.max(0, secondsBetween(clock.now(), message.due)));
    if (!this.receive(message)) throw new Error(`A message is in the dead-letter queue: ${JSON.stringify(message)}`);
    return message;
  }

  /** False: it is not in its queue any more. */
  remove(message: QueuedMessage<Name>): boolean {
    const index = this.messages.indexOf(message);
    if (index >= 0) this.messages.splice(index, 1);
    return index >= 0;
  }
}
