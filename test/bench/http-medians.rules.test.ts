import { expect, it } from 'vitest';
import { mediansOf, readTables } from '../../bench/http-medians.ts';

const run = (rate: string, p99: string, both: string) => `2 cores

| line | units/s | p99 ms | remark |
| --- | --- | --- | --- |
| idle poll | ${rate} | ${p99} |  |

| load | p50 ms |
| --- | --- |
| both | ${both} |
`;

it('gives the median of each figure, as it was printed, and of each of several in one cell', () => {
  const tables = [run('900', '9.0', '1.5, 30.0'), run('1000', '10.0', '2.5, 10.0'), run('950', '8.0', '2.0, 20.0')].flatMap(readTables);
  expect(mediansOf(tables)).toEqual([
    { names: ['line', 'units/s', 'p99 ms', 'remark'], rows: [['idle poll', '950', '9.0', '']] },
    { names: ['load', 'p50 ms'], rows: [['both', '2.0, 20.0']] },
  ]);
});

it('keeps a line that only one run has, and words', () => {
  const tables = readTables('| line | s |\n| --- | --- |\n| planning | no pgbench |\n| dispatch | 3 |');
  expect(mediansOf(tables)).toEqual([
    {
      names: ['line', 's'],
      rows: [
        ['planning', 'no pgbench'],
        ['dispatch', '3'],
      ],
    },
  ]);
});
