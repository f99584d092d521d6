import * as z from 'zod/mini';
import { Timestamp } from '../firmware/firmware.ts';
import { executionStatuses } from './execution.ts';
import { listExecutionReasons } from './reasons.ts';
import { WaitsFor } from './waits-for.ts';

export const Execution = z
  .object({
    id: z.int(),
    update_id: z.int(),
    kind: z.string(),
    external_id: z.string(),
    status: z.enum(executionStatuses),
    reason: z.nullable(z.string()).check(
      z.meta({
        description: `Why it has this status, if there is more to say: one of these words, and for some of them a colon and more.\n\n${listExecutionReasons()}`,
      }),
    ),
    detail: z.nullable(z.string()).check(z.meta({ description: 'What the device or the backend said' })),
    attempt: z.int().check(
      z.meta({
        description: 'Which try it is: the number of the last command that was sent and not put off; 1 before the first command',
      }),
    ),
    retries: z
      .int()
      .check(
        z.meta({ description: 'How many more commands were sent after the first one. A try that is due and not sent does not count' }),
      ),
    is_canary: z.boolean(),
    queued_dt: Timestamp,
    sent_dt: z.nullable(Timestamp),
    finished_dt: z.nullable(Timestamp),
    waits_for: z.nullable(WaitsFor).check(z.meta({ description: 'What stands between it and its end; null: it has ended' })),
    next_attempt_dt: z.nullable(Timestamp),
    late_success_dt: z
      .nullable(Timestamp)
      .check(z.meta({ description: 'When the version wanted was seen after the execution had ended otherwise' })),
  })
  .register(z.globalRegistry, { id: 'Execution' });
export type Execution = z.infer<typeof Execution>;

/** An execution in the list of one device's executions. */
export const DeviceExecution = z
  .extend(Execution, { hardware_type: z.string(), firmware_id: z.int(), firmware_version: z.string() })
  .register(z.globalRegistry, { id: 'DeviceExecution' });
export type DeviceExecution = z.infer<typeof DeviceExecution>;
