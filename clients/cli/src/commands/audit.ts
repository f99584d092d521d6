import type { Command } from 'commander';
import { type AuditLine, all, type ListAuditParams } from '../../../api/src/index.ts';
import { action, addCommand } from '../command.ts';
import { formatTime } from '../format.ts';
import type { Column } from '../output.ts';

const columns: Column<AuditLine>[] = [
  { title: 'when', of: ({ occurred_dt }) => formatTime(occurred_dt) },
  { title: 'who', of: ({ caller }) => caller },
  { title: 'did', of: ({ action: done }) => done },
  { title: 'with', of: ({ resource, resource_id }) => (resource_id === null ? resource : `${resource} ${resource_id}`) },
  { title: 'outcome', of: ({ outcome }) => JSON.stringify(outcome) },
];

/** `scu audit`: what callers have changed. */
export const addAuditCommand = (program: Command): void => {
  addCommand(program, 'audit', {
    summary: 'what people and programs have changed, the latest first',
    details: 'The login needs the scope audit:read.',
    examples: ['scu audit --resource update --id 17', 'scu audit --caller ada@example.com --since 2026-11-25T20:00:00Z'],
    hasCsv: true,
  })
    .option('--caller <name>', 'only what this caller has changed')
    .option(
      '--resource <kind>',
      'only of this kind: update, firmware, device, zone, group, hardware_type, assembly, observation, author_key',
    )
    .option('--id <id>', 'with --resource: its id or name, of a device kind/external_id')
    .option('--since <time>', 'not before')
    .option('--until <time>', 'before')
    .action(
      action<{ caller?: string; resource?: string; id?: string; since?: string; until?: string }>(
        async ({ client, output }, { id, ...conditions }) => {
          const api = client();
          const query = { ...conditions, ...(id !== undefined && { resource_id: id }) } as ListAuditParams;
          await output.list(
            all((page) => api.listAudit({ ...query, ...page })),
            columns,
          );
        },
      ),
    );
};
