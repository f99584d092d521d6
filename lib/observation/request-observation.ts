import { writeAuditLine } from '../audit/audit-queries.ts';
import type { Clock } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import { findIdempotentRequest, keepAnswer, keyReused } from '../db/idempotent-requests.ts';
import { inBody, refuseMissingSubjects } from '../fleet/missing-subjects.ts';
import { hashOf } from '../http/idempotency.ts';
import type { Queue } from '../ports/queue.ts';
import { firstStepDelaySeconds } from '../walk.ts';
import { wakeObservation } from './control-observation.ts';
import type { ObserveMessage } from './messages.ts';
import type { Observation, ObservationRequest } from './observation.ts';
import { countFilteredDevices, getRequestedObservation, insertObservation, type NewObservation } from './observation-queries.ts';

export interface RequestObservationDeps {
  db: Db;
  observations: Queue<ObserveMessage>;
  now: Clock;
}

export interface RequestObservation extends ObservationRequest {
  idempotency_key: string | undefined;
  created_by: string;
  request_id: string;
}

/**
 * Begins an observation: inserts its row, and sends the message of its first step. A repeated idempotency key gets the first answer again and
 * begins nothing.
 *
 * @throws `request.invalid` for a filter that names something that does not exist; `observation.idempotency_key_reused` for another body under
 *   a known key; `queue.unavailable`: nothing is stored then.
 */
export async function requestObservation(deps: RequestObservationDeps, input: RequestObservation): Promise<Observation> {
  const { idempotency_key, created_by, request_id, ...request } = input;
  const request_hash = hashOf(request);
  const created_dt = deps.now();
  return deps.db.transaction().execute(async (trx) => {
    const { targets, ...settings } = request;
    const inserted = await insertObservation(trx, {
      ...(await toNewTargets(trx, request, created_dt)),
      ...settings,
      idempotency_key: idempotency_key ?? null,
      request_hash,
      request_id,
      created_by,
      created_dt,
    });
    if (!inserted) return answerAgain(trx, deps.observations, { created_by, idempotency_key, request_hash });
    if ('filter' in targets) await refuseMissingSubjects(trx, targets.filter, inBody('targets.filter'));
    const answer = await getRequestedObservation(trx, inserted.id);
    if (idempotency_key !== undefined) await keepAnswer(trx, 'observation', answer);
    const line = {
      action: 'request',
      resource: 'observation',
      resource_id: String(answer.id),
      outcome: { after: toAudited(input) },
    } as const;
    await writeAuditLine(trx, { subject: created_by, request_id }, line, created_dt);
    // The last act before the commit; lib/update/README.md says why.
    await deps.observations.send([{ observation_id: inserted.id, step: 0, created_dt }], { delaySeconds: firstStepDelaySeconds });
    return answer;
  });
}

/** Of devices that are named, their number. */
const toAudited = ({ targets, add_unknown, maximum_per_minute, comment }: ObservationRequest) => ({
  ...('filter' in targets ? { filter: targets.filter } : { kind: targets.kind, devices: targets.external_ids.length }),
  ...{ add_unknown, maximum_per_minute, comment },
});

const toNewTargets = async (
  db: Db,
  { targets, add_unknown }: ObservationRequest,
  now: Date,
): Promise<Pick<NewObservation, 'kind' | 'external_ids' | 'filter' | 'devices_total'>> => {
  if ('filter' in targets) {
    const { filter } = targets;
    return { kind: null, external_ids: null, filter, devices_total: add_unknown ? null : await countFilteredDevices(db, filter, now) };
  }
  const external_ids = [...new Set(targets.external_ids)];
  return { kind: targets.kind, external_ids, filter: null, devices_total: external_ids.length };
};

const answerAgain = async (
  trx: Trx,
  observations: Queue<ObserveMessage>,
  { created_by, idempotency_key, request_hash }: Pick<RequestObservation, 'created_by' | 'idempotency_key'> & { request_hash: string },
): Promise<Observation> => {
  const known = idempotency_key && (await findIdempotentRequest<Observation>(trx, 'observation', created_by, idempotency_key));
  if (!known) throw new Error('An observation that could not be inserted because its key is known is not known');
  if (known.request_hash === request_hash) {
    const kept = known.answer && { ...known.answer, is_late: false };
    const answer = kept ?? (await getRequestedObservation(trx, known.id));
    await wakeObservation(trx, observations, known.id);
    return answer;
  }
  throw keyReused('observation', known.id);
};
