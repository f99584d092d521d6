import type { UploadFirmwareDeps } from '../../lib/firmware/upload-firmware.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import type { Log } from '../../lib/log.ts';
import { announceFirmware } from '../../lib/registration/announce-firmware.ts';
import { uploadFirmwareRoute } from './routes.ts';

export const createHandler = (deps: UploadFirmwareDeps & HttpDeps & { log: Log }) =>
  endpoint(
    operation(deps, uploadFirmwareRoute, async ({ body, requestId }, caller) => {
      const { isNew, answer } = await announceFirmware(deps, { ...body, created_by: caller.subject, request_id: requestId });
      return json(isNew ? 201 : 200, answer, { location: `/v1/firmwares/${answer.id}` });
    }),
  );
