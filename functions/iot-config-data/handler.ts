import type { CallingDevice } from '../../lib/ddi/authenticate-device.ts';
import { type RecordConfigDataDeps, recordConfigData } from '../../lib/ddi/record-config-data.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { configDataRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps<CallingDevice> & RecordConfigDataDeps) =>
  endpoint(
    operation(deps, configDataRoute, async ({ body }, device) => {
      await recordConfigData(deps, device, body);
      return json(200, {});
    }),
  );
