import * as z from 'zod/mini';
import { Timestamp } from '../firmware/firmware.ts';

/** "Make the package of this assembly." */
export const AssembleMessage = z.object({ assembly_id: z.int(), created_dt: Timestamp });
export type AssembleMessage = z.output<typeof AssembleMessage>;
