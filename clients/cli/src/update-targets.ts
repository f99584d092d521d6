import type { Command } from 'commander';
import type { Client, RequestUpdateBody } from '../../api/src/index.ts';
import { words } from './command.ts';
import { parseCsv } from './csv.ts';
import { UsageError } from './exit-codes.ts';
import { addFilterOptions, type FilterOptions, filterOf, isNarrow, kindOption } from './filter-options.ts';
import { readText } from './input.ts';

export interface TargetOptions extends FilterOptions {
  devices?: string[];
  devicesFrom?: string;
  group?: string;
  all?: boolean;
}

/** Which devices an update is for. */
export const addTargetOptions = (command: Command): Command =>
  addFilterOptions(
    command
      .option('--devices <ids>', 'these devices, separated by commas; may be repeated', words)
      .option('--devices-from <file>', 'those of a file: an id a line, or CSV with a column external_id; - is standard input')
      .option('--group <name>', 'the members of this group')
      .option('--all', 'every device of the kind'),
    kindOption('scooter, which is the default, or cabinet'),
  );

const ways = '--all, --devices, --devices-from, --group, or conditions such as --zone, --tag, --running and --percentage';

/** @throws UsageError unless devices are chosen in exactly one way. */
export const targetsOf = async (
  client: Client,
  options: TargetOptions,
  reading: { hardwareType: () => Promise<string> },
): Promise<RequestUpdateBody['targets']> => {
  const { kind, all, devices, devicesFrom, group } = options;
  const filter = await filterOf(client, options, reading);
  const chosenBy = [devices ?? devicesFrom, group, all ?? (isNarrow(filter) || undefined)].filter((way) => way !== undefined);
  if (chosenBy.length === 0) throw new UsageError(`Which devices? Say ${ways}`);
  if (group !== undefined) {
    const { percentage, ...others } = filter;
    if (devices || devicesFrom || all || Object.keys(others).length > 0)
      throw new UsageError('A group says itself which devices are meant: beside --group there is only --percentage');
    return { group, ...(percentage !== undefined && { percentage }) };
  }
  if (chosenBy.length > 1) throw new UsageError(`Devices are named or chosen, not both: ${ways}`);
  if (!devices && devicesFrom === undefined) return { filter: { ...filter, kind: kind ?? 'scooter' } };
  const external_ids = [...(devices ?? []), ...(devicesFrom === undefined ? [] : await readIds(devicesFrom))];
  return { kind: kind ?? 'scooter', external_ids: external_ids.map((id) => id.trim()).filter(Boolean) };
};

const readIds = async (file: string): Promise<string[]> => {
  const rows = parseCsv(await readText(file));
  const column = rows[0]?.cells.indexOf('external_id') ?? -1;
  return column < 0 ? rows.map(({ cells: [id = ''] }) => id) : rows.slice(1).map(({ cells }) => cells[column] ?? '');
};
