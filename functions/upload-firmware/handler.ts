import { type UploadFirmwareDeps, uploadFirmware } from '../../lib/firmware/upload-firmware.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { uploadFirmwareRoute } from './routes.ts';

export const createHandler = (deps: UploadFirmwareDeps & HttpDeps) =>
  endpoint(
    operation(deps, uploadFirmwareRoute, async ({ body }, caller) => {
      const { isNew, answer } = await uploadFirmware(deps, { ...body, created_by: caller.subject });
      return json(isNew ? 201 : 200, answer, { location: `/v1/firmwares/${answer.id}` });
    }),
  );
