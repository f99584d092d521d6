import type { Command } from 'commander';
import { all, type ObservationWithChanges, type ObservedChange, wait } from '../../../api/src/index.ts';
import { action, addCommand, wholeNumber } from '../command.ts';
import { exitCodes, UsageError } from '../exit-codes.ts';
import { addFilterOptions, type FilterOptions, filterOf, isNarrow } from '../filter-options.ts';
import { bar, formatNumber } from '../format.ts';
import { tableLines } from '../output.ts';

interface ObserveOptions extends FilterOptions {
  addUnknown?: boolean;
  perMinute?: number;
  comment?: string;
  wait: boolean;
}

const pollSeconds = 1;
const changesShown = 50;

/** `scu observe`: asks devices, through the backend, what they run. */
export const addObserveCommand = (program: Command): void => {
  const command = addCommand(program, 'observe [external-ids...]', {
    summary: 'ask devices what they run now; without ids and conditions: all of them',
    details: 'Waits until all have been asked, and shows what was not known before. Ctrl-C ends the waiting, not the asking.',
    examples: [
      'scu observe S-00001 S-00002',
      'scu observe --zone north --not-seen-days 7',
      'scu observe --add-unknown     # imports the fleet that the backend knows',
    ],
  });
  addFilterOptions(command)
    .option('--add-unknown', 'add devices that the backend knows and this service does not')
    .option('--per-minute <number>', 'ask so many a minute at most', wholeNumber)
    .option('--comment <text>', 'why')
    .option('--no-wait', 'do not wait')
    .action(
      action<ObserveOptions, [string[]]>(async ({ client, output, progress, signal }, options, externalIds) => {
        const { kind, addUnknown, perMinute, comment } = options;
        const api = client({ attempts: 10 });
        const filter = await filterOf(api, options);
        if (externalIds.length > 0 && isNarrow(filter)) throw new UsageError('Devices are named, or chosen by conditions: not both');
        if (externalIds.length > 0 && kind === undefined && addUnknown) throw new UsageError('Of which kind are they? Say --kind');
        const begun = await api.requestObservation(
          {
            targets: externalIds.length > 0 ? { ...(kind && { kind }), external_ids: externalIds } : { filter },
            ...(addUnknown && { add_unknown: true }),
            ...(perMinute !== undefined && { maximum_per_minute: perMinute }),
            ...(comment !== undefined && { comment }),
          },
          { 'idempotency-key': crypto.randomUUID() },
        );
        let observation = await api.getObservation(begun.id, { limit: 1 });
        while (options.wait && observation.status === 'IN_PROGRESS') {
          progress.show(describeProgress(observation));
          await wait(pollSeconds, signal);
          observation = await api.getObservation(begun.id, { limit: 1 });
        }
        progress.clear();
        const changes: ObservedChange[] = [];
        for await (const change of all(async (page) => (await api.getObservation(begun.id, page)).changes)) changes.push(change);
        const { changes: _, ...figures } = observation;
        await output.item({ ...figures, changes }, () => describeObservation(observation, changes));
        return observation.status === 'FAILED' ? exitCodes.unsuccessful : exitCodes.done;
      }),
    );
};

const describeProgress = ({ progress, devices_asked, devices_total, last_error, failures }: ObservationWithChanges): string =>
  `Asking ${bar(progress ?? 0, 24)} ${formatNumber(devices_asked)} of ${devices_total === null ? '…' : formatNumber(devices_total)} devices` +
  (failures > 0 ? `  waits for the backend: ${last_error}` : '');

const describeObservation = (observation: ObservationWithChanges, changes: readonly ObservedChange[]): string[] => {
  const {
    id,
    status,
    last_error,
    devices_asked,
    devices_answered,
    devices_unknown,
    devices_refused,
    devices_added,
    devices_not_registered,
  } = observation;
  const parts = [
    `${formatNumber(devices_answered)} answered`,
    ...(devices_added > 0 ? [`${formatNumber(devices_added)} of them added`] : []),
    ...(devices_not_registered > 0 ? [`${formatNumber(devices_not_registered)} of them not registered here`] : []),
    ...(devices_unknown > 0 ? [`${formatNumber(devices_unknown)} unknown to the backend`] : []),
    ...(devices_refused > 0 ? [`${formatNumber(devices_refused)} refused`] : []),
  ];
  const shown = changes
    .slice(0, changesShown)
    .map(({ external_id, hardware_type, from_version, to_version }) => [
      ...[external_id, hardware_type, from_version ?? 'not known', to_version],
    ]);
  return [
    `Observation ${id} is ${status}${status === 'FAILED' ? `: ${last_error}` : ''}: ${formatNumber(devices_asked)} devices asked, ${parts.join(', ')}`,
    ...(shown.length > 0 ? ['', ...tableLines(['device', 'type', 'was', 'runs'], shown)] : ['Nothing new is known.']),
    ...(changes.length > shown.length ? [`… and ${formatNumber(changes.length - shown.length)} more: --json has all`] : []),
  ];
};
