import * as z from 'zod/mini';
import { requestedText } from '../text.ts';

/** In Unicode's form NFC, so that a device and a firmware that mean the same revision have the same bytes. */
export const Revision = requestedText(64).check(
  z.minLength(1),
  z.normalize('NFC'),
  z.meta({ description: 'Revision of its hardware, in its maker’s words', example: 'B2' }),
);
