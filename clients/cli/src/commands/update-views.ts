import { type Command, Option } from 'commander';
import { all, type Exclusion, type Execution, type ListExecutionsStatus, type Update } from '../../../api/src/index.ts';
import { action, addCommand, wholeNumber } from '../command.ts';
import { firmwareIdOf, firmwareNameHelp } from '../firmware-name.ts';
import { formatNumber, formatShare, formatTime } from '../format.ts';
import { limited } from '../limited.ts';
import type { Column } from '../output.ts';
import { updateIdOf } from '../update-id.ts';
import { failedOf, totalOf } from '../update-sentence.ts';
import { updateView } from '../update-view.ts';

/** `scu update list`, `view`, `devices`. */
export const addUpdateViews = (group: Command): void => {
  addList(group);
  addView(group);
  addDevices(group);
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
  limit?: number;
}

const addList = (group: Command): void => {
  addCommand(group, 'list', {
    summary: 'list updates, the latest first',
    examples: ['scu update list --status IN_PROGRESS', 'scu update list --firmware vega_mcu@1.5.0', 'scu update list --limit 10 --json'],
    hasCsv: true,
  })
    .addOption(
      new Option('--status <status>', 'in this status').choices(['SCHEDULED', 'IN_PROGRESS', 'PAUSED', 'COMPLETED', 'CANCELED', 'ABORTED']),
    )
    .option('--firmware <firmware>', `to this firmware: ${firmwareNameHelp}`)
    .option('--type <name>', 'to firmwares of this hardware type')
    .option('--by <subject>', 'requested by this caller, as the column BY has it')
    .option('--limit <number>', 'so many at most', wholeNumber)
    .action(
      action<ListOptions>(async ({ client, output }, { status, firmware, type, by, limit }) => {
        const api = client();
        const conditions = {
          ...(status && { status }),
          ...(firmware && { firmware_id: await firmwareIdOf(api, firmware) }),
          ...(type && { hardware_type: type }),
          ...(by && { created_by: by }),
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
      const update = await client().getUpdate(updateIdOf(id));
      const { comment, created_by, created_dt, started_dt, finished_dt, retry_of_update_id } = update;
      const fields = { comment, created: `${formatTime(created_dt)} by ${created_by}`, started: formatTime(started_dt) };
      await output.item(update, () => [
        ...updateView(update, { paint: output.paint, width: process.stdout.columns || 100, now: new Date() }),
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
      'scu update devices 17 --status FAILED',
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
    .option('--limit <number>', 'so many at most', wholeNumber)
    .action(
      action<DevicesOptions, [string]>(async ({ client, output }, { status, reason, device, canary, leftOut, limit }, text) => {
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
        };
        const executions = all((page) => api.listExecutions(id, { ...conditions, ...page }));
        const columns = output.format === 'csv' ? executionColumns : executionColumns.map(withShortTime);
        return output.list(limited(executions, limit), columns);
      }),
    );
};

const withShortTime = ({ title, of }: Column<Execution>): Column<Execution> =>
  title.endsWith('_dt') ? { title: title.replace('_dt', ''), of: (item) => formatTime(of(item) as string | null) } : { title, of };
