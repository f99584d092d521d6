import { HardwareType, NewHardwareType } from '../../lib/firmware/hardware-type.ts';
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
