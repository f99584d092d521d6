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
  summary: 'Change the comment of a firmware, or withdraw it',
  description:
    'A withdrawn firmware has no download link and is refused by new updates; devices that run it are still known to do so. It cannot be ' +
    'made available again: upload it under another version. Sending the same again changes nothing.',
  pathParameters: IdInPath,
  body: FirmwareChange,
  responses: { 200: { description: 'The firmware as it is now', body: ListedFirmware } },
  problems: [404, 409],
});
