import type { Clock } from '../../lib/clock.ts';
import type { Db } from '../../lib/db/database.ts';
import type { CallingDevice } from '../../lib/ddi/authenticate-device.ts';
import { recordConfigData } from '../../lib/ddi/record-config-data.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { configDataRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps<CallingDevice> & { db: Db; now: Clock }) =>
  endpoint(
    operation(deps, configDataRoute, async ({ body }, device) => {
      await recordConfigData(deps, device, body);
      return json(200, {});
    }),
  );
