import type { Db } from '../../db/database.ts';
import { DomainError } from '../../errors.ts';
import type { Firmware } from '../../firmware/firmware.ts';
import { findFirmware } from '../../firmware/firmware-queries.ts';
import type { WantedFirmware } from './eligibility.ts';

/** A firmware that exists but is not available has no `version_num`. @throws `firmware.not_available` when there is no such firmware. */
export const getWantedFirmware = async (db: Db, id: number): Promise<WantedFirmware> => {
  return toWanted(await findFirmware(db, id));
};

/** The firmware of an update that has been planned: who takes part does not depend on what has become of it since. */
export const getPlannedFirmware = async (db: Db, id: number): Promise<WantedFirmware> => {
  const firmware = await findFirmware(db, id);
  return { ...toWanted(firmware), version_num: firmware?.version_num ?? null };
};

export const toWanted = (firmware: Firmware | undefined): WantedFirmware => {
  if (!firmware) throw notAvailable(undefined);
  const { id, hardware_type, assembly_id, requires, minimum_from_version_num, revisions, status } = firmware;
  return {
    id,
    hardware_type,
    assembly_id,
    requires,
    minimum_from_version_num,
    revisions,
    version_num: status === 'available' ? firmware.version_num : null,
  };
};

export const notAvailable = (firmware: Firmware | undefined): DomainError => {
  const { status, reason } = firmware ?? {};
  const message = firmware ? `is ${status}${reason ? `: ${reason}` : ''}` : 'is not the id of a firmware';
  return new DomainError('firmware.not_available', `The firmware ${message}`, {
    errors: [{ in: 'body', path: 'firmware_id', message }],
    ...(status && { answer: { firmware_status: status } }),
  });
};
