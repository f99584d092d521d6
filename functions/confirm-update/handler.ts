import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { type ConfirmUpdateDeps, confirmUpdate } from '../../lib/report/confirm-update.ts';
import { notingRefusedReports } from '../../lib/report/refused-reports.ts';
import { confirmUpdateRoute } from './routes.ts';

export const createHandler = (deps: ConfirmUpdateDeps & HttpDeps) => {
  const authenticate = notingRefusedReports(deps, deps.authenticate);
  return endpoint(
    operation({ ...deps, authenticate }, confirmUpdateRoute, async ({ body }) =>
      json(200, { outcomes: await confirmUpdate(deps, body.confirmations) }),
    ),
  );
};
