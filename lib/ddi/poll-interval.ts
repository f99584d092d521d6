import type { OfferTimes } from '../update/offer-times.ts';

/** How often devices ask, in seconds; `DDI_POLL_SECONDS` and `DDI_WAITING_POLL_SECONDS`. */
export interface PollIntervals {
  /** A device without work. */
  idleSeconds: number;
  /** A device that waits for its turn, or is expected to say something. */
  waitingSeconds: number;
}

export const defaultPollIntervals: PollIntervals = { idleSeconds: 300, waitingSeconds: 30 };

/** hawkBit's clients expect less than a day. */
const longestSeconds = 86_399;
/** The devices of a large update wait longer between polls, so that together they do not ask more often than this in a second. */
const waitingPollsPerSecond = 200;

/**
 * How long a device is to wait before it polls again. `random`, from [0, 1), makes it up to a quarter more or less, so that a thousand devices
 * that were switched on at one moment do not poll at one moment for ever.
 */
export const pollSeconds = (
  { idleSeconds, waitingSeconds }: PollIntervals,
  { isWaiting, devices }: { isWaiting: boolean; devices: number },
  random: number,
): number => {
  const seconds = isWaiting ? Math.min(idleSeconds, Math.max(waitingSeconds, devices / waitingPollsPerSecond)) : idleSeconds;
  return Math.min(longestSeconds, Math.max(1, Math.round(seconds * (0.75 + random / 2))));
};

/**
 * How long a device is to wait that cannot be served now (Retry-After). If a thousand devices come at one moment, they come again spread over
 * half a minute. `random` is from [0, 1).
 */
export const retrySeconds = (random: number): number => 2 + Math.floor(random * 29);

/** `HH:MM:SS`, as the protocol has it. */
export const formatSleep = (seconds: number): string =>
  [seconds / 3600, (seconds / 60) % 60, seconds % 60].map((part) => String(Math.floor(part)).padStart(2, '0')).join(':');

/** The time of the last poll is written no more often than this. */
export const seenSeconds = 300;

/**
 * A device that has missed two polls counts as switched off. The longest time between two polls is a quarter above the interval, and the
 * stored time may be older than the last poll by {@link seenSeconds}.
 */
export const offerTimesOf = ({ idleSeconds }: PollIntervals): OfferTimes => ({
  aliveSeconds: 2.5 * idleSeconds + seenSeconds,
  standSeconds: 2.5 * idleSeconds + 10,
});
