import type { Log } from '../log.ts';
import { count, type Metrics } from '../metrics.ts';
import { wordsOfOthers } from '../words-of-others.ts';

/** How a device begins its words when it does not believe what it was told to install (docs/devices.md). */
const beginning = 'not trusted: ';
const maximumLogged = 500;

/**
 * Raises the alarm when devices do not believe what the service tells them. Whoever changes the database or the bucket behind its back leaves
 * no line of the audit, and devices are the first who can see it.
 */
export const noteDistrust = ({ log, metrics }: { log: Log; metrics?: Metrics }, details: readonly (string | null | undefined)[]): void => {
  const [first, ...others] = details.filter((detail) => detail?.startsWith(beginning));
  if (!first) return;
  log.error('devices do not trust what they were told to install', {
    devices: 1 + others.length,
    detail: wordsOfOthers(first, maximumLogged),
  });
  metrics?.publish({ distrusting_devices: count(1 + others.length) });
};
