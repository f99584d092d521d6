import { addSeconds } from '../clock.ts';
import type { Log } from '../log.ts';
import type { ObservationRequest } from './observation.ts';
import { findObservationUnderWay } from './observation-queries.ts';
import { type RequestObservationDeps, requestObservation } from './request-observation.ts';

/** Whom the observations of a schedule are requested by. */
const scheduler = 'observe-fleet';
/** Above the longest wait for a backend that is down: an observation that is due for longer has lost its message. */
const lostAfterSeconds = 3_600;

/**
 * Begins the observation that a schedule asks for, unless its last one is still under way: while the backend is down they do not pile
 * up. An invocation that is repeated, with the same request id, begins nothing twice.
 *
 * @throws `queue.unavailable`, `database.unavailable`: nothing was begun.
 */
export async function observeFleet(
  deps: RequestObservationDeps & { log: Log },
  request: ObservationRequest,
  request_id: string,
): Promise<void> {
  const underWay = await findObservationUnderWay(deps.db, scheduler, addSeconds(deps.now(), -lostAfterSeconds));
  if (underWay) return deps.log.info('the last observation is still under way', { observation_id: underWay.id, request_id });
  await requestObservation(deps, { ...request, idempotency_key: request_id, created_by: scheduler, request_id });
}
