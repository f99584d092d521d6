import * as z from 'zod/mini';
import { HardwareTypeName } from '../../lib/firmware/firmware.ts';
import { HardwareType, HardwareTypeChange, NewHardwareType } from '../../lib/firmware/hardware-type.ts';
import { defineRoute } from '../../lib/http/route.ts';

export const addHardwareTypeRoute = defineRoute({
  operationId: 'addHardwareType',
  method: 'POST',
  path: '/v1/hardware-types',
  tag: 'Firmwares',
  scope: 'firmware:write',
  summary: 'Add a hardware type',
  description: 'From then on it has firmwares, is reported and updated like any other. The same request again changes nothing.',
  body: NewHardwareType,
  responses: {
    201: { description: 'Added', body: HardwareType },
    200: { description: 'Was added by the same request before', body: HardwareType },
  },
  problems: [409],
});

const NameInPath = z.object({ name: HardwareTypeName });

export const changeHardwareTypeRoute = defineRoute({
  operationId: 'changeHardwareType',
  method: 'PATCH',
  path: '/v1/hardware-types/{name}',
  tag: 'Firmwares',
  scope: 'firmware:write',
  summary: 'Change a hardware type',
  description:
    'What is not named stays as it is. Rules for files and versions hold for firmwares that are added later. `device_kind` and `channel` ' +
    'can be changed only while nothing uses the hardware type. `author_signatures_required` needs the scope `keys:write`, too; where ' +
    'approval is on, it can only be raised.',
  pathParameters: NameInPath,
  body: HardwareTypeChange,
  responses: { 200: { description: 'The hardware type as it is now', body: HardwareType } },
  problems: [403, 404, 409],
});

export const deleteHardwareTypeRoute = defineRoute({
  operationId: 'deleteHardwareType',
  method: 'DELETE',
  path: '/v1/hardware-types/{name}',
  tag: 'Firmwares',
  scope: 'firmware:write',
  summary: 'Delete a hardware type that nothing uses',
  description: 'Refused while a firmware of any status, a requirement of one, or a report of a device refers to it.',
  pathParameters: NameInPath,
  responses: { 204: { description: 'Deleted', body: null } },
  problems: [404, 409],
});
