import type { Command } from 'commander';
import { planUpdate, startUpdate, type Update, type UpdateRequest } from '../../../api/src/index.ts';
import { action, addCommand, addGroup, type CommonOptions, type Context } from '../command.ts';
import { type ExitCode, exitCodes } from '../exit-codes.ts';
import { formatNumber } from '../format.ts';
import { planLines } from '../plan-lines.ts';
import { updateIdOf } from '../update-id.ts';
import { addUpdateOptions, toUpdateRequest, type UpdateOptions } from '../update-request.ts';
import { devices } from '../update-sentence.ts';
import { type WatchOptions, watch } from '../watch.ts';
import { addWatchOptions } from '../watch-options.ts';
import { addUpdateControls } from './update-control.ts';
import { addUpdateViews } from './update-views.ts';

/** `scu update …`: devices to a version. */
export const addUpdateCommands = (program: Command): void => {
  const group = addGroup(program, 'update', 'updates: devices to a version, at a pace, with a brake');
  addPlan(group);
  addCreate(group);
  addUpdateViews(group);
  addWatch(group);
  addUpdateControls(group);
};

const addPlan = (group: Command): void => {
  const command = addCommand(group, 'plan', {
    summary: 'show who would be updated, and why others would not; changes nothing',
    examples: [
      'scu update plan --firmware vega_mcu@1.5.0 --all',
      'scu update plan --firmware vega_mcu@1.5.0 --zone north --tag night --budget 10%',
      'scu update plan --firmware vega_mcu@1.5.0 --devices-from street.csv --json',
    ],
  });
  addUpdateOptions(command).action(
    action<UpdateOptions>(async (context, options) => showPlan(context, await toUpdateRequest(context.client(), options))),
  );
};

const showPlan = async ({ client, output }: Context, request: UpdateRequest): Promise<ExitCode> => {
  const plan = await planUpdate(client(), request);
  await output.item(plan, () => planLines(plan, output, new Date()));
  return exitCodes.done;
};

interface CreateOptions extends UpdateOptions, WatchOptions, CommonOptions {
  dryRun?: boolean;
  watch?: boolean;
  key?: string;
}

const addCreate = (group: Command): void => {
  const command = addCommand(group, 'create', {
    summary: 'update devices',
    details:
      'Plans first, says how many devices would be updated, and asks. --yes does not ask. A version that stands alone (--running 1.4.0) is of ' +
      'the hardware type of --firmware.',
    examples: [
      'scu update create --firmware vega_mcu@1.5.0 --all --dry-run',
      'scu update create --firmware vega_mcu@1.5.0 --all --canary 50 --stop-at 10% --stop-after 100 --watch',
      'scu update create --firmware vega_mcu@1.5.0 --group night-shift --budget 10% --window 02:00-05:00',
      'scu update create --firmware vega_mcu@1.5.0 --zone north --not-running 1.4.0 --ignore-window --comment "brakes fail"',
      'scu update create --firmware vega_mcu@1.5.0 --devices S-00001,S-00002 --yes --json',
    ],
    asks: true,
  });
  addWatchOptions(addUpdateOptions(command))
    .option('--dry-run', 'only show who would be updated, and why others would not')
    .option('--watch', 'watch it until it has ended; the exit code says how')
    .option('--key <text>', 'an idempotency key: the same request with the same key is the same update, however often it is made')
    .action(
      action<CreateOptions>(async (context, options) => {
        const { client, output, confirm, signal } = context;
        const api = client();
        const request = await toUpdateRequest(api, options);
        if (options.dryRun) return showPlan(context, request);
        if (!options.yes) {
          const { eligible, when } = await planUpdate(api, request);
          const atOnce = when.later.length === 0 ? '' : `, ${formatNumber(when.now)} of them at once`;
          await confirm(`Update ${formatNumber(eligible)} devices to ${options.firmware}${atOnce}?`);
        }
        const update = await startUpdate(api, request, { signal, ...(options.key !== undefined && { idempotencyKey: options.key }) });
        if (!options.watch) {
          await output.item(update, () => [describeStart(update), `Watch it: scu update watch ${update.id}`]);
          return exitCodes.done;
        }
        if (output.format !== 'json') await output.line(describeStart(update));
        return watch(context, update.id, options);
      }),
    );
};

const describeStart = ({ id, status, counts, hardware_type, firmware_version }: Update): string =>
  `Update ${id}: ${devices(counts.QUEUED + counts.IN_PROGRESS)} to ${hardware_type} ${firmware_version}` +
  (status === 'WAITING_FOR_APPROVAL' ? `; somebody else has to approve it: scu update approve ${id}` : '');

const addWatch = (group: Command): void => {
  const command = addCommand(group, 'watch <id>', {
    summary: 'watch an update until it has ended; the exit code says how',
    details: `0: it has succeeded; 6: with failures, or it was stopped; 7: --timeout. Ctrl-C ends the watching, not the update. An update that stays open is watched until Ctrl-C, or until nothing is left to do: --until rest.`,
    examples: ['scu update watch 17', 'scu update watch 17 --until canary --timeout 30m', 'scu update watch 17 --accept-failures 2%'],
  });
  addWatchOptions(command).action(action<WatchOptions, [string]>(async (context, options, id) => watch(context, updateIdOf(id), options)));
};
