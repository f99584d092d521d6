import { violatedConstraint } from '../db/database-error.ts';
import { wrongField } from '../errors.ts';

/** The zones that devices are to stand in, each once. */
export const zonesOf = (devices: readonly { zone?: string | null | undefined }[]): string[] => [
  ...new Set(devices.flatMap(({ zone }) => zone ?? [])),
];

/** Of a statement that puts devices into zones. @throws `request.invalid` when it was refused because there is no such zone. */
export const refuseUnknownZone = (error: unknown): never => {
  if (violatedConstraint(error) === 'devices_zone_fkey') throw wrongField('request.invalid', 'zone', 'there is no such zone');
  throw error;
};
