import { actorOf } from '../../lib/audit/actor.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Db } from '../../lib/db/database.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { signFirmware } from '../../lib/registration/sign-firmware.ts';
import { signFirmwareRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db; now: Clock }) =>
  endpoint(
    operation(deps, signFirmwareRoute, async (request, caller) =>
      json(200, await signFirmware(deps, request.path.id, request.body.signatures, actorOf(request, caller))),
    ),
  );
