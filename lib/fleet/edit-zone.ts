import { isDeepStrictEqual } from 'node:util';
import type { Actor } from '../audit/actor.ts';
import { differenceOf, writeAuditLine } from '../audit/audit-queries.ts';
import type { Clock } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import { violatedConstraint } from '../db/database-error.ts';
import { DomainError } from '../errors.ts';
import type { NewZone, Zone, ZoneChange } from './zone.ts';
import { deleteZone as deleteRow, findZone, insertZone, lockZone, updateZone } from './zone-queries.ts';

export interface EditZoneDeps {
  db: Db;
  now: Clock;
}

export interface ChangeZoneDeps extends EditZoneDeps {
  /** The last act before the change of a zone is committed: wakes what sleeps until its window opens. */
  wakeSleepers: (trx: Trx) => Promise<void>;
}

const resource = 'zone';

/** @throws `zone.not_found` */
export async function getZone(db: Db, name: string): Promise<Zone> {
  const zone = await findZone(db, name);
  if (!zone) throw notFound(name);
  return zone;
}

/**
 * Adds a zone. The same definition again changes nothing.
 *
 * @throws `zone.exists` with the existing zone of this name.
 */
export async function addZone({ db, now }: EditZoneDeps, zone: NewZone, actor: Actor): Promise<{ isNew: boolean; answer: Zone }> {
  return db.transaction().execute(async (trx) => {
    const inserted = await insertZone(trx, zone, now());
    const answer = await getZone(trx, zone.name);
    if (inserted) {
      await writeAuditLine(trx, actor, { action: 'add', resource, resource_id: zone.name, outcome: { after: zone } }, now());
      return { isNew: true, answer };
    }
    if (isDeepStrictEqual(settingsOf(answer), { ...zone })) return { isNew: false, answer };
    throw new DomainError('zone.exists', `There is another zone ${zone.name}`, {
      errors: [{ in: 'body', path: 'name', message: 'is the name of another zone' }],
      answer: { zone: answer },
    });
  });
}

/** Changes settings of a zone, with effect from now on. @throws `zone.not_found` */
export async function changeZone({ db, now, wakeSleepers }: ChangeZoneDeps, name: string, change: ZoneChange, actor: Actor): Promise<Zone> {
  return db.transaction().execute(async (trx) => {
    const existing = await lockZone(trx, name);
    if (!existing) throw notFound(name);
    const before = settingsOf(existing);
    const after: NewZone = { ...before, ...change } as NewZone;
    if (isDeepStrictEqual(before, after)) return existing;
    await updateZone(trx, after);
    await writeAuditLine(trx, actor, { action: 'change', resource, resource_id: name, outcome: differenceOf(before, after) }, now());
    await wakeSleepers(trx);
    return { ...existing, ...after };
  });
}

/** Deletes a zone without devices; retired devices count, too. @throws `zone.not_found`, `zone.in_use` */
export async function deleteZone({ db, now }: EditZoneDeps, name: string, actor: Actor): Promise<void> {
  await db.transaction().execute(async (trx) => {
    const existing = await lockZone(trx, name);
    if (!existing) throw notFound(name);
    try {
      await deleteRow(trx, name);
    } catch (error) {
      throw violatedConstraint(error) ? new DomainError('zone.in_use', `There are devices in zone ${name}: move them first`) : error;
    }
    const outcome = { before: settingsOf(existing) };
    await writeAuditLine(trx, actor, { action: 'delete', resource, resource_id: name, outcome }, now());
  });
}

const settingsOf = ({ devices: _devices, created_dt: _dt, ...settings }: Zone): NewZone => settings;

const notFound = (name: string) => new DomainError('zone.not_found', `There is no zone ${name}`);
