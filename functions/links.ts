import type { Links } from '../lib/http/openapi.ts';

const id = { id: '$response.body#/id' };
const firstId = { id: '$response.body#/items/0/id' };
const firmware = (parameters: Record<string, string>) => ({ getFirmware: parameters, editFirmware: parameters, getManifest: parameters });
const update = (parameters: Record<string, string>) => ({
  ...{
    getUpdate: parameters,
    getUpdateTimeline: parameters,
    listExecutions: parameters,
    cancelUpdate: parameters,
    pauseUpdate: parameters,
    resumeUpdate: parameters,
  },
  ...{ changeUpdatePace: parameters, retryUpdate: parameters },
});
const scooter = (external_id: string) => ({ getScooter: { external_id }, listScooterUpdates: { external_id } });

/** For each operation, the operations that can be called next with values of its answer. */
export const links: Links = {
  uploadFirmware: firmware(id),
  listFirmwares: firmware(firstId),
  requestAssembly: { getAssembly: id },
  listAssemblies: { getAssembly: firstId },
  requestUpdate: update(id),
  retryUpdate: update(id),
  listUpdates: update(firstId),
  listExecutions: scooter('$response.body#/items/0/external_id'),
  listGroups: { getGroup: { name: '$response.body#/items/0/name' }, listGroupDevices: { name: '$response.body#/items/0/name' } },
  listZones: { getZone: { name: '$response.body#/items/0/name' } },
  lookUpDevices: scooter('$response.body#/items/0/external_id'),
  requestObservation: { getObservation: id },
  listObservations: { getObservation: firstId },
};
