import { type Command, Option } from 'commander';
import { type AuditLine, all, changesOf, type ListAuditParams } from '../../../api/src/index.ts';
import { action, addCommand, moment, wholeNumber } from '../command.ts';
import { formatTime } from '../format.ts';
import { given } from '../given.ts';
import { limited } from '../limited.ts';
import type { Column } from '../output.ts';

const columns: Column<AuditLine>[] = [
  { title: 'when', of: ({ occurred_dt }) => formatTime(occurred_dt) },
  { title: 'who', of: ({ caller }) => caller },
  { title: 'did', of: ({ action: done }) => done },
  { title: 'with', of: ({ resource, resource_id }) => (resource_id === null ? resource : `${resource} ${resource_id}`) },
  { title: 'outcome', of: ({ outcome }) => describeOutcome(outcome) },
];

/** What became of it: `status IN_PROGRESS → PAUSED; reason – → too many fail`. */
export const describeOutcome = (outcome: AuditLine['outcome']): string =>
  changesOf(outcome)
    .map(({ field, before, after }) => (before === undefined ? `${field} ${after}` : `${field} ${before} → ${after}`))
    .join('; ');

interface AuditOptions {
  caller?: string;
  did?: string;
  resource?: NonNullable<ListAuditParams['resource']>;
  id?: string;
  since?: string;
  until?: string;
  limit?: number;
}

const resources: NonNullable<ListAuditParams['resource']>[] = [
  ...(['update', 'firmware', 'device', 'zone', 'group', 'hardware_type', 'assembly', 'observation', 'author_key', 'author_root'] as const),
];

/** `scu audit`: what callers have changed. */
export const addAuditCommand = (program: Command): void => {
  addCommand(program, 'audit', {
    summary: 'what people and programs have changed, the latest first',
    details: 'The login needs the scope audit:read. With --json an outcome is the document that the service has kept.',
    examples: ['scu audit --resource update --id 17', 'scu audit --caller ada@example.com --since 2026-11-25T20:00:00Z'],
    hasCsv: true,
  })
    .option('--caller <name>', 'only what this caller has changed')
    .option('--did <action>', 'only this: cancel, retire, tag, …, as the column DID has it')
    .addOption(new Option('--resource <kind>', 'only of this kind').choices(resources))
    .option('--id <id>', 'with --resource: its id or name, of a device kind/external_id')
    .option('--since <time>', 'not before', moment)
    .option('--until <time>', 'before', moment)
    .option('--limit <number>', 'so many at most', wholeNumber)
    .action(
      action<AuditOptions>(async ({ client, output }, { caller, did, resource, id, since, until, limit }) => {
        const api = client();
        const query: ListAuditParams = given({ caller, action: did, resource, resource_id: id, since, until });
        const lines = all((page) => api.listAudit({ ...query, ...page }));
        await output.list(limited(lines, limit), columns);
      }),
    );
};
