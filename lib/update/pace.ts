export interface PaceWindow {
  seconds: number;
  maximumCommands: number;
}

/** Parts of a minute; the shortest is long enough to hide how long a message takes through the queue. */
const windowSeconds = [5, 6, 10, 12, 15, 20, 30] as const;
/** A shorter window spreads commands better; this is what rounding it to whole commands may cost. */
const maximumLoss = 0.05;

/**
 * The pace as a sliding window: at most `maximumCommands` in any `seconds`. A minute is made of whole windows, so the pace of a minute
 * is never exceeded; the window is the shortest that reaches at least 95 % of it.
 */
export const paceWindow = (maximumPerMinute: number): PaceWindow => {
  for (const seconds of windowSeconds) {
    const maximumCommands = Math.floor((maximumPerMinute * seconds) / 60);
    if ((maximumCommands * 60) / seconds >= maximumPerMinute * (1 - maximumLoss)) return { seconds, maximumCommands };
  }
  return { seconds: 60, maximumCommands: maximumPerMinute };
};
