import { type Command, Option } from 'commander';
import {
  all,
  type Exclusion,
  type Execution,
  failedOf,
  type ListExecutionsSort,
  type ListExecutionsStatus,
  type ListUpdatesSort,
  type Timeline,
  totalOf,
  type Update,
  waitsOf,
} from '../../../api/src/index.ts';
import { action, addCommand, moment, wholeNumber } from '../command.ts';
import { firmwareIdOf, firmwareNameHelp } from '../firmware-name.ts';
import { formatNumber, formatShare, formatTime } from '../format.ts';
import { limited } from '../limited.ts';
import type { Column } from '../output.ts';
import { sortOption } from '../sort-option.ts';
import { updateIdOf } from '../update-id.ts';
import { updateView } from '../update-view.ts';
import { sayWait } from '../wait-words.ts';

/** `scu update list`, `view`, `devices`, `timeline`. */
export const addUpdateViews = (group: Command): void => {
  addList(group);
  addView(group);
  addDevices(group);
  addTimeline(group);
};

const updateColumns: Column<Update>[] = [
  { title: 'id', of: ({ id }) => id },
  { title: 'firmware', of: ({ hardware_type, firmware_version }) => `${hardware_type} ${firmware_version}` },
  { title: 'status', of: ({ status }) => status },
  { title: 'progress', of: ({ progress }) => formatShare(progress) },
  { title: 'devices', of: ({ counts }) => formatNumber(totalOf(counts)) },
  { title: 'failed', of: ({ counts }) => formatNumber(failedOf(counts)) },
  { title: 'created', of: ({ created_dt }) => formatTime(created_dt) },
  { title: 'by', of: ({ created_by }) => created_by },
  { title: 'comment', of: ({ comment }) => comment },
];

interface ListOptions {
  status?: Update['status'];
  firmware?: string;
  type?: string;
  by?: string;
  sort?: ListUpdatesSort;
  limit?: number;
}

const addList = (group: Command): void => {
  addCommand(group, 'list', {
    summary: 'list updates, the latest first',
    examples: ['scu update list --status IN_PROGRESS', 'scu update list --firmware vega_mcu@1.5.0', 'scu update list --limit 10 --json'],
    hasCsv: true,
  })
    .addOption(
      new Option('--status <status>', 'in this status').choices([
        'WAITING_FOR_APPROVAL',
        'SCHEDULED',
        'IN_PROGRESS',
        'PAUSED',
        'COMPLETED',
        'CANCELED',
        'ABORTED',
      ]),
    )
    .option('--firmware <firmware>', `to this firmware: ${firmwareNameHelp}`)
    .option('--type <name>', 'to firmwares of this hardware type')
    .option('--by <subject>', 'requested by this caller, as the column BY has it')
    .addOption(sortOption<ListUpdatesSort>(['created_dt_descending', 'created_dt_ascending']))
    .option('--limit <number>', 'so many at most', wholeNumber)
    .action(
      action<ListOptions>(async ({ client, output }, { status, firmware, type, by, sort, limit }) => {
        const api = client();
        const conditions = {
          ...(status && { status }),
          ...(firmware && { firmware_id: await firmwareIdOf(api, firmware) }),
          ...(type && { hardware_type: type }),
          ...(by && { created_by: by }),
          ...(sort && { sort }),
        };
        const updates = all((page) => api.listUpdates({ ...conditions, ...page }));
        await output.list(limited(updates, limit), updateColumns);
      }),
    );
};

const addView = (group: Command): void => {
  addCommand(group, 'view <id>', {
    summary: 'show an update: what happens now and why, counts, pace, canary, reasons',
    examples: ['scu update view 17', `scu update view 17 --json | jq .counts.FAILED`],
  }).action(
    action<object, [string]>(async ({ client, output }, _, id) => {
      const api = client();
      const update = await api.getUpdate(updateIdOf(id));
      const waits = output.format === 'table' && update.counts.QUEUED > 0 ? await waitsOf(api, update.id) : [];
      const { comment, created_by, created_dt, started_dt, finished_dt, retry_of_update_id } = update;
      const fields = { comment, created: `${formatTime(created_dt)} by ${created_by}`, started: formatTime(started_dt) };
      await output.item(update, () => [
        ...updateView(update, { paint: output.paint, width: process.stdout.columns || 100, now: new Date(), waits }),
        '',
        ...output.fields({ ...fields, finished: formatTime(finished_dt), 'retry of': retry_of_update_id }),
      ]);
    }),
  );
};

interface DevicesOptions {
  status?: ListExecutionsStatus;
  reason?: string;
  device?: string;
  canary?: boolean;
  leftOut?: boolean;
  sort?: ListExecutionsSort;
  limit?: number;
}

