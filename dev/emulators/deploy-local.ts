// `npm run deploy:local`: serverless.yml deployed to the LocalStack of localstack-compose.yml, beside it a simulated backend, until Ctrl-C.
import { lookup } from 'node:dns/promises';
import { mkdirSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { databaseAddresses, localstackAddress, readComposeFile } from '../../ops/compose-file.ts';
import { takeLock } from '../../ops/process-lock.ts';
import { runDeployedStack } from './deployed-session.ts';
import type { DeployedStackOptions } from './deployed-stack.ts';

const compose = readComposeFile();
const UP = 'docker compose -f localstack-compose.yml up -d --wait';
const DIRECTORY = fileURLToPath(new URL('../../.local/', import.meta.url));
/** LocalStack's own name. In a container it leads to LocalStack itself; on this machine public DNS resolves it to loopback. */
const LOCALSTACK_NAME = 'localhost.localstack.cloud';
/** The name of this machine in the functions' containers (localstack-compose.yml). */
const THIS_MACHINE = 'host.docker.internal';

const HELP = `Usage: npm run deploy:local -- [options]

Deploys serverless.yml as stage local to a LocalStack that runs, migrates its database, and stays up with a simulated backend and fleet
until Ctrl-C. May be repeated. Before it: ${UP}

  --aws ADDRESS    LocalStack (default ${localstackAddress(compose)})
  --database URL   PostgreSQL, with user and password (default: that of localstack-compose.yml)
  --bind ADDRESS   where backend and identity provider listen; functions have to reach it as ${THIS_MACHINE} (default: Docker's
                   bridge, or loopback where Docker has a virtual machine of its own)
  --no-docker      LocalStack runs without Docker: functions are processes of this machine and reach what is on its loopback
  --help           this text
`;

type Options = Pick<DeployedStackOptions, 'endpoint' | 'machine'> & { database: { url: string; from_functions?: string } };

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      ...{ aws: { type: 'string' }, database: { type: 'string' }, bind: { type: 'string' } },
      ...{ 'no-docker': { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  for (const name of ['aws', 'database'] as const)
    if (values[name] !== undefined && !URL.canParse(values[name])) throw new Error(`--${name} must be an address, not "${values[name]}".`);
  const endpoint = new URL(values.aws ?? localstackAddress(compose)).origin;
  if (values['no-docker']) return { endpoint, database: { url: values.database ?? databaseAddresses(compose).url } };
  return {
    endpoint,
    database:
      values.database === undefined ? databaseAddresses(compose) : { url: values.database, from_functions: fromContainer(values.database) },
    machine: { bind: values.bind ?? bridgeAddress() ?? '127.0.0.1', from_functions: THIS_MACHINE },
  };
}

/** The address of Docker's bridge on Linux: containers reach this machine there, and nobody else does. */
const bridgeAddress = () => networkInterfaces()['docker0']?.find(({ family }) => family === 'IPv4')?.address;

/** An address as a container can use it: a container's loopback is not this machine's. */
const fromContainer = (address: string): string => {
  const url = new URL(address);
  if (/^(localhost|127\.|\[::1\])/.test(url.hostname)) url.hostname = THIS_MACHINE;
  return url.href;
};

/** @throws an error that says what is missing, and the command that brings it. */
async function expectRunning({ endpoint, database, machine }: Options): Promise<void> {
  const health = await fetch(`${endpoint}/_localstack/health`, { signal: AbortSignal.timeout(5_000) }).catch(() => undefined);
  if (!health?.ok) throw new Error(`No LocalStack answers at ${endpoint}. Start it: ${UP}`);
  const client = new pg.Client({ connectionString: database.url, connectionTimeoutMillis: 5_000 });
  const { host } = new URL(database.url);
  try {
    await client.connect();
  } catch (cause) {
    throw new Error(
      `The PostgreSQL at ${host} cannot be used: ${(cause as Error).message || (cause as { code?: string }).code}. Start it: ${UP}`,
      {
        cause,
      },
    );
  } finally {
    await client.end().catch(() => {});
  }
  if (!machine) return;
  const { address } = await lookup(LOCALSTACK_NAME, 4).catch(() => ({ address: 'nothing' }));
  if (address !== '127.0.0.1')
    throw new Error(
      `${LOCALSTACK_NAME}, for which links to files are signed, leads to ${address} on this machine. Add to /etc/hosts: 127.0.0.1 ${LOCALSTACK_NAME}`,
    );
}

let options: Options;
try {
  options = readOptions();
} catch (error) {
  console.error(`${(error as Error).message}\n\n${HELP}`);
  process.exit(2);
}
await runDeployedStack({
  envFile: join(DIRECTORY, 'localstack.env'),
  async prepare({ undo }) {
    await expectRunning(options);
    const directory = join(DIRECTORY, 'localstack');
    mkdirSync(directory, { recursive: true });
    undo.push(takeLock(join(directory, 'lock')).release);
    return { ...options, directory };
  },
  afterwards: options.machine
    ? 'LocalStack and the database go on: docker compose -f localstack-compose.yml down --volumes ends them.'
    : '',
});
