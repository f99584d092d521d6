import type { Actor } from '../audit/actor.ts';
import { writeAuditLine } from '../audit/audit-queries.ts';
import type { Clock } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import type { Queue } from '../ports/queue.ts';
import { firstStepDelaySeconds } from '../walk.ts';
import type { ObserveMessage } from './messages.ts';
import type { Observation } from './observation.ts';
import { findObservation } from './observation-queries.ts';
import { cancelLocked, lockWalk } from './observation-walk-queries.ts';

export interface ControlObservationDeps {
  db: Db;
  observations: Queue<ObserveMessage>;
  now: Clock;
}

/**
 * Sends the message of an observation's next step again, because it may be lost. If the first message was not lost, one of the two finds the
 * step done. Does nothing for an observation that has ended. Locks its row, and has to be the last act before the commit.
 *
 * @throws `queue.unavailable`
 */
export const wakeObservation = async (trx: Trx, observations: Queue<ObserveMessage>, id: number): Promise<void> => {
  const walk = await lockWalk(trx, id);
  if (walk?.status !== 'IN_PROGRESS') return;
  const message = { observation_id: id, step: walk.next_step, created_dt: walk.created_dt };
  await observations.send([message], { delaySeconds: firstStepDelaySeconds });
};

const get = async (db: Db, id: number, now: Date): Promise<Observation> => {
  const observation = await findObservation(db, id, now);
  if (!observation) throw new DomainError('observation.not_found', `There is no observation ${id}`);
  return observation;
};

/** Revives an observation that has stopped moving; does no harm if it is moving or has ended. @throws `observation.not_found` */
export const resumeObservation = ({ db, observations, now }: ControlObservationDeps, id: number): Promise<Observation> =>
  db.transaction().execute(async (trx) => {
    const observation = await get(trx, id, now());
    await wakeObservation(trx, observations, id);
    return observation;
  });

/**
 * Ends an observation: no more devices are asked. What was learned stays; the answer to a question that is under way is dropped. Changes
 * nothing if the observation has ended.
 *
 * @throws `observation.not_found`
 */
export const cancelObservation = ({ db, now }: ControlObservationDeps, id: number, actor: Actor): Promise<Observation> =>
  db.transaction().execute(async (trx) => {
    const walk = await lockWalk(trx, id);
    if (walk?.status === 'IN_PROGRESS') {
      await cancelLocked(trx, id, now());
      const outcome = { before: { status: walk.status }, after: { status: 'CANCELED' } };
      await writeAuditLine(trx, actor, { action: 'cancel', resource: 'observation', resource_id: String(id), outcome }, now());
    }
    return get(trx, id, now());
  });
