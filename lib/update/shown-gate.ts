import * as z from 'zod/mini';
import { Timestamp } from '../firmware/firmware.ts';

/** How much of the pace the backend gets at the moment; one gate for all updates. */
export const ShownGate = z
  .object({
    share: z.number().check(z.meta({ description: 'Share of the pace that is let through, 0 to 1; it grows back within seconds' })),
    failures: z.int().check(z.meta({ description: 'Failed calls in a row; while there are any, single devices are asked to find out' })),
    closed_until: z.nullable(Timestamp).check(z.meta({ description: 'No call before; `resume` of an update has it tried at once' })),
    reason: z.nullable(z.string()).check(z.meta({ description: 'What happened to the last call that failed; null: the backend is well' })),
  })
  .register(z.globalRegistry, { id: 'BackendGate' });
export type ShownGate = z.infer<typeof ShownGate>;
