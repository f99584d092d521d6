export interface SendOptions {
  /** A whole number from 0 to 900, SQS's own limit. */
  delaySeconds?: number;
}

/** Refuses what SQS would refuse, and its emulators do not. */
export const checkedDelay = (delaySeconds: number): number => {
  if (Number.isInteger(delaySeconds) && delaySeconds >= 0 && delaySeconds <= 900) return delaySeconds;
  throw new RangeError(`A delay is a whole number of seconds from 0 to 900, not ${delaySeconds}`);
};

/** A queue of one kind of message. At least once, in no order: what reads it is safe to run twice. */
export interface Queue<Message> {
  /**
   * Returns when every message is stored by the queue.
   *
   * @throws RangeError for a delay that SQS does not know; `queue.unavailable` when any of them may not be; some may have been stored, so that sending again repeats them.
   */
  send(messages: readonly Message[], options?: SendOptions): Promise<void>;
}
