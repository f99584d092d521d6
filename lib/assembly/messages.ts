import * as z from 'zod/mini';
import { PositiveInteger, Timestamp } from '../firmware/firmware.ts';

/** "Make the package of this assembly." */
export const AssembleMessage = z.object({ assembly_id: PositiveInteger, created_dt: Timestamp });
export type AssembleMessage = z.output<typeof AssembleMessage>;
