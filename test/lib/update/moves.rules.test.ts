import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { executionEvents, type Phase, phases, transitions } from '../../../lib/update/execution.ts';

const lib = new URL('../../../lib/', import.meta.url);
const sources = readdirSync(lib, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => [name, readFileSync(new URL(name, lib), 'utf8')] as const);

/** What a move writes. Everything else that is stored about an execution changes nothing of where it is. */
const moving = /\b(phase|status|dispatch_id|sent_dt|installed_dt|cancellation|next_attempt_dt|finished_dt|attempt|retries)\s*=(?!=)/;

it('one statement moves executions, and it reads the table: no other sets a column that says where one is', () => {
  const movers = sources.flatMap(([name, text]) =>
    [...text.matchAll(/UPDATE update_executions\b[\s\S]*?\bSET\b([\s\S]*?)\b(?:FROM|WHERE)\b/g)]
      .filter(([, set]) => moving.test(set?.replaceAll('told_status', '') ?? ''))
      .map(() => name),
  );
  expect(movers).toEqual(['update/move-executions.ts']);
  expect(sources.filter(([, text]) => text.includes("updateTable('update_executions')")).map(([name]) => name)).toEqual([]);
});

it('every event of the table is told by somebody', () => {
  const texts = sources.filter(([name]) => name !== 'update/execution.ts').map(([, text]) => text);
  expect(executionEvents.filter((event) => !texts.some((text) => text.includes(`'${event}'`)))).toEqual([]);
});

it('every phase can be reached from the one in which an execution is planned', () => {
  const reached = new Set<Phase>(['waiting']);
  for (const phase of reached) for (const { to } of Object.values(transitions[phase])) reached.add(to);
  expect([...reached].sort()).toEqual([...phases].sort());
});
