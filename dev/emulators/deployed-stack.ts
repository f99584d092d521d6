// serverless.yml deployed to an emulator of AWS, and beside it what is not AWS: the database, the identity provider, the simulated backend.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CloudFormationClient, paginateListStackResources } from '@aws-sdk/client-cloudformation';
import { GetRolePolicyCommand, IAMClient, type IAMClientConfig, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { GetQueueUrlCommand, SQSClient } from '@aws-sdk/client-sqs';
import { deploy } from '../../ops/deploy.ts';
import { readPrivateJson, writePrivateFile } from '../../ops/private-file.ts';
import { readServerlessFile } from '../../ops/serverless-file.ts';
import { keepSigningKeys, publicKeysOf } from '../../ops/signing-keys.ts';
import { readStackDefinition } from '../../ops/stack-definition.ts';
import { type SimulatorOptions, startSimulator } from '../simulator/server.ts';
import { freePort, isPortFreeSoon } from '../stack/free-port.ts';
import { startLocalIdentity } from '../stack/local-identity.ts';
import { startPostgres } from '../stack/postgres.ts';
import type { Stack, StackDescription } from '../stack/stack.ts';
import { createUndo } from '../stack/undo.ts';
import { AwsError, callAws } from './aws-json.ts';

const STAGE = 'local';
const REGION = 'eu-central-1';
const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test' };

export interface DeployedStackOptions {
  /** Base address of the emulator, as seen from here. */
  endpoint: string;
  /** Where keys, tokens and the state of the fleet stay. Without it they are new each time. */
  directory?: string | undefined;
  /** A PostgreSQL that is there, and its address for the functions where that is another one; without it one is started, and thrown away. */
  database?: { url: string; from_functions?: string } | undefined;
  /** Where the backend and the identity provider listen, and the name by which functions reach that. Functions in containers have no part
   * in our loopback. */
  machine?: { bind: string; from_functions: string };
  simulator?: Omit<SimulatorOptions, 'port' | 'host' | 'token' | 'journal' | 'updater_url' | 'updater_token'>;
  onStep?: (text: string) => void;
}

export interface DeployedStack extends StackDescription, Pick<Stack, 'tokenFor' | 'stop'> {
  /** How long the deploy took. */
  deploy_seconds: number;
  /** Migrations that it applied. */
  applied: string[];
  /** The name of each function's role. */
  roles: Record<string, string>;
  /** What a deploy there has to be told, once more. */
  settings: Record<string, string>;
  /** ARNs of the secrets. */
  secrets: { database: string; backend: string };
}

/** What is kept in `directory`, so that a deploy of what is deployed changes nothing. */
interface Kept {
  ports: { identity: number; simulator: number };
  simulator_token?: string;
}

/**
 * Either all is deployed and the API answers a call with a token, or the promise rejects and nothing is left but what is in the emulator
 * and in a database that was given. Safe to repeat, wherever it stopped.
 */
export async function startDeployedStack(options: DeployedStackOptions): Promise<DeployedStack> {
  const { endpoint, machine = { bind: '127.0.0.1', from_functions: '127.0.0.1' }, onStep = () => {} } = options;
  const undo = createUndo();
  try {
    const temporary = await mkdtemp(join(tmpdir(), 'scooters-deployed-'));
    undo.push(() => rm(temporary, { recursive: true, force: true }));
    const kept = options.directory;
    if (kept !== undefined) await mkdir(kept, { recursive: true });
    const file = kept === undefined ? undefined : join(kept, 'settings.json');
    const last = file === undefined ? undefined : readPrivateJson<Kept>(file);
    const portOf = async (wanted: number | undefined) => (wanted && (await isPortFreeSoon(wanted)) ? wanted : freePort());
    const ports = { identity: await portOf(last?.ports.identity), simulator: await portOf(last?.ports.simulator) };
    const inKept = (name: string) => (kept === undefined ? undefined : join(kept, name));

    onStep(`Starting ${options.database ? '' : 'PostgreSQL, '}the identity provider and the simulated fleet`);
    const database = options.database ?? (await startDatabase(undo));
    const identityFile = inKept('identity.json');
    const identity = await startLocalIdentity({
      ...(identityFile !== undefined && { file: identityFile }),
      ...{ port: ports.identity, host: machine.bind },
    });
    undo.push(identity.close);
    const signing = keepSigningKeys(inKept('signing-keys.json'));
    const simulator = await startSimulator({
      ...options.simulator,
      manifest_keys: publicKeysOf(signing),
      ...{ port: ports.simulator, host: machine.bind, token: last?.simulator_token, journal: inKept('journal.jsonl') },
    });
    undo.push(simulator.close);
    if (file !== undefined) writePrivateFile(file, JSON.stringify({ ports, simulator_token: simulator.token } satisfies Kept));

    const fromFunctions = (address: string) => address.replace(`//${machine.bind}:`, `//${machine.from_functions}:`);
    const databaseUrl = new URL(database.from_functions ?? database.url);
    const { username } = databaseUrl;
    const password = decodeURIComponent(databaseUrl.password);
    databaseUrl.password = '';
    const secrets = {
      database: await keepSecret(endpoint, 'database', JSON.stringify({ username, password })),
      backend: await keepSecret(endpoint, 'backend-token', simulator.token),
      manifestKeys: await keepSecret(
        endpoint,
        'manifest-signing-keys',
        JSON.stringify({ MANIFEST_SIGNING_KEYS: signing.MANIFEST_SIGNING_KEYS }),
      ),
      packageKey: await keepSecret(endpoint, 'package-signing-key', JSON.stringify({ PACKAGE_SIGNING_KEY: signing.PACKAGE_SIGNING_KEY })),
    };

    const startedAt = performance.now();
    const settings = {
      ...{ AWS_ENDPOINT_URL: endpoint, AWS_REGION: REGION },
      ...{ AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId, AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey },
      ...{ DATABASE_URL: databaseUrl.href, DATABASE_PASSWORD: secrets.database },
      ...{ BACKEND_URL: fromFunctions(simulator.url), BACKEND_TOKEN: secrets.backend },
      ...{ MANIFEST_SIGNING_KEYS: secrets.manifestKeys, PACKAGE_SIGNING_KEY: secrets.packageKey },
      PACKAGE_CERTIFICATES: signing.PACKAGE_CERTIFICATES,
      ...{ JWT_ISSUER: identity.issuer, JWT_AUDIENCE: identity.audience, JWKS_URL: fromFunctions(identity.jwks_url) },
    };
    const { applied } = await deploy({
      ...{ stage: STAGE, logFile: join(temporary, 'deploy.log'), onStep },
      env: { ...settings, PATH: process.env['PATH'], HOME: temporary, SLS_AWS_MONITORING_FREQUENCY: '200' },
    });
    const deploy_seconds = (performance.now() - startedAt) / 1_000;

    const aws = { endpoint, region: REGION, credentials: CREDENTIALS };
    const cloudFormation = new CloudFormationClient(aws);
    const sqs = new SQSClient(aws);
    undo.push(() => cloudFormation.destroy());
    undo.push(() => sqs.destroy());
    const definition = readStackDefinition({ stage: STAGE });
    const made = new Map<string | undefined, string | undefined>();
    const pages = paginateListStackResources({ client: cloudFormation }, { StackName: `${definition.service}-${STAGE}` });
    for await (const { StackResourceSummaries = [] } of pages)
      for (const { LogicalResourceId, PhysicalResourceId } of StackResourceSummaries) made.set(LogicalResourceId, PhysicalResourceId);
    const physicalId = (id: string) => {
      const found = made.get(id);
      if (!found) throw new Error(`The stack has no ${id}`);
      return found;
    };
    const { functions } = readServerlessFile();
    const roles = Object.fromEntries(Object.entries(functions).map(([name, { role = '' }]) => [name, physicalId(role)]));
    await allowBatches(aws, roles);
    const queue_urls: Record<string, string> = {};
    for (const { logical_id, name } of definition.queues) {
      const { QueueUrl = '' } = await sqs.send(new GetQueueUrlCommand({ QueueName: name }));
      queue_urls[logical_id] = QueueUrl;
    }
    const api_url = `${endpoint}/_aws/execute-api/${physicalId('ApiGatewayRestApi')}/${STAGE}`;
    const token = await identity.token({ subject: 'local-engineer', expiresIn: '7d' });
    onStep('Calling the API');
    await expectAnswer(api_url, token, settings);
    simulator.reportTo(api_url, () => identity.token({ subject: 'scooters-backend', scopes: ['devices:report'], expiresIn: '10m' }));
    return {
      ...{
        api_url,
        ddi_url: api_url,
        token,
        issuer: identity.issuer,
        database_url: database.url,
        simulator_url: simulator.url,
        simulator_token: simulator.token,
      },
      ...{ s3: { endpoint, bucket: physicalId('FirmwareBucket') }, sqs: { endpoint, queue_urls } },
      ...{ region: REGION, access_key_id: CREDENTIALS.accessKeyId, secret_access_key: CREDENTIALS.secretAccessKey, pid: process.pid },
      ...{ tokenFor: identity.token, stop: undo.run, deploy_seconds, applied, secrets, settings },
      roles,
    };
  } catch (error) {
    await undo.run();
    throw error;
  }
}

async function startDatabase(undo: { push(step: () => unknown): void }): Promise<{ url: string; from_functions?: string }> {
  const postgres = await startPostgres({});
  undo.push(postgres.stop);
  return { url: await postgres.createDatabase('scooters_updater') };
}

/** Makes a secret, or gives the one that is there its value. Answers its ARN. */
async function keepSecret(endpoint: string, name: string, SecretString: string): Promise<string> {
  const call = async (operation: string, request: object) => {
    const target = { endpoint, service: 'secretsmanager', region: REGION, target: `secretsmanager.${operation}` };
    const ClientRequestToken = crypto.randomUUID();
    return (await callAws<{ ARN: string }>(target, CREDENTIALS, { ...request, SecretString, ClientRequestToken })).ARN;
  };
  const id = `scooters-updater/${STAGE}/${name}`;
  try {
    return await call('CreateSecret', { Name: id });
  } catch (error) {
    if (!(error instanceof AwsError) || error.code !== 'ResourceExistsException') throw error;
    return await call('PutSecretValue', { SecretId: id });
  }
}

/** One call that needs the database, and by its token the identity provider, so that what functions cannot reach is known at once. */
async function expectAnswer(api_url: string, token: string, { DATABASE_URL, JWKS_URL }: Record<string, string>): Promise<void> {
  const answer = await fetch(`${api_url}/v1/hardware-types`, {
    headers: { authorization: `Bearer ${token}` },
    signal: AbortSignal.timeout(60_000),
  });
  const text = await answer.text();
  if (answer.ok) return;
  throw new Error(
    `The API was deployed and answers ${answer.status}: ${text}\n` +
      `Can functions reach the database (${DATABASE_URL}) and the keys that check tokens (${JWKS_URL}), through any firewall?`,
  );
}

/** MiniStack asks for a permission `sqs:SendMessageBatch` that AWS does not have: there it is `sqs:SendMessage`. */
async function allowBatches(aws: IAMClientConfig, roles: Record<string, string>): Promise<void> {
  const iam = new IAMClient(aws);
  for (const [PolicyName, RoleName] of Object.entries(roles)) {
    const { PolicyDocument = '' } = await iam.send(new GetRolePolicyCommand({ RoleName, PolicyName }));
    const document = decodeURIComponent(PolicyDocument);
    const widened = document.replaceAll(/"sqs:SendMessage"/g, '"sqs:SendMessage", "sqs:SendMessageBatch"');
    if (widened !== document) await iam.send(new PutRolePolicyCommand({ RoleName, PolicyName, PolicyDocument: widened }));
  }
  iam.destroy();
}
