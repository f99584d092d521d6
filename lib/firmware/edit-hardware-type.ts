import { isDeepStrictEqual } from 'node:util';
import type { Actor } from '../audit/actor.ts';
import { differenceOf, writeAuditLine } from '../audit/audit-queries.ts';
import type { Clock } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import { violatedConstraint } from '../db/database-error.ts';
import { DomainError, wrongField } from '../errors.ts';
import { findMisfits, type HardwareType, type HardwareTypeChange } from './hardware-type.ts';
import {
  deleteHardwareType as deleteRow,
  findHardwareType,
  insertHardwareType,
  isHardwareTypeUsed,
  lockHardwareType,
  updateHardwareType,
} from './hardware-type-queries.ts';
import { matchesPattern } from './version-pattern-queries.ts';

export interface EditHardwareTypeDeps {
  db: Db;
  /** Whether one person alone may not weaken what author signatures protect. */
  keysNeedApproval?: boolean;
  /** The last act before a change of what it fits is committed: open updates may have to take in other devices. Missing: none is woken. */
  heedHardwareType?: (trx: Trx, name: string) => Promise<void>;
  now: Clock;
}

const resource = 'hardware_type';

/**
 * Adds a hardware type. The same definition again changes nothing.
 *
 * @throws `hardware_type.exists` with the existing definition; `request.invalid` for a `version_pattern` that is no regular expression.
 */
export async function addHardwareType(
  { db, now }: EditHardwareTypeDeps,
  type: HardwareType,
  actor: Actor,
): Promise<{ isNew: boolean; answer: HardwareType }> {
  await checkPattern(db, type.version_pattern);
  const added = await db.transaction().execute(async (trx) => {
    const inserted = await insertHardwareType(trx, type);
    const line = { action: 'add', resource, resource_id: type.name, outcome: { after: type } } as const;
    if (inserted) await writeAuditLine(trx, actor, line, now());
    return inserted;
  });
  if (added) return { isNew: true, answer: added };
  const existing = await findHardwareType(db, type.name);
  if (!existing) throw new Error('A hardware type that could not be inserted because it exists does not exist');
  if (isDeepStrictEqual({ ...existing }, { ...type })) return { isNew: false, answer: existing };
  throw new DomainError('hardware_type.exists', `There is another hardware type ${type.name}`, {
    errors: [{ in: 'body', path: 'name', message: 'is the name of another definition' }],
    answer: { hardware_type: existing },
  });
}

/** Fields that cannot change once any row refers to the hardware type. */
const fixedOnceUsed = ['device_kind', 'channel'] as const;
const fitsWhom = ['scooter_versions', 'fits_own_iot'] as const;

/**
 * Changes a hardware type. Its new rules (size, kinds of files, versions) are applied to files that come later; available firmwares stay
 * available.
 *
 * @throws `hardware_type.not_found`; `hardware_type.in_use` for another kind of device or channel when something refers to it;
 *   `request.invalid` when the whole would make no sense; `approval.second_person` for fewer author signatures where keys need approval: what
 *   a second person has to allow for a key, nobody may go around.
 */
export async function changeHardwareType(
  { db, keysNeedApproval = false, heedHardwareType, now }: EditHardwareTypeDeps,
  name: string,
  change: HardwareTypeChange,
  actor: Actor,
): Promise<HardwareType> {
  await checkPattern(db, change.version_pattern);
  return db.transaction().execute(async (trx) => {
    const existing = await lockHardwareType(trx, name, 'change');
    if (!existing) throw notFound(name);
    const changed = { ...existing, ...definedOf(change) };
    const misfits = findMisfits(changed);
    if (misfits.length > 0) {
      const errors = misfits.map(({ path, message }) => ({ in: 'body' as const, path, message }));
      throw new DomainError('request.invalid', `${name} would make no sense: ${misfits[0]?.message}`, { errors });
    }
    const fixed = fixedOnceUsed.filter((field) => changed[field] !== existing[field]);
    if (fixed.length > 0 && (await isHardwareTypeUsed(trx, name))) {
      throw inUse(name, fixed);
    }
    if (keysNeedApproval && changed.author_signatures_required < existing.author_signatures_required) {
      throw new DomainError('approval.second_person', `One person alone cannot lower author_signatures_required of ${name}`);
    }
    if (isDeepStrictEqual(existing, changed)) return existing;
    await updateHardwareType(trx, changed);
    await writeAuditLine(trx, actor, { action: 'change', resource, resource_id: name, outcome: differenceOf(existing, changed) }, now());
    if (fitsWhom.some((field) => !isDeepStrictEqual(existing[field], changed[field]))) await heedHardwareType?.(trx, name);
    return changed;
  });
}

/**
 * Deletes a hardware type that nothing refers to: no firmware, not even one that was rejected, no requirement, and no device's report.
 *
 * @throws `hardware_type.not_found`, `hardware_type.in_use`
 */
export async function deleteHardwareType({ db, now }: EditHardwareTypeDeps, name: string, actor: Actor): Promise<void> {
  await db.transaction().execute(async (trx) => {
    const existing = await lockHardwareType(trx, name, 'delete');
    if (!existing) throw notFound(name);
    if (await isHardwareTypeUsed(trx, name)) throw inUse(name);
    try {
      await deleteRow(trx, name);
    } catch (error) {
      // A row that refers to it was committed since the last statement.
      throw violatedConstraint(error) ? inUse(name) : error;
    }
    await writeAuditLine(trx, actor, { action: 'delete', resource, resource_id: name, outcome: { before: existing } }, now());
  });
}

const definedOf = <T extends object>(change: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) as { [K in keyof T]: Exclude<T[K], undefined> };

const checkPattern = async (db: Db, pattern: string | null | undefined): Promise<void> => {
  if (typeof pattern !== 'string') return;
  if ((await matchesPattern(db, '', pattern)) === 'unusable') {
    throw wrongField('request.invalid', 'version_pattern', 'is no regular expression of PostgreSQL, or takes too long');
  }
};

const notFound = (name: string) => new DomainError('hardware_type.not_found', `There is no hardware type ${name}`);

const inUse = (name: string, fields: readonly string[] = []): DomainError =>
  new DomainError('hardware_type.in_use', `Hardware type ${name} is in use: a firmware, a device's report or a requirement refers to it`, {
    ...(fields.length > 0 && {
      errors: fields.map((path) => ({ in: 'body' as const, path, message: 'can be changed only while nothing uses the hardware type' })),
    }),
  });