const executionColumns: Column<Execution>[] = [
  { title: 'kind', of: ({ kind }) => kind },
  { title: 'external_id', of: ({ external_id }) => external_id },
  { title: 'status', of: ({ status }) => status },
  { title: 'reason', of: ({ reason }) => reason },
  { title: 'waits_for', of: ({ waits_for }) => waits_for?.cause },
  { title: 'attempt', of: ({ attempt }) => attempt },
  { title: 'sent_dt', of: ({ sent_dt }) => sent_dt },
  { title: 'finished_dt', of: ({ finished_dt }) => finished_dt },
  { title: 'detail', of: ({ detail }) => detail },
];

const exclusionColumns: Column<Exclusion>[] = [
  { title: 'kind', of: ({ kind }) => kind },
  { title: 'external_id', of: ({ external_id }) => external_id },
  { title: 'reason', of: ({ reason }) => reason },
];

const statuses: ListExecutionsStatus[] = ['QUEUED', 'IN_PROGRESS', 'SUCCEEDED', 'FAILED', 'TIMED_OUT', 'REJECTED', 'CANCELED', 'REMOVED'];

const addDevices = (group: Command): void => {
  addCommand(group, 'devices <id>', {
    summary: 'list the devices of an update, with status, reason and times',
    examples: [
      'scu update devices 17 --status FAILED --sort finished_dt_descending',
      'scu update devices 17 --device S-00017',
      'scu update devices 17 --csv > update-17.csv',
      'scu update devices 17 --left-out',
    ],
    hasCsv: true,
  })
    .addOption(new Option('--status <status>', 'in this status').choices(statuses))
    .option('--reason <reason>', 'with this reason')
    .option('--device <external-id>', 'this device')
    .option('--canary', 'of the canary')
    .option('--no-canary', 'not of the canary')
    .addOption(new Option('--left-out', 'those that were chosen and do not take part').conflicts(['status', 'device', 'canary']))
    .addOption(sortOption<ListExecutionsSort>(['id_ascending', 'id_descending', 'finished_dt_descending', 'finished_dt_ascending']))
    .option('--limit <number>', 'so many at most', wholeNumber)
    .action(
      action<DevicesOptions, [string]>(async ({ client, output }, { status, reason, device, canary, leftOut, sort, limit }, text) => {
        const api = client();
        const id = updateIdOf(text);
        const why = reason as Exclusion['reason'] | undefined;
        if (leftOut) {
          const exclusions = all((page) => api.listExclusions(id, { ...(why && { reason: why }), ...page }));
          return output.list(limited(exclusions, limit), exclusionColumns);
        }
        const conditions = {
          ...(status && { status }),
          ...(reason !== undefined && { reason }),
          ...(device && { external_id: device }),
          ...(canary !== undefined && { is_canary: canary }),
          ...(sort && { sort }),
        };
        const executions = all((page) => api.listExecutions(id, { ...conditions, ...page }));
        const columns = output.format === 'csv' ? executionColumns : executionColumns.map(readable);
        return output.list(limited(executions, limit), columns);
      }),
    );
};

/** For people: times without fractions, and what is waited for in words. */
const readable = ({ title, of }: Column<Execution>): Column<Execution> => {
  if (title === 'waits_for') return { title, of: ({ waits_for }) => waits_for && sayWait(waits_for) };
  return title.endsWith('_dt') ? { title: title.replace('_dt', ''), of: (item) => formatTime(of(item) as string | null) } : { title, of };
};

const addTimeline = (group: Command): void => {
  addCommand(group, 'timeline <id>', {
    summary: 'show how many devices of an update had each status over time',
    details: 'From its start to its end, or to now, at moments that are evenly spread.',
    examples: ['scu update timeline 17', 'scu update timeline 17 --points 200 --csv > timeline.csv'],
    hasCsv: true,
  })
    .option('--points <number>', 'so many moments, 2 to 500', wholeNumber, 20)
    .option('--from <time>', 'from then on, instead of from the start', moment)
    .option('--until <time>', 'until then, instead of until the end', moment)
    .action(
      action<{ points: number; from?: string; until?: string }, [string]>(async ({ client, output }, { points, from, until }, id) => {
        const range = { ...(from && { from_dt: from }), ...(until && { until_dt: until }) };
        const timeline = await client().getUpdateTimeline(updateIdOf(id), { points, ...range });
        await output.list(timeline.points, output.format === 'csv' ? timelineColumns(statuses) : shortTimeline(timeline));
      }),
    );
};

type Point = Timeline['points'][number];

const timelineColumns = (shown: readonly ListExecutionsStatus[]): Column<Point>[] => [
  { title: 'dt', of: ({ dt }) => dt },
  ...shown.map((status): Column<Point> => ({ title: status, of: ({ counts }) => counts[status] })),
];

/** Only statuses that any device had. */
const shortTimeline = ({ points }: Timeline): Column<Point>[] => {
  const [, ...counts] = timelineColumns(statuses.filter((status) => points.some((point) => point.counts[status] > 0)));
  return [{ title: 'time', of: ({ dt }) => formatTime(dt) }, ...counts];
};
