import * as z from 'zod/mini';
import type { Actor } from '../audit/actor.ts';
import { writeAuditLine } from '../audit/audit-queries.ts';
import type { Trx } from '../db/database.ts';
import { violatedConstraint } from '../db/database-error.ts';
import { DomainError } from '../errors.ts';
import type { DeviceKind } from './device.ts';
import { DeviceFilter } from './device-filter.ts';
import { inBody, refuseMissingSubjects } from './missing-subjects.ts';
import { NamedDevices } from './named-devices.ts';
import type { FleetDeps } from './register-devices.ts';
import { changeTags, lockNamedDevices, lockTaggable, type TagChange } from './tag-queries.ts';
import { maximumTags, Tags } from './word.ts';

/** How many devices one call can tag: more would take longer than a call may. */
const maximumTagged = 50_000;

export const TagRequest = z
  .strictObject({
    kind: NamedDevices.shape.kind,
    external_ids: z.optional(NamedDevices.shape.external_ids),
    filter: z.optional(DeviceFilter),
    add: z._default(Tags, []),
    remove: z._default(Tags, []),
  })
  .check(
    z.refine(({ external_ids, filter }) => (external_ids === undefined) !== (filter === undefined), {
      path: ['external_ids'],
      error: 'needs either external_ids or filter',
    }),
    z.refine(({ add, remove }) => add.length + remove.length > 0, { path: ['add'], error: 'needs a tag, here or in `remove`' }),
    z.refine(({ add, remove }) => !add.some((tag) => remove.includes(tag)), {
      path: ['remove'],
      error: 'has a tag that is to be added as well',
    }),
    z.meta({
      oneOf: [{ required: ['external_ids'] }, { required: ['filter'] }],
      not: { properties: { add: { maxItems: 0 }, remove: { maxItems: 0 } } },
    }),
  );
export type TagRequest = z.output<typeof TagRequest>;

export const TaggedDevices = z
  .object({
    changed: z.int().check(z.meta({ description: 'Devices that have other tags now' })),
    unchanged: z.int().check(z.meta({ description: 'Of those that were named: they had these tags already' })),
    unknown: z.array(z.string()).check(z.meta({ description: 'Of the ids that were named: those that are nobody’s' })),
    has_more: z.boolean().check(
      z.meta({
        description: `Of a filter that means more than ${maximumTagged.toLocaleString('en')} devices to be changed: there are more; send the same again`,
      }),
    ),
  })
  .register(z.globalRegistry, { id: 'TaggedDevices' });
export type TaggedDevices = z.infer<typeof TaggedDevices>;

/**
 * Adds tags to devices and removes others, for all of these devices or for none. Repeating a call changes nothing.
 *
 * @throws `device.too_many_tags` when any device would have more than 20; `request.invalid` for a filter that names something that does not
 *   exist.
 */
export async function tagDevices({ db, now, wakeForCandidates }: FleetDeps, request: TagRequest, actor: Actor): Promise<TaggedDevices> {
  const { kind, external_ids, add, remove } = request;
  const change = { add, remove };
  const filter = request.filter && { kind, retired: false, ...request.filter };
  if (filter) await refuseMissingSubjects(db, filter, inBody('filter'));
  return db.transaction().execute(async (trx) => {
    const answer = filter ? await tagFiltered(trx, filter, change, now()) : await tagNamed(trx, kind, external_ids ?? [], change);
    const { changed } = answer;
    const outcome = { changed, ...change, ...(filter ? { filter } : { kind, external_ids }) };
    if (changed > 0) await writeAuditLine(trx, actor, { action: 'tag', resource: 'device', resource_id: null, outcome }, now());
    if (changed > 0) await wakeForCandidates?.(trx);
    return answer;
  });
}

const tagNamed = async (trx: Trx, kind: DeviceKind, external_ids: readonly string[], change: TagChange): Promise<TaggedDevices> => {
  const devices = await lockNamedDevices(trx, kind, external_ids);
  const ids = devices.map(({ id }) => id);
  const changed = await changeTags(trx, ids, change).catch(refuseTooManyTags);
  const known = new Set(devices.map(({ external_id }) => external_id));
  const unknown = [...new Set(external_ids)].filter((id) => !known.has(id));
  return { changed, unchanged: ids.length - changed, unknown, has_more: false };
};

const tagFiltered = async (trx: Trx, filter: DeviceFilter, change: TagChange, now: Date): Promise<TaggedDevices> => {
  const ids = await lockTaggable(trx, filter, change, { now, limit: maximumTagged });
  const changed = await changeTags(trx, ids, change).catch(refuseTooManyTags);
  return { changed, unchanged: 0, unknown: [], has_more: ids.length === maximumTagged };
};

const refuseTooManyTags = (error: unknown): never => {
  if (violatedConstraint(error) !== 'devices_tags_check') throw error;
  throw new DomainError('device.too_many_tags', `Some of the devices would have more than ${maximumTags} tags: nothing was changed`);
};
