// The bare SQL of a call, measured by PostgreSQL's own client: no code of this project can be faster.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Sent } from './measure.ts';

/** So many transactions on one connection, or as many as fit into a time on several, with statements that are prepared. */
export type PgbenchOptions = { transactions: number } | { clients: number; seconds: number };

/**
 * Milliseconds of each transaction; every one is the statements of one of the calls, with their values written into them. undefined: there
 * is no pgbench on this machine.
 *
 * @throws with pgbench's own words when a statement fails.
 */
export function runPgbench(databaseUrl: string, calls: readonly (readonly Sent[])[], options: PgbenchOptions): number[] | undefined {
  const directory = mkdtempSync(join(tmpdir(), 'bench-'));
  try {
    const scripts = calls.map((statements, i) => {
      const file = join(directory, `${i}.sql`);
      writeFileSync(file, statements.map(toSql).join('\n'));
      return `--file=${file}`;
    });
    const { hostname, port, username, password, pathname } = new URL(databaseUrl);
    const { status, error, stderr } = spawnSync(
      'pgbench',
      ['--no-vacuum', ...amountOf(options), '--log', '--log-prefix=transactions', '--random-seed=42', ...scripts],
      {
        cwd: directory,
        encoding: 'utf8',
        env: { ...process.env, PGHOST: hostname, PGPORT: port, PGUSER: username, PGPASSWORD: password, PGDATABASE: pathname.slice(1) },
      },
    );
    if ((error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return undefined;
    if (error || status !== 0) throw new Error(`pgbench failed: ${error?.message ?? stderr}`);
    const logs = readdirSync(directory).filter((name) => name.startsWith('transactions'));
    // client, transaction, microseconds, script, time
    return logs.flatMap((log) =>
      readFileSync(join(directory, log), 'utf8')
        .trim()
        .split('\n')
        .map((line) => Number(line.split(' ')[2]) / 1_000),
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const amountOf = (options: PgbenchOptions): string[] =>
  'clients' in options
    ? [`--client=${options.clients}`, '--jobs=2', `--time=${options.seconds}`, '--protocol=prepared']
    : ['--client=1', `--transactions=${options.transactions}`];

const toSql = ({ statement, parameters }: Sent): string =>
  `${statement.replaceAll(/\$(\d+)/g, (_, place: string) => toLiteral(parameters[Number(place) - 1]))};`;

const toLiteral = (value: unknown): string => (value === null || value === undefined ? 'NULL' : `'${toText(value).replaceAll("'", "''")}'`);

const toText = (value: unknown): string => {
  if (Array.isArray(value)) return `{${value.map(toElement).join(',')}}`;
  if (value instanceof Date) return value.toISOString();
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
};

const toElement = (value: unknown): string =>
  value === null || value === undefined ? 'NULL' : `"${toText(value).replaceAll(/["\\]/g, String.raw`\$&`)}"`;
