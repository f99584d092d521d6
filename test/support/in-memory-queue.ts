import { DomainError } from '../../lib/errors.ts';
import { checkedDelay, type Queue, type SendOptions } from '../../lib/ports/queue.ts';

/** A queue that keeps what is sent, and can be told to fail. test/contract/ holds it against the real one. */
export class InMemoryQueue<Message> implements Queue<Message> {
  readonly sent: Message[] = [];
  readonly delays: number[] = [];
  /** How many of the next sends fail. */
  failures = 0;

  async send(messages: readonly Message[], { delaySeconds = 0 }: SendOptions = {}): Promise<void> {
    checkedDelay(delaySeconds);
    if (this.failures > 0) {
      this.failures -= 1;
      throw new DomainError('queue.unavailable', 'The queue does not take messages');
    }
    // What travels is JSON: a Date arrives as text.
    for (const message of messages) {
      this.sent.push(JSON.parse(JSON.stringify(message)) as Message);
      this.delays.push(delaySeconds);
    }
  }

  /** Takes the messages out, oldest first. */
  take(): Message[] {
    this.delays.length = 0;
    return this.sent.splice(0);
  }
}
