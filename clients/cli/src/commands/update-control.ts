import type { Command } from 'commander';
import { type ControlAnswer, failedOf } from '../../../api/src/index.ts';
import { action, addCommand, type CommonOptions, type Context } from '../command.ts';
import { exitCodes, UsageError } from '../exit-codes.ts';
import { formatNumber } from '../format.ts';
import { updateIdOf } from '../update-id.ts';
import { addPaceOptions, paceOf } from '../update-request.ts';
import { type WatchOptions, watch } from '../watch.ts';
import { addWatchOptions } from '../watch-options.ts';

/** `scu update approve`, `reject`, `pause`, `resume`, `cancel`, `pace`, `retry`. */
export const addUpdateControls = (group: Command): void => {
  addApprove(group);
  addReject(group);
  addPause(group);
  addResume(group);
  addCancel(group);
  addPace(group);
  addRetry(group);
};

const addApprove = (group: Command): void => {
  addCommand(group, 'approve <id>', {
    summary: 'let an update begin that somebody else has requested',
    details: 'Whoever requested an update cannot approve it. The login needs the scope updates:approve.',
    examples: ['scu update approve 17 --remark "tried on ten scooters"'],
  })
    .option('--remark <text>', 'shown with the update')
    .action(
      action<{ remark?: string }, [string]>(async ({ client, output }, { remark }, text) => {
        const id = updateIdOf(text);
        await tell(output, await client().approveUpdate(id, remark === undefined ? {} : { remark }), {
          done: `Update ${id} is approved, and begins.`,
          already: `Update ${id} was approved already.`,
        });
      }),
    );
};

const addReject = (group: Command): void => {
  addCommand(group, 'reject <id>', {
    summary: 'end an update that waits for approval; nobody is asked',
    details: 'Whoever requested an update cannot reject it, but cancel it. The login needs the scope updates:approve.',
    examples: ['scu update reject 17 --remark "not before the weekend"'],
  })
    .requiredOption('--remark <text>', 'why; shown with the update')
    .action(
      action<{ remark: string }, [string]>(async ({ client, output }, { remark }, text) => {
        const id = updateIdOf(text);
        await tell(output, await client().rejectUpdate(id, { remark }), {
          done: `Update ${id} is rejected.`,
          already: `Update ${id} was rejected already.`,
        });
      }),
    );
};

const addPause = (group: Command): void => {
  addCommand(group, 'pause <id>', {
    summary: 'ask no further device; those at work go on',
    examples: ['scu update pause 17 --reason "many failures in the north"'],
  })
    .option('--reason <text>', 'why; shown with the update')
    .action(
      action<{ reason?: string }, [string]>(async ({ client, output }, { reason }, text) => {
        const id = updateIdOf(text);
        await tell(output, await client().pauseUpdate(id, reason === undefined ? {} : { reason }), {
          done: `Update ${id} is paused.`,
          already: `Update ${id} was paused already.`,
        });
      }),
    );
};

const addResume = (group: Command): void => {
  addCommand(group, 'resume <id>', {
    summary: 'go on with an update that is paused, or whose step is late',
    examples: ['scu update resume 17'],
  }).action(
    action<object, [string]>(async ({ client, output }, _, text) => {
      const id = updateIdOf(text);
      await tell(output, await client().resumeUpdate(id, {}), {
        done: `Update ${id} goes on.`,
        already: `Update ${id} was going on already; its message was sent again.`,
      });
    }),
  );
};

const addCancel = (group: Command): void => {
  addCommand(group, 'cancel <id>', {
    summary: 'end an update: no further device is asked; those at work may finish',
    examples: ['scu update cancel 17', 'scu update cancel 17 --force --reason "wrong file" --yes'],
    asks: true,
  })
    .option('--force', 'also end the record of devices at work, whatever they do then')
    .option('--reason <text>', 'why; shown with the update')
    .action(
      action<{ force?: boolean; reason?: string } & CommonOptions, [string]>(async ({ client, output, confirm }, options, text) => {
        const { force, reason, yes } = options;
        const id = updateIdOf(text);
        const api = client();
        if (!yes) {
          const { counts } = await api.getUpdate(id);
          const atWork = force ? 'are given up' : 'may finish';
          await confirm(
            `Cancel update ${id}? ${formatNumber(counts.QUEUED)} devices wait; ${formatNumber(counts.IN_PROGRESS)} at work ${atWork}.`,
          );
        }
        const answer = await api.cancelUpdate(id, { ...(force && { force: true }), ...(reason !== undefined && { reason }) });
        await tell(output, answer, { done: `Update ${id} is canceled.`, already: `Update ${id} was canceled already.` });
      }),
    );
};

const addPace = (group: Command): void => {
  const command = addCommand(group, 'pace <id>', {
    summary: 'change how fast devices are asked',
    examples: ['scu update pace 17 --per-minute 200 --in-progress 500'],
  });
  addPaceOptions(command).action(
    action<Parameters<typeof paceOf>[0], [string]>(async ({ client, output }, options, text) => {
      const id = updateIdOf(text);
      const rollout = paceOf(options);
      if (Object.keys(rollout).length === 0) throw new UsageError('Which pace? Say --per-minute, --in-progress or --budget');
      await tell(output, await client().changeUpdatePace(id, { rollout }), {
        done: `The pace of update ${id} is changed.`,
        already: `Update ${id} has this pace already.`,
      });
    }),
  );
};

const tell = (output: Context['output'], answer: ControlAnswer, { done, already }: { done: string; already: string }): Promise<void> =>
  output.item(answer, () => [answer.changed ? done : already]);

interface RetryOptions extends WatchOptions, CommonOptions {
  comment?: string;
  watch?: boolean;
}

const addRetry = (group: Command): void => {
  const command = addCommand(group, 'retry <id>', {
    summary: 'try the failed devices of an ended update again, as a new update',
    examples: ['scu update retry 17', 'scu update retry 17 --yes --json'],
    asks: true,
  });
  addWatchOptions(command)
    .option('--comment <text>', 'what for; shown with the new update')
    .option('--watch', 'watch it until it has ended; the exit code says how')
    .action(
      action<RetryOptions, [string]>(async (context, options, text) => {
        const { client, output, confirm } = context;
        const id = updateIdOf(text);
        const api = client();
        if (!options.yes) {
          const { counts } = await api.getUpdate(id);
          await confirm(`Try the ${formatNumber(failedOf(counts))} failed devices of update ${id} again?`);
        }
        const { comment } = options;
        const update = await api.retryUpdate(id, comment === undefined ? {} : { comment }, { 'idempotency-key': crypto.randomUUID() });
        const line = `Update ${update.id} tries ${formatNumber(update.counts.QUEUED)} devices of update ${id} again.`;
        if (!options.watch || output.format !== 'json') await output.item(update, () => [line]);
        return options.watch ? watch(context, update.id, options) : exitCodes.done;
      }),
    );
};
