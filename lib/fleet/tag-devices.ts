import * as z from 'zod/mini';
import { writeAuditLine } from '../audit/audit-queries.ts';
import type { Author } from '../audit/author.ts';
import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { violatedConstraint } from '../db/database-error.ts';
import { DomainError } from '../errors.ts';
import { DeviceKind, ExternalId } from './device.ts';
import { changeTags, lockNamedDevices } from './tag-queries.ts';
import { maximumTags, Tags } from './word.ts';

export const TagRequest = z
  .strictObject({
    kind: z._default(DeviceKind, 'scooter'),
    external_ids: z.array(ExternalId).check(z.minLength(1), z.maxLength(10_000)),
    add: z._default(Tags, []),
    remove: z._default(Tags, []),
  })
  .check(
    z.refine(({ add, remove }) => add.length + remove.length > 0, { path: ['add'], error: 'needs a tag, here or in `remove`' }),
    z.refine(({ add, remove }) => !add.some((tag) => remove.includes(tag)), {
      path: ['remove'],
      error: 'has a tag that is to be added as well',
    }),
  );
export type TagRequest = z.output<typeof TagRequest>;

export const TaggedDevices = z
  .object({
    changed: z.int(),
    unchanged: z.int().check(z.meta({ description: 'Devices that had those tags, and no others, already' })),
    unknown: z.array(z.string()).check(z.meta({ description: 'Ids that are nobody’s' })),
  })
  .register(z.globalRegistry, { id: 'TaggedDevices' });
export type TaggedDevices = z.infer<typeof TaggedDevices>;

/**
 * Adds tags to devices and takes others away, of all of them or of none. Repeating a call changes nothing.
 *
 * @throws `device.too_many_tags` when any of them would have more than 20.
 */
export async function tagDevices({ db, now }: { db: Db; now: Clock }, request: TagRequest, author: Author): Promise<TaggedDevices> {
  const { kind, add, remove } = request;
  const external_ids = [...new Set(request.external_ids)];
  return db.transaction().execute(async (trx) => {
    const devices = await lockNamedDevices(trx, kind, external_ids);
    const ids = devices.map(({ id }) => id);
    const changed = await changeTags(trx, ids, { add, remove }).catch(refuseTooManyTags);
    if (changed > 0) {
      await writeAuditLine(
        trx,
        author,
        { action: 'tag', resource: 'device', resource_id: null, outcome: { kind, add, remove, changed } },
        now(),
      );
    }
    const known = new Set(devices.map(({ external_id }) => external_id));
    return { changed, unchanged: ids.length - changed, unknown: external_ids.filter((id) => !known.has(id)) };
  });
}

const refuseTooManyTags = (error: unknown): never => {
  if (violatedConstraint(error) !== 'devices_tags_check') throw error;
  throw new DomainError('device.too_many_tags', `Some of the devices would have more than ${maximumTags} tags: nothing was changed`);
};
