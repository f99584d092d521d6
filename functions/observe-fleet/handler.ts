import type { Context } from 'aws-lambda';
import type { Log } from '../../lib/log.ts';
import { ObservationRequest } from '../../lib/observation/observation.ts';
import { observeFleet } from '../../lib/observation/observe-fleet.ts';
import type { RequestObservationDeps } from '../../lib/observation/request-observation.ts';

/** The `input` of the schedule is the body of a POST /v1/observations. */
export const createHandler =
  (deps: RequestObservationDeps & { log: Log }) =>
  (input: unknown, { awsRequestId }: Context): Promise<void> =>
    observeFleet(deps, ObservationRequest.parse(input), awsRequestId);
