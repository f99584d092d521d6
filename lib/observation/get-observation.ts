import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import type { ObservationWithChanges } from './observation.ts';
import { type ChangeFilter, findObservation, listChanges } from './observation-queries.ts';

/** How far an observation is, and a page of what it has changed. @throws `observation.not_found` */
export async function getObservation(db: Db, id: number, page: ChangeFilter, now: Date): Promise<ObservationWithChanges> {
  const observation = await findObservation(db, id, now);
  if (!observation) throw new DomainError('observation.not_found', `There is no observation ${id}`);
  return { ...observation, changes: await listChanges(db, id, page) };
}
