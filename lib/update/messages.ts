import * as z from 'zod/mini';
import { PositiveInteger, Timestamp } from '../firmware/firmware.ts';
import { Step } from '../walk.ts';

/** "Do this step of this update." At any time at most one step of an update is due (README.md of this folder). */
export const AdvanceMessage = z.object({ update_id: PositiveInteger, step: Step, created_dt: Timestamp });
export type AdvanceMessage = z.output<typeof AdvanceMessage>;

/** "Hand this chunk to the backend." */
export const DispatchMessage = z.object({ dispatch_id: PositiveInteger });
export type DispatchMessage = z.output<typeof DispatchMessage>;

/** "Some devices of this chunk have not reported: ask the backend what they run." */
export const VerifyMessage = z.object({ dispatch_id: PositiveInteger });
export type VerifyMessage = z.output<typeof VerifyMessage>;
