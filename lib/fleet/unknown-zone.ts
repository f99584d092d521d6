import { violatedConstraint } from '../db/database-error.ts';
import { wrongField } from '../errors.ts';

/** The zones that these devices name, each once. */
export const zonesOf = (devices: readonly { zone?: string | null | undefined }[]): string[] => [
  ...new Set(devices.flatMap(({ zone }) => zone ?? [])),
];

/** Takes the error of a statement that puts devices into zones. @throws `request.invalid` if a zone does not exist, else the error itself. */
export const refuseUnknownZone = (error: unknown): never => {
  if (violatedConstraint(error) === 'devices_zone_fkey') throw wrongField('request.invalid', 'zone', 'there is no such zone');
  throw error;
};
