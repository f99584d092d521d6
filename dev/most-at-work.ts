// How many devices of a zone were at work at one moment, at most: the figure that an availability budget limits.

/** A device at work: from the command to the end of its execution, in milliseconds. */
export interface Stretch {
  zone: string;
  device: string;
  from: number;
  until: number;
}

/** By zone. A device with two executions at one moment counts once, and one that ends makes room for one that begins at the same moment. */
export const mostAtWork = (stretches: readonly Stretch[]): Map<string, number> =>
  new Map([...Map.groupBy(stretches, ({ zone }) => zone)].map(([zone, within]) => [zone, mostAtOnce(within)]));

const mostAtOnce = (stretches: readonly Stretch[]): number => {
  const changes = stretches.flatMap(({ device, from, until }) => [
    { device, at: from, by: 1 },
    { device, at: until, by: -1 },
  ]);
  const executions = new Map<string, number>();
  let most = 0;
  for (const { device, by } of changes.sort((a, b) => a.at - b.at || a.by - b.by)) {
    const left = (executions.get(device) ?? 0) + by;
    if (left > 0) executions.set(device, left);
    else executions.delete(device);
    most = Math.max(most, executions.size);
  }
  return most;
};
