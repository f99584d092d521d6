import type { Db } from '../../db/database.ts';
import { wrongField } from '../../errors.ts';
import type { DeviceFilter } from '../../fleet/device-filter.ts';
import { inService } from '../../fleet/group-members.ts';
import { findGroup } from '../../fleet/group-queries.ts';
import { inBody, refuseMissingSubjects } from '../../fleet/missing-subjects.ts';
import { areExecutionsRemoved } from '../update-queries.ts';
import { type NamedTargets, passingConditions, type UpdateRequest } from '../update-request.ts';

/** The devices that a request means; a group is replaced by the filter that it has at this moment. */
export type ChosenTargets = NamedTargets | { filter: DeviceFilter };

/** A condition that cannot be in an open update; undefined: there is none. */
export const findPassingCondition = (filter: DeviceFilter) => passingConditions.find((field) => filter[field] !== undefined);

/**
 * @throws `request.invalid` for a group that does not exist, or a filter that names something that does not exist;
 *   `update.executions_removed` when the filter asks for devices that failed in an update whose executions are no longer kept.
 */
export const chooseTargets = async (
  db: Db,
  { targets, continuous }: Pick<UpdateRequest, 'targets' | 'continuous'>,
): Promise<ChosenTargets> => {
  if ('external_ids' in targets) return targets;
  if ('group' in targets) {
    const group = await findGroup(db, targets.group);
    if (!group) throw wrongField('request.invalid', 'targets.group', `there is no group ${targets.group}`);
    const passing = continuous && findPassingCondition(group.filter);
    if (passing) throw wrongField('request.invalid', 'targets.group', `has ${passing}, which is not possible in a continuous update`);
    return { filter: { ...inService(group.filter), ...(targets.percentage !== undefined && { percentage: targets.percentage }) } };
  }
  const { filter } = targets;
  await refuseMissingSubjects(db, filter, inBody('targets.filter'));
  const id = filter.failed_in_update_id;
  if (id === undefined || !(await areExecutionsRemoved(db, id))) return { filter };
  const message = `Update ${id} ended so long ago that its executions are no longer kept: name the devices, or choose others`;
  throw wrongField('update.executions_removed', 'targets.filter.failed_in_update_id', message);
};
