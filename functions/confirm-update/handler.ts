import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { Malformed } from '../../lib/http/judged.ts';
import { type ConfirmUpdateDeps, confirmUpdate } from '../../lib/report/confirm-update.ts';
import { noteDistrust } from '../../lib/report/distrust.ts';
import { notingRefusedReports } from '../../lib/report/refused-reports.ts';
import { confirmUpdateRoute } from './routes.ts';

export const createHandler = (deps: ConfirmUpdateDeps & HttpDeps) => {
  const authenticate = notingRefusedReports(deps, deps.authenticate);
  return endpoint(
    operation({ ...deps, authenticate }, confirmUpdateRoute, async ({ body: { confirmations } }) => {
      const outcomes = await confirmUpdate(deps, confirmations);
      noteDistrust(
        deps,
        confirmations.map((sent) => (sent instanceof Malformed ? undefined : sent.detail)),
      );
      return json(200, { outcomes });
    }),
  );
};
