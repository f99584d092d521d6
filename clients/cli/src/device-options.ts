import type { Command } from 'commander';
import { all, type Client, type Device, type ListDevicesSort } from '../../api/src/index.ts';
import { wholeNumber } from './command.ts';
import { addFilterOptions, type FilterOptions, filterOf, queryOf } from './filter-options.ts';
import { formatTime } from './format.ts';
import { limited } from './limited.ts';
import type { Column } from './output.ts';
import { sortOption } from './sort-option.ts';

export interface OrderOptions {
  sort?: ListDevicesSort;
  limit?: number;
}

/** In which order devices are listed, and how many. */
export const addOrderOptions = (command: Command): Command =>
  command
    .addOption(
      sortOption<ListDevicesSort>([
        ...(['created_dt_ascending', 'created_dt_descending', 'external_id_ascending', 'external_id_descending'] as const),
        ...(['last_seen_on_ascending', 'last_seen_on_descending'] as const),
      ]),
    )
    .option('--limit <number>', 'so many at most', wholeNumber);

export type ListOptions = FilterOptions & OrderOptions;

/** By which `scu device list` and `export` choose devices. */
export const addListOptions = (command: Command): Command => addOrderOptions(addFilterOptions(command));

export async function* listDevices(api: Client, options: ListOptions): AsyncGenerator<Device> {
  const { sort, limit } = options;
  const query = { ...queryOf(await filterOf(api, options)), ...(sort && { sort }) };
  yield* limited(
    all((page) => api.listDevices({ ...query, ...page })),
    limit,
  );
}

/** For people. */
export const deviceColumns: Column<Device>[] = [
  { title: 'kind', of: ({ kind }) => kind },
  { title: 'external_id', of: ({ external_id }) => external_id },
  { title: 'version', of: ({ version }) => version },
  { title: 'channel', of: ({ channel }) => channel },
  { title: 'zone', of: ({ zone }) => zone },
  { title: 'tags', of: ({ tags }) => tags.join(' ') || null },
  { title: 'seen', of: ({ last_seen_dt, retired_dt }) => (retired_dt ? 'retired' : (formatTime(last_seen_dt) ?? 'never')) },
  { title: 'runs', of: ({ firmwares }) => firmwares.map(({ hardware_type, version }) => `${hardware_type} ${version}`).join(', ') },
];
