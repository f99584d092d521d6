import * as z from 'zod/mini';

/**
 * Update status:
 *
 *   WAITING_FOR_APPROVAL ──reject▶ CANCELED (also by cancel; ABORTED when its firmware is withdrawn)
 *        │ approve, by somebody else
 *        ▼
 *   SCHEDULED ──start_dt──▶ IN_PROGRESS ──all executions ended──▶ COMPLETED
 *        │                   │   ▲
 *        │                 pause resume      (a stop rule may pause, too)
 *        │                   ▼   │
 *        ├────────────────▶ PAUSED
 *        └─ from any of the three: cancel ▶ CANCELED, a stop rule or a failed canary ▶ ABORTED
 *
 * An update becomes CANCELED or ABORTED at once. Executions that devices are at work on still go on to their ends; then `finished_dt` is set.
 */
export const updateStatuses = ['WAITING_FOR_APPROVAL', 'SCHEDULED', 'IN_PROGRESS', 'PAUSED', 'COMPLETED', 'CANCELED', 'ABORTED'] as const;
/** How many updates have each status. */
export const UpdateCounts = z.object({
  WAITING_FOR_APPROVAL: z.int(),
  SCHEDULED: z.int(),
  IN_PROGRESS: z.int(),
  PAUSED: z.int(),
  COMPLETED: z.int(),
  CANCELED: z.int(),
  ABORTED: z.int(),
});
export type UpdateStatus = (typeof updateStatuses)[number];

/** Statuses in which executions may be released. */
export const isRunning = (status: UpdateStatus): boolean => status === 'SCHEDULED' || status === 'IN_PROGRESS';

/** Statuses that nothing leaves. */
export const isEnded = (status: UpdateStatus): boolean => status === 'COMPLETED' || status === 'CANCELED' || status === 'ABORTED';
