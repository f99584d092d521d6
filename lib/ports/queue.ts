export interface SendOptions {
  /** 0 to 900, SQS's own limit. */
  delaySeconds?: number;
}

/** A queue of one kind of message. At least once, in no order: what reads it is safe to run twice. */
export interface Queue<Message> {
  /**
   * Returns when every message is stored by the queue.
   *
   * @throws `queue.unavailable` when any of them may not be; some may have been stored, so that sending again repeats them.
   */
  send(messages: readonly Message[], options?: SendOptions): Promise<void>;
}
