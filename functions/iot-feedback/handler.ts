import type { CallingDevice } from '../../lib/ddi/authenticate-device.ts';
import { detailOf } from '../../lib/ddi/feedback.ts';
import { type RecordFeedbackDeps, recordCancelFeedback, recordFeedback } from '../../lib/ddi/record-feedback.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { noteDistrust } from '../../lib/report/distrust.ts';
import { cancelFeedbackRoute, deploymentFeedbackRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps<CallingDevice> & RecordFeedbackDeps) =>
  endpoint(
    operation(deps, deploymentFeedbackRoute, async ({ path, body }, device) => {
      await recordFeedback(deps, device, path.actionId, body);
      noteDistrust(deps, [detailOf(body)]);
      return json(200, {});
    }),
    operation(deps, cancelFeedbackRoute, async ({ path, body }, device) => {
      await recordCancelFeedback(deps, device, path.actionId, body);
      return json(200, {});
    }),
  );
