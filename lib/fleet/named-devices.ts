import * as z from 'zod/mini';
import { DeviceKind, ExternalId } from './device.ts';

/** The most devices that a request may name one by one; a filter can choose more. */
const maximumNamed = 10_000;

export const NamedDevices = z.strictObject({
  kind: z._default(DeviceKind, 'scooter'),
  external_ids: z.array(ExternalId).check(z.minLength(1), z.maxLength(maximumNamed)),
});
