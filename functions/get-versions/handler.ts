import type { Db } from '../../lib/db/database.ts';
import type { DownloadDeps } from '../../lib/firmware/download.ts';
import { getFirmware } from '../../lib/firmware/get-firmware.ts';
import { listHardwareTypes } from '../../lib/firmware/hardware-type-queries.ts';
import { listFirmwares } from '../../lib/firmware/list-firmwares.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { getFirmwareRoute, listFirmwaresRoute, listHardwareTypesRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & DownloadDeps & { db: Db }) =>
  endpoint(
    operation(deps, listFirmwaresRoute, async ({ query }) => json(200, await listFirmwares(deps, query))),
    operation(deps, getFirmwareRoute, async ({ path }) => json(200, await getFirmware(deps, path.id))),
    operation(deps, listHardwareTypesRoute, async ({ query }) => json(200, await listHardwareTypes(deps.db, query))),
  );
