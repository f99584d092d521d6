import * as z from 'zod/mini';
import { Timestamp } from '../firmware/firmware.ts';

/** "Do this step of this observation": at most one step of an observation is to be done at any time (README.md of this folder). */
export const ObserveMessage = z.object({ observation_id: z.int(), step: z.int().check(z.minimum(0)), created_dt: Timestamp });
export type ObserveMessage = z.output<typeof ObserveMessage>;
