import * as z from 'zod/mini';
import { DomainError } from '../errors.ts';
import { Comment, Timestamp } from '../firmware/firmware.ts';
import { deviceFilter } from './device-filter.ts';
import { Word } from './word.ts';

export const GroupName = Word.check(z.meta({ description: 'The name of a group', example: 'night-shift' }));

const { percentage: _percentage, failed_in_update_id: _id, ...lasting } = deviceFilter;

/** A filter without the conditions that make no sense in a group: a sample belongs to one update, and executions are kept only for some time. */
export const GroupFilter = z
  .strictObject(lasting)
  .check(z.meta({ description: 'As every filter of devices, but without `percentage` and `failed_in_update_id`' }));
export type GroupFilter = z.output<typeof GroupFilter>;

export const NewGroup = z.strictObject({ name: GroupName, filter: GroupFilter, comment: z._default(Comment, '') });
export type NewGroup = z.output<typeof NewGroup>;

/** What is not named stays as it is; a filter is replaced as a whole. */
export const GroupChange = z
  .strictObject({ filter: z.optional(GroupFilter), comment: z.optional(Comment) })
  .check(z.refine((change) => Object.keys(change).length > 0, 'must have at least one field'));
export type GroupChange = z.output<typeof GroupChange>;

/** A filter of devices that has a name. */
export const Group = z
  .object({ name: z.string(), filter: GroupFilter, comment: z.string(), created_dt: Timestamp })
  .register(z.globalRegistry, { id: 'Group' });
export type Group = z.infer<typeof Group>;

export const CountedGroup = z
  .extend(Group, { devices: z.int().check(z.meta({ description: 'Its members at this moment' })) })
  .register(z.globalRegistry, { id: 'CountedGroup' });
export type CountedGroup = z.infer<typeof CountedGroup>;

export const groupNotFound = (name: string) => new DomainError('group.not_found', `There is no group ${name}`);
