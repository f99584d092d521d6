import * as z from 'zod/mini';
import { Timestamp } from '../firmware/firmware.ts';
import { ExecutionCounts, type ExecutionStatus, noCounts } from './execution.ts';
import type { Counts } from './update.ts';

/** How many of an update's executions had each status at so many moments, evenly spread. */
export const Timeline = z
  .object({
    points: z
      .array(z.object({ dt: Timestamp, counts: ExecutionCounts }))
      .check(z.meta({ description: 'The earliest first. Empty when the executions are no longer kept' })),
  })
  .register(z.globalRegistry, { id: 'Timeline' });
export type Timeline = z.infer<typeof Timeline>;

/**
 * Executions that have the same status now, and that were queued, asked and ended between the same moments. `queued`, `asked` and `ended` are
 * the indexes of the first moments at or after these times.
 */
export interface ExecutionGroup {
  status: ExecutionStatus;
  queued: number;
  /** null: its device was not asked, or is to be asked again. */
  asked: number | null;
  /** null: it has not ended. */
  ended: number | null;
  executions: number;
}

/** `points` moments from the first to the last, both included; fewer if they would be less than a millisecond apart. */
export const momentsBetween = (from: Date, until: Date, points: number): Date[] => {
  const length = Math.max(0, until.getTime() - from.getTime());
  const steps = Math.min(points - 1, length);
  return Array.from({ length: steps + 1 }, (_, i) => new Date(from.getTime() + Math.round((length * i) / Math.max(1, steps))));
};

/** Counts the statuses at each moment: where an execution changes its status, it is added to the new one and taken from the old one. */
export const pointsOf = (moments: readonly Date[], groups: readonly ExecutionGroup[]): Timeline['points'] => {
  const changes = moments.map(noCounts);
  const change = (moment: number, status: ExecutionStatus, executions: number) => {
    const counts = changes[moment];
    if (counts) counts[status] += executions;
  };
  for (const { status, queued, asked, ended, executions } of groups) {
    change(queued, 'QUEUED', executions);
    if (asked !== null) {
      change(asked, 'QUEUED', -executions);
      change(asked, 'IN_PROGRESS', executions);
    }
    if (ended !== null) {
      change(ended, asked === null ? 'QUEUED' : 'IN_PROGRESS', -executions);
      change(ended, status, executions);
    }
  }
  let counts: Counts = noCounts();
  return moments.map((dt, i) => {
    counts = sumOf(counts, changes[i] ?? noCounts());
    return { dt, counts };
  });
};

const sumOf = (some: Counts, others: Counts): Counts =>
  Object.fromEntries(Object.entries(some).map(([status, n]) => [status, n + others[status as ExecutionStatus]])) as Counts;
