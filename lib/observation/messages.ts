import * as z from 'zod/mini';
import { PositiveInteger, Timestamp } from '../firmware/firmware.ts';
import { Step } from '../walk.ts';

/** "Do this step of this observation." At any time at most one step of an observation is due (README.md of this folder). */
export const ObserveMessage = z.object({ observation_id: PositiveInteger, step: Step, created_dt: Timestamp });
export type ObserveMessage = z.output<typeof ObserveMessage>;
