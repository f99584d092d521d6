import { isDeepStrictEqual } from 'node:util';
import type { Actor } from '../audit/actor.ts';
import { differenceOf, writeAuditLine } from '../audit/audit-queries.ts';
import type { Clock } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import { violatedConstraint } from '../db/database-error.ts';
import { DomainError } from '../errors.ts';
import { type Group, type GroupChange, groupNotFound, type NewGroup } from './group.ts';
import { deleteGroup as deleteRow, findGroup, insertGroup, lockGroup, updateGroup } from './group-queries.ts';
import { inBody, refuseMissingSubjects } from './missing-subjects.ts';

export interface EditGroupDeps {
  db: Db;
  now: Clock;
}

export interface ChangeGroupDeps extends EditGroupDeps {
  /** The last act before the change is committed: updates that are open for the group look at their devices once more. Missing: none does. */
  lookAgain?: (trx: Trx, group: NewGroup) => Promise<void>;
}

const resource = 'group';

/**
 * Adds a group. The same definition again changes nothing.
 *
 * @throws `request.invalid` for a filter that names something that does not exist; `group.exists` with the existing group of this name.
 */
export async function addGroup({ db, now }: EditGroupDeps, group: NewGroup, actor: Actor): Promise<{ isNew: boolean; answer: Group }> {
  return db.transaction().execute(async (trx) => {
    await refuseMissingSubjects(trx, group.filter, inBody('filter'));
    const inserted = await insertGroup(trx, group, now());
    const answer = await findGroup(trx, group.name);
    if (!answer) throw new Error('A group that is there, or was inserted, is not there');
    if (inserted) {
      await writeAuditLine(trx, actor, { action: 'add', resource, resource_id: group.name, outcome: { after: group } }, now());
      return { isNew: true, answer };
    }
    if (isDeepStrictEqual(definitionOf(answer), { ...group })) return { isNew: false, answer };
    throw new DomainError('group.exists', `There is another group ${group.name}`, {
      errors: [{ in: 'body', path: 'name', message: 'is the name of another group' }],
      answer: { group: answer },
    });
  });
}

/**
 * Changes which devices a group means from now on. Updates that were requested for it keep their devices; continuous ones take in its new members.
 *
 * @throws `group.not_found`; `request.invalid` for a filter that names something that does not exist.
 */
export async function changeGroup(
  { db, now, lookAgain }: ChangeGroupDeps,
  name: string,
  change: GroupChange,
  actor: Actor,
): Promise<Group> {
  return db.transaction().execute(async (trx) => {
    if (change.filter) await refuseMissingSubjects(trx, change.filter, inBody('filter'));
    const existing = await lockGroup(trx, name);
    if (!existing) throw groupNotFound(name);
    const before = definitionOf(existing);
    const after: NewGroup = { name, filter: change.filter ?? before.filter, comment: change.comment ?? before.comment };
    if (isDeepStrictEqual(before, after)) return existing;
    await updateGroup(trx, after);
    await writeAuditLine(trx, actor, { action: 'change', resource, resource_id: name, outcome: differenceOf(before, after) }, now());
    await lookAgain?.(trx, after);
    return { ...existing, ...after };
  });
}

/** Deletes a group that no open continuous update asks for its devices. @throws `group.not_found`, `group.in_use` */
export async function deleteGroup({ db, now }: EditGroupDeps, name: string, actor: Actor): Promise<void> {
  await db.transaction().execute(async (trx) => {
    const existing = await lockGroup(trx, name);
    if (!existing) throw groupNotFound(name);
    try {
      await deleteRow(trx, name);
    } catch (error) {
      if (violatedConstraint(error) !== 'updates_open_group_fkey') throw error;
      throw new DomainError('group.in_use', `A continuous update that is open takes its devices from group ${name}: cancel it first`);
    }
    const outcome = { before: definitionOf(existing) };
    await writeAuditLine(trx, actor, { action: 'delete', resource, resource_id: name, outcome }, now());
  });
}

const definitionOf = ({ name, filter, comment }: Group): NewGroup => ({ name, filter, comment });
