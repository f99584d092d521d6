import * as z from 'zod/mini';
import { DomainError, type FieldError } from '../errors.ts';
import { ItemError, judged, Malformed } from '../http/judged.ts';
import { summarize } from '../http/parse-request.ts';
import { NewDevice } from './new-device.ts';

/** One of many devices in a call, judged on its own. */
export const SentDevice = judged(NewDevice);
export type SentDevice = z.output<typeof SentDevice>;

/** For how many refused devices the answer says why; it has to fit into one response. */
const maximumRefusals = 1_000;

export const RefusedDevices = z.object({
  refused_count: z.int(),
  refused: z
    .array(
      z.object({
        index: z.int().check(z.meta({ description: 'Its place in `devices`, from 0' })),
        external_id: z.nullable(z.string()),
        errors: z.array(ItemError),
      }),
    )
    .check(z.meta({ description: `The first ${maximumRefusals} of them` })),
});
export type RefusedDevices = z.infer<typeof RefusedDevices>;

export const wellFormedOf = (sent: readonly SentDevice[]): NewDevice[] =>
  sent.flatMap((device) => (device instanceof Malformed ? [] : [device]));

interface Judgement {
  /** Whether a part of the devices may be registered. */
  partial: boolean;
  /** Zones that devices name and that do not exist. */
  unknownZones: readonly string[];
}

/**
 * Separates devices that can be registered from those that cannot, with the reason: the device is not well-formed, comes twice, or stands in
 * a zone that does not exist.
 *
 * @throws `request.invalid` with every wrong field, unless a part of the devices may be registered.
 */
export const judgeDevices = (
  sent: readonly SentDevice[],
  { partial, unknownZones }: Judgement,
): { devices: NewDevice[] } & RefusedDevices => {
  const wellFormed = wellFormedOf(sent);
  const zoneErrors = ({ zone }: NewDevice) =>
    zone && unknownZones.includes(zone) ? [{ path: 'zone', message: `there is no zone ${zone}` }] : [];
  if (!partial) {
    const errorsOf = (device: SentDevice): FieldError[] =>
      device instanceof Malformed ? [...device.errors] : zoneErrors(device).map((error) => ({ in: 'body', ...error }));
    const errors = sent.flatMap((device, i) => errorsOf(device).map((error) => within(error, i)));
    if (errors.length > 0) throw new DomainError('request.invalid', summarize(errors, errors.length), { errors });
    return { devices: wellFormed, refused_count: 0, refused: [] };
  }
  const times = Map.groupBy(wellFormed, keyOf);
  const isRepeated = (device: NewDevice) => (times.get(keyOf(device))?.length ?? 0) > 1;
  const refused = sent.flatMap((device, index) => {
    if (device instanceof Malformed) return [{ index, external_id: device.textOf('external_id'), errors: device.itemErrors.slice(0, 3) }];
    const repeated = isRepeated(device) ? [{ path: 'external_id', message: 'comes more than once' }] : [];
    const errors = [...repeated, ...zoneErrors(device)];
    return errors.length > 0 ? [{ index, external_id: device.external_id, errors }] : [];
  });
  const devices = wellFormed.filter((device) => !isRepeated(device) && zoneErrors(device).length === 0);
  return { devices, refused_count: refused.length, refused: refused.slice(0, maximumRefusals) };
};

const keyOf = ({ kind, external_id }: NewDevice): string => `${kind} ${external_id}`;

const within = (error: FieldError, i: number): FieldError => ({
  ...error,
  path: error.path ? `devices.${i}.${error.path}` : `devices.${i}`,
});
