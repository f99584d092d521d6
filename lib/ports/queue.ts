export interface SendOptions {
  /** A whole number from 0 to 900, SQS's own limit. */
  delaySeconds?: number;
}

/** Refuses delays that SQS refuses, because its emulators accept them. */
export const checkedDelay = (delaySeconds: number): number => {
  if (Number.isInteger(delaySeconds) && delaySeconds >= 0 && delaySeconds <= 900) return delaySeconds;
  throw new RangeError(`A delay is a whole number of seconds from 0 to 900, not ${delaySeconds}`);
};

/** A queue of one kind of message. Messages arrive at least once, in no order, so that consumers have to tolerate repetitions. */
export interface Queue<Message> {
  /**
   * Returns when every message is stored by the queue.
   *
   * @throws RangeError for a delay that SQS does not accept; `queue.unavailable` when a message may not have been stored. Others may have been;
   *   sending again repeats these.
   */
  send(messages: readonly Message[], options?: SendOptions): Promise<void>;
}
