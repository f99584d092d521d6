import { addSeconds } from '../clock.ts';
import type { Log } from '../log.ts';
import type { ObservationRequest } from './observation.ts';
import { findObservationUnderWay } from './observation-queries.ts';
import { type RequestObservationDeps, requestObservation } from './request-observation.ts';

/** The caller of observations that a schedule begins. */
const scheduler = 'observe-fleet';
/** Longer than the longest wait for a backend that is down: an observation that was due before that has lost its message. */
const lostAfterSeconds = 3_600;

/**
 * Begins the observation that a schedule asks for, unless the schedule's last one is still under way, so that observations do not pile up while
 * the backend is down. A repeated invocation has the same request id, and begins no second observation.
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
