// serverless.yml deployed to an emulator of AWS; and, beside it, the parts that are not AWS: the database, the identity provider, the backend.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CloudFormationClient, paginateListStackResources } from '@aws-sdk/client-cloudformation';
import { GetRolePolicyCommand, IAMClient, type IAMClientConfig, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { GetQueueUrlCommand, SQSClient } from '@aws-sdk/client-sqs';
import { SecretsManagerRefusal } from '../../lib/secrets-manager.ts';
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
import { createUndo, type Undo } from '../stack/undo.ts';
import { openSecretsManager } from './secrets-manager.ts';

const STAGE = 'local';
const REGION = 'eu-central-1';
const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test' };

export interface DeployedStackOptions {
  /** Base address of the emulator, as seen from here. */
  endpoint: string;
  /** Where keys, tokens and the state of the fleet stay. Without it they are new each time. */
  directory?: string | undefined;
  /** A PostgreSQL that is running, with its address for the functions if that differs. Without it one is started, and removed at the end. */
  database?: { url: string; from_functions?: string } | undefined;
  /**
   * Where the backend and the identity provider listen, and the name by which functions reach them. Functions in containers cannot reach this
   * machine's loopback.
   */
  machine?: { bind: string; from_functions: string };
  simulator?: Omit<SimulatorOptions, 'port' | 'host' | 'token' | 'journal' | 'updater_url' | 'updater_token'>;
  /** An update of more devices waits until somebody else approves it. */
  approvalAbove?: number | undefined;
  onStep?: (text: string) => void;
}

export interface DeployedStack extends StackDescription, Pick<Stack, 'tokenFor' | 'stop'> {
  /** How long the deploy took. */
  deploy_seconds: number;
  /** Migrations that it applied. */
  applied: string[];
  /** The name of each function's role. */
  roles: Record<string, string>;
  /** The environment variables of the deploy, for deploying once more. */
  settings: Record<string, string>;
  /** ARNs of the secrets. */
  secrets: { database: string; backend: string };
}

/** What is kept in `directory`, so that deploying the same again changes nothing. */
interface Kept {
  ports: { identity: number; simulator: number };
  simulator_token?: string;
}

/**
 * Either everything is deployed and the API answers a call with a token, or the promise rejects; then nothing is left except what is in the
 * emulator and in a database that was given. May be repeated, wherever it stopped.
 */
export async function startDeployedStack(options: DeployedStackOptions): Promise<DeployedStack> {
  const { endpoint, onStep = () => {} } = options;
  const undo = createUndo();
  try {
    const parts = await startParts(options, undo);
    const secrets = await keepSecrets(endpoint, parts);
    const settings = settingsOf(options, parts, secrets);
    const { applied, deploy_seconds } = await deployStage(settings, { undo, onStep });
    const made = await findWhatWasMade(endpoint);
    await allowBatches(made.aws, made.roles);
    const { identity, simulator, database } = parts;
    const token = await identity.token({ subject: 'local-engineer', expiresIn: '7d' });
    onStep('Calling the API');
    await expectAnswer(made.api_url, token, settings);
    simulator.reportTo(made.api_url, () => identity.token({ subject: 'scooters-backend', scopes: ['devices:report'], expiresIn: '10m' }));
    return {
      ...{ api_url: made.api_url, ddi_url: made.api_url, token, issuer: identity.issuer, database_url: database.url },
      ...{ simulator_url: simulator.url, simulator_token: simulator.token },
      ...{ s3: { endpoint, bucket: made.bucket }, sqs: { endpoint, queue_urls: made.queue_urls } },
      ...{ region: REGION, access_key_id: CREDENTIALS.accessKeyId, secret_access_key: CREDENTIALS.secretAccessKey, pid: process.pid },
      ...{ tokenFor: identity.token, stop: undo.run, deploy_seconds, applied, secrets, settings, roles: made.roles },
    };
  } catch (error) {
    await undo.run();
    throw error;
  }
}

type Parts = Awaited<ReturnType<typeof startParts>>;
type Secrets = Awaited<ReturnType<typeof keepSecrets>>;

/** Where functions run: on this machine, or in containers that reach it by another address. */
const onThisMachine = { bind: '127.0.0.1', from_functions: '127.0.0.1' };

/** What the deployed functions need: the database, the identity provider, and the backend with its fleet. All use the ports of the last run. */
async function startParts(options: DeployedStackOptions, undo: Undo) {
  const { machine = onThisMachine, onStep = () => {}, directory } = options;
  if (directory !== undefined) await mkdir(directory, { recursive: true });
  const inKept = (name: string) => (directory === undefined ? undefined : join(directory, name));
  const settingsFile = inKept('settings.json');
  const last = settingsFile === undefined ? undefined : readPrivateJson<Kept>(settingsFile);
  const portOf = async (wanted: number | undefined) => (wanted && (await isPortFreeSoon(wanted)) ? wanted : freePort());
  const ports = { identity: await portOf(last?.ports.identity), simulator: await portOf(last?.ports.simulator) };

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
  if (settingsFile !== undefined)
    writePrivateFile(settingsFile, JSON.stringify({ ports, simulator_token: simulator.token } satisfies Kept));
  return { database, identity, signing, simulator };
}

/** Puts into Secrets Manager what functions read there. Answers ARNs. */
async function keepSecrets(endpoint: string, { database, signing, simulator }: Parts) {
  const { username, password } = new URL(database.from_functions ?? database.url);
  const { MANIFEST_SIGNING_KEYS, PACKAGE_SIGNING_KEY } = signing;
  return {
    database: await keepSecret(endpoint, 'database', JSON.stringify({ username, password: decodeURIComponent(password) })),
    backend: await keepSecret(endpoint, 'backend-token', simulator.token),
    manifestKeys: await keepSecret(endpoint, 'manifest-signing-keys', JSON.stringify({ MANIFEST_SIGNING_KEYS })),
    packageKey: await keepSecret(endpoint, 'package-signing-key', JSON.stringify({ PACKAGE_SIGNING_KEY })),
  };
}

/** The environment of the deploy, as docs/operations.md lists it. */
function settingsOf(options: DeployedStackOptions, parts: Parts, secrets: Secrets): Record<string, string> {
  const { endpoint, machine = onThisMachine, approvalAbove } = options;
  const { database, identity, signing, simulator } = parts;
  const fromFunctions = (address: string) => address.replace(`//${machine.bind}:`, `//${machine.from_functions}:`);
  const databaseUrl = new URL(database.from_functions ?? database.url);
  databaseUrl.password = '';
  return {
    ...{ AWS_ENDPOINT_URL: endpoint, AWS_REGION: REGION },
    ...{ AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId, AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey },
    ...{ DATABASE_URL: databaseUrl.href, DATABASE_PASSWORD: secrets.database },
    ...{ BACKEND_URL: fromFunctions(simulator.url), BACKEND_TOKEN: secrets.backend },
    ...{ MANIFEST_SIGNING_KEYS: secrets.manifestKeys, PACKAGE_SIGNING_KEY: secrets.packageKey },
    PACKAGE_CERTIFICATES: signing.PACKAGE_CERTIFICATES,
    ...{ JWT_ISSUER: identity.issuer, JWT_AUDIENCE: identity.audience, JWKS_URL: fromFunctions(identity.jwks_url) },
    ...(approvalAbove !== undefined && { APPROVAL_ABOVE: String(approvalAbove) }),
  };
}

async function deployStage(settings: Record<string, string>, { undo, onStep }: { undo: Undo; onStep: (text: string) => void }) {
  const temporary = await mkdtemp(join(tmpdir(), 'scooters-deployed-'));
  undo.push(() => rm(temporary, { recursive: true, force: true }));
  const startedAt = performance.now();
  const { applied } = await deploy({
    ...{ stage: STAGE, logFile: join(temporary, 'deploy.log'), onStep },
    env: { ...settings, PATH: process.env['PATH'], HOME: temporary, SLS_AWS_MONITORING_FREQUENCY: '200' },
  });
  return { applied, deploy_seconds: (performance.now() - startedAt) / 1_000 };
}

/** The physical names that CloudFormation has given to the API, the bucket, the queues and the roles. */
async function findWhatWasMade(endpoint: string) {
  const aws = { endpoint, region: REGION, credentials: CREDENTIALS };
  const cloudFormation = new CloudFormationClient(aws);
  const sqs = new SQSClient(aws);
  try {
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
    const queue_urls: Record<string, string> = {};
    for (const { logical_id, name } of definition.queues) {
      const { QueueUrl = '' } = await sqs.send(new GetQueueUrlCommand({ QueueName: name }));
      queue_urls[logical_id] = QueueUrl;
    }
    const api_url = `${endpoint}/_aws/execute-api/${physicalId('ApiGatewayRestApi')}/${STAGE}`;
    return { aws, roles, queue_urls, api_url, bucket: physicalId('FirmwareBucket') };
  } finally {
    cloudFormation.destroy();
    sqs.destroy();
  }
}

async function startDatabase(undo: Undo): Promise<{ url: string; from_functions?: string }> {
  const postgres = await startPostgres({});
  undo.push(postgres.stop);
  return { url: await postgres.createDatabase('scooters_updater') };
}

/** Makes a secret, or sets the value of an existing one. Answers its ARN. */
async function keepSecret(endpoint: string, name: string, SecretString: string): Promise<string> {
  const callSecretsManager = openSecretsManager({ endpoint, region: REGION, credentials: CREDENTIALS });
  const call = async (operation: string, request: object) => {
    const ClientRequestToken = crypto.randomUUID();
    const answer = await callSecretsManager<{ ARN: string }>(operation, {
      ...request,
      SecretString,
      ClientRequestToken,
    });
    return answer.ARN;
  };
  const id = `scooters-updater/${STAGE}/${name}`;
  try {
    return await call('CreateSecret', { Name: id });
  } catch (error) {
    if (!(error instanceof SecretsManagerRefusal) || error.code !== 'ResourceExistsException') throw error;
    return await call('PutSecretValue', { SecretId: id });
  }
}

/** Makes one call that needs the database and, to check its token, the identity provider. So it is known at once if functions cannot reach these. */
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
