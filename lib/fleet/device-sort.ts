import * as z from 'zod/mini';

/** The orders in which devices can be listed. Each has an index, so that a page of any of them costs what the first one does. */
export const DeviceSort = z
  .enum([
    'created_dt_ascending',
    'created_dt_descending',
    'external_id_ascending',
    'external_id_descending',
    'last_seen_on_ascending',
    'last_seen_on_descending',
  ])
  .check(
    z.meta({
      description:
        'created_dt: the order in which devices were registered; the default. external_id: by character codes; the default with ' +
        '`external_id_prefix`. last_seen_on: by the day (UTC) of `last_seen_dt`; devices that were never seen come before all days, and ' +
        'devices of one day are in the order of their registration',
    }),
  );
export type DeviceSort = z.infer<typeof DeviceSort>;
