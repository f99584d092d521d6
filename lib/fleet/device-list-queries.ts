import { type RawBuilder, sql } from 'kysely';
import * as z from 'zod/mini';
import type { Db } from '../db/database.ts';
import { type Direction, directionOf, fieldOf, inOrder } from '../db/keyset.ts';
import { decodeCursor, type List, listOf, type Page, toPage } from '../http/page.ts';
import { ExternalId } from './device.ts';
import type { DeviceFilter } from './device-filter.ts';
import { filteredDevices } from './device-filter-queries.ts';
import {
  type Bounds,
  deviceIdPage,
  deviceIdPageByExternalId,
  deviceIdPageByLastSeen,
  externalIdOrder,
  lastSeenOrder,
} from './device-page-queries.ts';
import { selectDevices } from './device-queries.ts';
import type { DeviceSort } from './device-sort.ts';
import type { Device } from './shown-device.ts';

export interface PageOfDevices {
  limit: number;
  cursor?: string | undefined;
  sort?: DeviceSort | undefined;
  now: Date;
}

interface DeviceOrder<Key extends readonly unknown[]> {
  idPage: (filter: DeviceFilter, bounds: Bounds<Key>) => RawBuilder<unknown>;
  /** What its cursors hold. */
  Key: z.ZodMiniType<Key>;
  columns: readonly RawBuilder<unknown>[];
  keyOf: (id: number, device: Device) => Key;
}

interface OrderedPage extends PageOfDevices {
  list: List;
  direction: Direction;
}

/** A page along an order. */
const along =
  <Key extends readonly unknown[]>({ idPage, Key, columns, keyOf }: DeviceOrder<Key>) =>
  async (db: Db, filter: DeviceFilter, { list, direction, limit, cursor, now }: OrderedPage): Promise<Page<Device>> => {
    const ids = idPage(filter, { after: decodeCursor(list, Key, cursor), direction, size: limit + 1, now });
    const devices = await selectDevices(db, sql`d.id IN (${ids})`, inOrder(columns, direction));
    const { items, next_cursor } = toPage(list, [...devices], limit, ([id, device]) => keyOf(id, device), mostBytesOf);
    return { items: items.map(([, device]) => device), next_cursor };
  };

/** The texts of a firmware have less than 300 characters, of which one takes up to six bytes; those of a device, with 20 tags, less than 2,000. */
const mostBytesOf = ([, { firmwares }]: [number, Device]): number => 2_500 * (firmwares.length + 5);

const Id = z.int32();
const neverSeenOn = '-infinity';

const orders = {
  // By ids, so that a device that is registered later comes on a later page.
  created_dt: along<[id: number]>({ idPage: deviceIdPage, Key: z.tuple([Id]), columns: [sql`d.id`], keyOf: (id) => [id] }),
  external_id: along<[external_id: string, id: number]>({
    idPage: deviceIdPageByExternalId,
    Key: z.tuple([ExternalId, Id]),
    columns: externalIdOrder,
    keyOf: (id, { external_id }) => [external_id, id],
  }),
  last_seen_on: along<[last_seen_on: string, id: number]>({
    idPage: deviceIdPageByLastSeen,
    Key: z.tuple([z.union([z.literal(neverSeenOn), z.iso.date()]), Id]),
    columns: lastSeenOrder,
    keyOf: (id, { last_seen_dt }) => [last_seen_dt?.toISOString().slice(0, 10) ?? neverSeenOn, id],
  }),
};

export const listDevices = (db: Db, filter: DeviceFilter, page: PageOfDevices): Promise<Page<Device>> => {
  const { sort = filter.external_id_prefix === undefined ? 'created_dt_ascending' : 'external_id_ascending' } = page;
  const list = listOf('devices', { ...filter, sort: page.sort });
  return orders[fieldOf(sort)](db, filter, { ...page, list, direction: directionOf(sort) });
};

/** How many devices a filter means, counted now. */
export const countDevices = async (db: Db, filter: DeviceFilter, now: Date): Promise<number> => {
  const { rows } = await sql<{ n: number }>`SELECT count(*) AS n FROM (${filteredDevices(filter, { now })}) d`.execute(db);
  return rows[0]?.n ?? 0;
};
