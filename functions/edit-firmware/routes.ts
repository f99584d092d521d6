import { FirmwareChange } from '../../lib/firmware/edit-firmware.ts';
import { ListedFirmware } from '../../lib/firmware/firmware.ts';
import { IdInPath } from '../../lib/http/path-parameters.ts';
import { defineRoute } from '../../lib/http/route.ts';

export const editFirmwareRoute = defineRoute({
  operationId: 'editFirmware',
  method: 'PATCH',
  path: '/v1/firmwares/{id}',
  tag: 'Firmwares',
  scope: 'firmware:write',
  summary: 'Change the comment, the ordinal or the revisions of a firmware, or withdraw it',
  description:
    'A withdrawn firmware has no download link and is refused by new updates; devices that run it are still known to do so. It cannot be ' +
    'made available again: upload it under another version. Sending the same again changes nothing. `version_num` can be corrected while ' +
    'no update rests on it: none that is open, and none that may have asked devices. `revisions` can be changed at any time: a device that ' +
    'does not fit any more is asked for nothing, and its execution ends REMOVED with the reason HARDWARE_MISMATCH when its turn comes.',
  pathParameters: IdInPath,
  body: FirmwareChange,
  responses: { 200: { description: 'The firmware as it is now', body: ListedFirmware } },
  problems: [404, 409],
});

export const deleteFirmwareRoute = defineRoute({
  operationId: 'deleteFirmware',
  method: 'DELETE',
  path: '/v1/firmwares/{id}',
  tag: 'Firmwares',
  scope: 'firmware:write',
  summary: 'Take back a firmware that awaits its upload or was rejected',
  description:
    'Its version, ordinal and key are free again; a file that still arrives by its link is ignored. A firmware that is or was available is never deleted: withdraw it instead.',
  pathParameters: IdInPath,
  responses: { 204: { description: 'Deleted', body: null } },
  problems: [404, 409],
});
