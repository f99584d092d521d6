// serverless.yml deployed to an emulator of AWS, and beside it what is not AWS: the database, the identity provider, the simulated backend.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CloudFormationClient, paginateListStackResources } from '@aws-sdk/client-cloudformation';
import { GetRolePolicyCommand, IAMClient, type IAMClientConfig, PutRolePolicyCommand } from '@aws-sdk/client-iam';
import { GetQueueUrlCommand, SQSClient } from '@aws-sdk/client-sqs';
import { callAws } from './aws-json.ts';
import { deploy } from './deploy.ts';
import { startLocalIdentity } from './local-identity.ts';
import { startPostgres } from './postgres.ts';
import { readServerlessFile } from './serverless-file.ts';
import { createSigningKeys } from './signing-keys.ts';
import { type SimulatorOptions, startSimulator } from './simulator/server.ts';
import type { Stack, StackDescription } from './stack.ts';
import { readStackDefinition } from './stack-definition.ts';

const STAGE = 'local';
const REGION = 'eu-central-1';

export interface DeployedStack extends StackDescription, Pick<Stack, 'tokenFor' | 'stop'> {
  /** How long the deploy took. */
  deploy_seconds: number;
  /** The name of each function's role. */
  roles: Record<string, string>;
  /** What a deploy there has to be told, once more. */
  settings: Record<string, string>;
  /** ARNs of the secrets. */
  secrets: { database: string; backend: string };
}

/** Either all is deployed and the API answers, or the promise rejects and nothing is left but what is in the emulator. */
export async function startDeployedStack(options: {
  endpoint: string;
  simulator?: Omit<SimulatorOptions, 'port' | 'host' | 'token' | 'journal' | 'updater_url' | 'updater_token'>;
  onStep?: (text: string) => void;
}): Promise<DeployedStack> {
  const { endpoint, onStep = () => {} } = options;
  const undo: (() => unknown)[] = [];
  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= (async () => {
      for (let step = undo.pop(); step; step = undo.pop()) await step();
    })();
    return stopping;
  };
  try {
    const directory = await mkdtemp(join(tmpdir(), 'scooters-deployed-'));
    undo.push(() => rm(directory, { recursive: true, force: true }));
    onStep('Starting PostgreSQL, the identity provider and the simulated fleet');
    const postgres = await startPostgres({});
    undo.push(postgres.stop);
    const database_url = await postgres.createDatabase('scooters_updater');
    const identity = await startLocalIdentity();
    undo.push(identity.close);
    const simulator = await startSimulator({ ...options.simulator });
    undo.push(simulator.close);

    const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
    const createSecret = async (name: string, SecretString: string) => {
      const target = 'secretsmanager.CreateSecret';
      const request = { Name: `scooters-updater/${STAGE}/${name}-${Date.now()}`, SecretString, ClientRequestToken: crypto.randomUUID() };
      return (await callAws<{ ARN: string }>({ endpoint, service: 'secretsmanager', region: REGION, target }, credentials, request)).ARN;
    };
    const signing = createSigningKeys();
    const { username, password } = new URL(database_url);
    const addressWithoutPassword = database_url.replace(`:${password}@`, '@');
    const secrets = {
      database: await createSecret('database', JSON.stringify({ username, password: decodeURIComponent(password) })),
      backend: await createSecret('backend-token', simulator.token),
      manifestKeys: await createSecret('manifest-signing-keys', JSON.stringify({ MANIFEST_SIGNING_KEYS: signing.MANIFEST_SIGNING_KEYS })),
      packageKey: await createSecret('package-signing-key', JSON.stringify({ PACKAGE_SIGNING_KEY: signing.PACKAGE_SIGNING_KEY })),
    };

    const startedAt = performance.now();
    const log = join(directory, 'deploy.log');
    const settings = {
      ...{ AWS_ENDPOINT_URL: endpoint, AWS_REGION: REGION, AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' },
      ...{ DATABASE_URL: addressWithoutPassword, DATABASE_PASSWORD: secrets.database },
      ...{ BACKEND_URL: simulator.url, BACKEND_TOKEN: secrets.backend },
      ...{ MANIFEST_SIGNING_KEYS: secrets.manifestKeys, PACKAGE_SIGNING_KEY: secrets.packageKey },
      PACKAGE_CERTIFICATES: signing.PACKAGE_CERTIFICATES,
      ...{ JWT_ISSUER: identity.issuer, JWT_AUDIENCE: identity.audience, JWKS_URL: identity.jwks_url },
    };
    await deploy({
      ...{ stage: STAGE, logFile: log, onStep },
      env: { ...settings, PATH: process.env['PATH'], HOME: directory, SLS_AWS_MONITORING_FREQUENCY: '200' },
    });
    const deploy_seconds = (performance.now() - startedAt) / 1_000;

    const aws = { endpoint, region: REGION, credentials };
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
    const api = physicalId('ApiGatewayRestApi');
    const api_url = `${endpoint}/_aws/execute-api/${api}/${STAGE}`;
    simulator.reportTo(api_url, () => identity.token({ subject: 'scooters-backend', scopes: ['devices:report'], expiresIn: '10m' }));
    const token = await identity.token({ subject: 'local-engineer', expiresIn: '7d' });
    return {
      ...{ api_url, ddi_url: api_url, token, database_url, simulator_url: simulator.url, simulator_token: simulator.token },
      ...{ s3: { endpoint, bucket: physicalId('FirmwareBucket') }, sqs: { endpoint, queue_urls } },
      ...{ region: REGION, access_key_id: 'test', secret_access_key: 'test', pid: process.pid },
      ...{ tokenFor: identity.token, stop, deploy_seconds, secrets, settings },
      roles,
    };
  } catch (error) {
    await stop();
    throw error;
  }
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
