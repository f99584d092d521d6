import { ApiProblem, type Client, type RegisterDevicesBodyDevicesItem as NewDevice } from '../../api/src/index.ts';
import { parseCsv } from './csv.ts';
import { CommandError, exitCodes, UsageError } from './exit-codes.ts';
import type { DeviceKind } from './filter-options.ts';

interface Line {
  line: number;
  device: NewDevice;
}

export interface WrongLine {
  line: number;
  external_id: string | null;
  errors: string[];
}

export interface ImportResult {
  created: number;
  changed: number;
  unchanged: number;
  refused: WrongLine[];
}

/** So few that the service names every one that it refuses, and that progress is seen. */
const devicesPerRequest = 1_000;
const columns = ['kind', 'external_id', 'version', 'channel', 'zone', 'tags', 'revision'] as const;

/** A fleet as a file has it; `ignored` are columns that say nothing about what a device is. */
export const readFleet = (text: string, defaultKind: DeviceKind): { lines: Line[]; wrong: WrongLine[]; ignored: string[] } => {
  const [header, ...rows] = parseCsv(text);
  const titles = header?.cells.map((title) => title.toLowerCase()) ?? [];
  if (!titles.includes('external_id'))
    throw new UsageError('The first line names the columns, and one of them is external_id: kind,external_id,version,channel,zone');
  const lines: Line[] = [];
  const wrong: WrongLine[] = [];
  for (const { line, cells } of rows) {
    const cellOf = (column: Column) => cells[titles.indexOf(column)] ?? '';
    const [external_id, version] = [cellOf('external_id'), cellOf('version')];
    const errors = [
      ...(cells.length > titles.length ? [`has ${cells.length} cells, and there are ${titles.length} columns`] : []),
      ...(['', '1', '2'].includes(version) ? [] : [`version: 1, 2 or nothing is wanted, not ${version}`]),
    ];
    if (errors.length > 0) wrong.push({ line, external_id, errors });
    else lines.push({ line, device: toDevice({ ...cellsOf(columns, cellOf), kind: cellOf('kind') || defaultKind }) });
  }
  return { lines, wrong, ignored: titles.filter((title) => !columns.includes(title as (typeof columns)[number])) };
};

type Column = (typeof columns)[number];

const cellsOf = (names: readonly Column[], cellOf: (column: Column) => string) =>
  Object.fromEntries(names.map((name) => [name, cellOf(name)])) as Record<Column, string>;

const toDevice = ({ kind, external_id, version, channel, zone, tags, revision }: Record<Column, string>): NewDevice =>
  // The service judges kind, id, channel and the others, and says what is wrong with them.
  ({
    ...{ kind, external_id },
    ...(version && { version: Number(version) }),
    ...(channel && { channel }),
    ...(zone && { zone }),
    ...(tags && { tags: tags.split(/[\s,;]+/).filter(Boolean) }),
    ...(revision && { revision }),
  }) as NewDevice;

/** Registers what can be registered; each line that is refused is told as it is known. */
export const importDevices = async (
  client: Client,
  lines: readonly Line[],
  { onProgress, onWrong }: { onProgress: (done: number) => void; onWrong: (wrong: WrongLine) => void },
): Promise<ImportResult> => {
  const result: ImportResult = { created: 0, changed: 0, unchanged: 0, refused: [] };
  for (let start = 0; start < lines.length; start += devicesPerRequest) {
    const chunk = lines.slice(start, start + devicesPerRequest);
    const answer = await client.registerDevices({ devices: chunk.map(({ device }) => device), partial: true });
    add(result, answer);
    for (const { index, external_id, errors } of answer.refused ?? []) {
      const texts = errors.map(({ path, message }) => [path, message].filter(Boolean).join(': '));
      const wrong = { line: chunk[index]?.line ?? 0, external_id, errors: texts };
      result.refused.push(wrong);
      onWrong(wrong);
    }
    onProgress(start + chunk.length);
  }
  return result;
};

/** Registers request by request, and stops at the first that holds a wrong line: of that request nothing is stored. */
export const importStrictly = async (
  client: Client,
  lines: readonly Line[],
  { onProgress }: { onProgress: (done: number) => void },
): Promise<ImportResult> => {
  const result: ImportResult = { created: 0, changed: 0, unchanged: 0, refused: [] };
  for (let start = 0; start < lines.length; start += devicesPerRequest) {
    const chunk = lines.slice(start, start + devicesPerRequest);
    try {
      add(result, await client.registerDevices({ devices: chunk.map(({ device }) => device) }));
    } catch (error) {
      if (!(error instanceof ApiProblem) || error.status !== 400) throw error;
      const wrong = error.errors.map(({ path, message }) => {
        const [, index = '', field = ''] = /^devices\.(\d+)\.?(.*)$/.exec(path) ?? [];
        return `Line ${chunk[Number(index)]?.line ?? '?'}: ${[field, message].filter(Boolean).join(': ')}`;
      });
      const stored = start === 0 ? 'Nothing was stored' : `Stored up to line ${lines[start - 1]?.line}, and nothing after it`;
      throw new CommandError([...wrong, `${stored}: correct the file and repeat.`].join('\n'), exitCodes.refused, { cause: error });
    }
    onProgress(start + chunk.length);
  }
  return result;
};

const add = (result: ImportResult, { created, changed, unchanged }: Omit<ImportResult, 'refused'>): void => {
  result.created += created;
  result.changed += changed;
  result.unchanged += unchanged;
};
