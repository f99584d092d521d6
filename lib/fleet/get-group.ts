import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import type { Page } from '../http/page.ts';
import { countDevices, listDevices, type PageOfDevices } from './device-list-queries.ts';
import { type CountedGroup, groupNotFound } from './group.ts';
import { inService } from './group-members.ts';
import { findGroup } from './group-queries.ts';
import type { Device } from './shown-device.ts';

/** A group with the number of its members. @throws `group.not_found` */
export async function getGroup({ db, now }: { db: Db; now: Clock }, name: string): Promise<CountedGroup> {
  const group = await findGroup(db, name);
  if (!group) throw groupNotFound(name);
  return { ...group, devices: await countDevices(db, inService(group.filter), now()) };
}

/** A page of the members of a group, in the form of a list of devices. @throws `group.not_found` */
export async function listMembers(
  { db, now }: { db: Db; now: Clock },
  name: string,
  page: Omit<PageOfDevices, 'now'>,
): Promise<Page<Device>> {
  const group = await findGroup(db, name);
  if (!group) throw groupNotFound(name);
  return listDevices(db, inService(group.filter), { ...page, now: now() });
}
