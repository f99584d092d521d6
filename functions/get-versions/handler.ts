import type { Db } from '../../lib/db/database.ts';
import { listFirmwares } from '../../lib/firmware/firmware-queries.ts';
import { getFirmware } from '../../lib/firmware/get-firmware.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import type { Storage } from '../../lib/ports/storage.ts';
import { getFirmwareRoute, listFirmwaresRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db; storage: Pick<Storage, 'fromLink' | 'signDownload'> }) =>
  endpoint(
    operation(deps, listFirmwaresRoute, async ({ query }) => json(200, await listFirmwares(deps.db, query))),
    operation(deps, getFirmwareRoute, async ({ path }) => json(200, await getFirmware(deps, path.id))),
  );
