// `npm run schema`: writes lib/db/schema.ts from a freshly migrated database; with --check it only says whether the file is up to date.
import { spawnSync } from 'node:child_process';
import { migrateToLatest } from '../lib/db/migrate.ts';
import { startPostgres } from './stack/postgres.ts';

const postgres = await startPostgres({});
try {
  const url = await postgres.createDatabase('schema');
  await migrateToLatest(url);
  const { status } = spawnSync(
    'kysely-codegen',
    [
      '--dialect=postgres',
      `--url=${url}`,
      '--out-file=lib/db/schema.ts',
      '--exclude-pattern=kysely_*',
      '--type-mapping={"int8":"number"}',
      ...(process.argv.includes('--check') ? ['--verify'] : []),
    ],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
  process.exitCode = status ?? 1;
} finally {
  await postgres.stop();
}
