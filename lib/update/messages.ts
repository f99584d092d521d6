import * as z from 'zod/mini';
import { PositiveInteger, Timestamp } from '../firmware/firmware.ts';
import { Step } from '../walk.ts';

/** "Do this step of this update": at most one step of an update is to be done at any time (README.md of this folder). */
export const AdvanceMessage = z.object({ update_id: PositiveInteger, step: Step, created_dt: Timestamp });
export type AdvanceMessage = z.output<typeof AdvanceMessage>;

/** "Hand this chunk to the backend." */
export const DispatchMessage = z.object({ dispatch_id: PositiveInteger });
export type DispatchMessage = z.output<typeof DispatchMessage>;

/** "Ask the backend what the devices of this chunk run that have not reported." */
export const VerifyMessage = z.object({ dispatch_id: PositiveInteger });
export type VerifyMessage = z.output<typeof VerifyMessage>;
