import * as z from 'zod/mini';
import { Timestamp } from '../firmware/firmware.ts';

/** "Do this step of this update": at most one step of an update is to be done at any time (README.md of this folder). */
export const AdvanceMessage = z.object({ update_id: z.int(), step: z.int().check(z.minimum(0)), created_dt: Timestamp });
export type AdvanceMessage = z.output<typeof AdvanceMessage>;

/** "Hand this chunk to the backend." */
export const DispatchMessage = z.object({ dispatch_id: z.int() });
export type DispatchMessage = z.output<typeof DispatchMessage>;

/** "Ask the backend what the devices of this chunk run that have not reported." */
export const VerifyMessage = z.object({ dispatch_id: z.int() });
export type VerifyMessage = z.output<typeof VerifyMessage>;
