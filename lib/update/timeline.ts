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

/** Executions that are alike: their status now, and the places of the first moments at which they were there, asked, and ended. */
export interface ExecutionGroup {
  status: ExecutionStatus;
  queued: number;
  /** null: its device was not asked, or is to be asked again. */
  asked: number | null;
  /** null: it has not ended. */
  ended: number | null;
  executions: number;
}

/** So many moments from the first to the last one, both included; fewer where they would be less than a millisecond apart. */
export const momentsBetween = (from: Date, until: Date, points: number): Date[] => {
  const length = Math.max(0, until.getTime() - from.getTime());
  const steps = Math.min(points - 1, length);
  return Array.from({ length: steps + 1 }, (_, i) => new Date(from.getTime() + Math.round((length * i) / Math.max(1, steps))));
};

/** At each moment an execution has the last status that it had come to: each adds to one and takes from another where it changes. */
export const pointsOf = (moments: readonly Date[], groups: readonly ExecutionGroup[]): Timeline['points'] => {
  const changes = moments.map(noCounts);
  const change = (place: number, status: ExecutionStatus, executions: number) => {
    const counts = changes[place];
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
