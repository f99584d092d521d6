import * as z from 'zod/mini';
import { DeviceKind, ExternalId } from './device.ts';

/** Devices named one by one in a request; more are chosen by a filter. */
const maximumNamed = 10_000;

export const NamedDevices = z.strictObject({
  kind: z._default(DeviceKind, 'scooter'),
  external_ids: z.array(ExternalId).check(z.minLength(1), z.maxLength(maximumNamed)),
});
