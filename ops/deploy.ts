// `npm run deploy -- --stage STAGE`: bundles, migrates the database and deploys serverless.yml, in the order that keeps the service up.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CloudFormationClient, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import { InvokeCommand, LambdaClient, UpdateFunctionCodeCommand, waitUntilFunctionUpdatedV2 } from '@aws-sdk/client-lambda';
import { PutObjectCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { mapsIn } from './build.ts';
import { logTail } from './log-tail.ts';
import { readServerlessFile } from './serverless-file.ts';
import { prepareServiceDirectory, SERVERLESS } from './service-directory.ts';

const { service } = readServerlessFile();

export interface Deployment {
  /** Of the stack: `ServiceEndpoint`, the names of what it made. */
  outputs: Record<string, string>;
  /** Migrations that were applied. */
  applied: string[];
  /** Where the source maps of what was deployed are, for `npm run trace`. */
  source_maps: string;
}

export interface DeployOptions {
  stage: string;
  /** The database was restored to an earlier moment, so all ids have to go on beyond those given out since (docs/operations.md). */
  restored?: boolean;
  /** How often this stage has been restored, this time included. */
  restores?: number;
  /** The region and credentials of AWS, and the settings of the stage (docs/operations.md). */
  env: Record<string, string | undefined>;
  /** Further arguments of `serverless deploy`. */
  args?: string[];
  /** Where the tools' output goes; to the terminal without one. */
  logFile?: string;
  onStep?: (text: string) => void;
}

/**
 * Deploys a stage. An existing stage gets the new migrations first and then the new functions, because the old functions work with the new
 * schema. A new stage gets everything first and then the migrations, because nobody uses it yet. May be repeated, wherever it stopped. Throws
 * when a step fails: CloudFormation then has rolled back its changes, and applied migrations stay.
 */
export async function deploy({
  stage,
  restored = false,
  restores = 1,
  env,
  args = [],
  logFile,
  onStep = () => {},
}: DeployOptions): Promise<Deployment> {
  const aws = { region: env['AWS_REGION'] ?? 'eu-central-1', ...(env['AWS_ENDPOINT_URL'] && { endpoint: env['AWS_ENDPOINT_URL'] }) };
  const credentials = credentialsOf(env);
  const cloudFormation = new CloudFormationClient({ ...aws, ...credentials });
  const lambda = new LambdaClient({ ...aws, ...credentials, maxAttempts: 1 });
  const migrate = async () => {
    onStep('Migrating the database');
    const { FunctionError, Payload } = await lambda.send(
      new InvokeCommand({ FunctionName: `${service}-${stage}-migrate`, Payload: JSON.stringify({ restored, restores }) }),
    );
    const answer = JSON.parse(Buffer.from(Payload ?? '{}').toString()) as { applied?: string[]; errorMessage?: string };
    if (FunctionError || !answer.applied) throw new Error(`The migration failed: ${answer.errorMessage ?? FunctionError}`);
    return answer.applied;
  };

  const directory = await mkdtemp(join(tmpdir(), 'scooters-package-'));
  const [cwd, packaged] = [join(directory, 'service'), join(directory, 'packaged')];
  const serverless = (...command: string[]) => runServerless([...command, '--stage', stage], { env, logFile, cwd });
  try {
    onStep('Building the functions');
    await prepareServiceDirectory(cwd);
    const name = `${service}-${stage}`;
    const isNew = (await findStack(cloudFormation, name)) === undefined;
    const applied: string[] = [];
    onStep('Packaging');
    await serverless('package', '--package', packaged, ...args);
    if (!isNew) {
      // `serverless deploy function` cannot be used: it does not know roles that the stack itself makes.
      const FunctionName = `${name}-migrate`;
      await lambda.send(new UpdateFunctionCodeCommand({ FunctionName, ZipFile: await readFile(join(packaged, 'migrate.zip')) }));
      await waitUntilFunctionUpdatedV2({ client: lambda, maxWaitTime: 120 }, { FunctionName });
      applied.push(...(await migrate()));
    }
    onStep(`Deploying ${name}`);
    await serverless('deploy', '--package', packaged, ...args);
    if (isNew) applied.push(...(await migrate()));
    const outputs = (await findStack(cloudFormation, name)) ?? {};
    onStep('Keeping the source maps');
    const bucket = outputs['ServerlessDeploymentBucketName'];
    if (bucket === undefined) throw new Error('The stack names no deployment bucket, where its source maps are kept');
    const source_maps = await keepMaps({ ...aws, ...credentials }, mapsIn(join(cwd, '.build')), { bucket, stage });
    return { outputs, applied, source_maps };
  } finally {
    cloudFormation.destroy();
    lambda.destroy();
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * Keeps the source maps in the deployment bucket, in a folder named by the time of the deploy. `serverless remove` empties the bucket, but the
 * pruning of old packages does not touch this folder.
 */
async function keepMaps(config: S3ClientConfig, directory: string, { bucket, stage }: { bucket: string; stage: string }): Promise<string> {
  const s3 = new S3Client({ ...config, forcePathStyle: 'endpoint' in config });
  const folder = `serverless/${service}/${stage}/source-maps/${new Date().toISOString().slice(0, 19)}Z`;
  try {
    for (const name of await readdir(directory)) {
      await s3.send(new PutObjectCommand({ Bucket: bucket, Key: `${folder}/${name}`, Body: await readFile(join(directory, name)) }));
    }
    return `s3://${bucket}/${folder}/`;
  } finally {
    s3.destroy();
  }
}

const credentialsOf = ({ AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN }: DeployOptions['env']) =>
  AWS_ACCESS_KEY_ID && AWS_SECRET_ACCESS_KEY
    ? {
        credentials: {
          ...{ accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY },
          ...(AWS_SESSION_TOKEN && { sessionToken: AWS_SESSION_TOKEN }),
        },
      }
    : {};

/** The outputs of an existing stack. A stack that a failed first deploy has left counts as none: serverless deploys it anew. */
async function findStack(client: CloudFormationClient, StackName: string): Promise<Record<string, string> | undefined> {
  try {
    const { Stacks = [] } = await client.send(new DescribeStacksCommand({ StackName }));
    const { StackStatus, Outputs = [] } = Stacks[0] ?? {};
    if (!StackStatus || /^(ROLLBACK_COMPLETE|DELETE_COMPLETE|REVIEW_IN_PROGRESS)$/.test(StackStatus)) return undefined;
    return Object.fromEntries(Outputs.map(({ OutputKey = '', OutputValue = '' }) => [OutputKey, OutputValue]));
  } catch (error) {
    if ((error as Error).name === 'ValidationError' || /does not exist/.test((error as Error).message)) return undefined;
    throw error;
  }
}

async function runServerless(
  args: string[],
  { env, logFile, cwd }: Pick<DeployOptions, 'env'> & { logFile: string | undefined; cwd: string },
): Promise<void> {
  const log = logFile === undefined ? undefined : openSync(logFile, 'a', 0o600);
  const child = spawn(process.execPath, [SERVERLESS, ...args], {
    cwd,
    env,
    stdio: log === undefined ? 'inherit' : ['ignore', log, log],
  });
  const [code, signal] = await once(child, 'exit');
  if (log !== undefined) closeSync(log);
  if (code !== 0) {
    const output = logFile === undefined ? '' : `\n${logTail(logFile, 40)}`;
    throw new Error(`serverless ${args.join(' ')} ended with ${signal ?? `exit code ${code}`}.${output}`);
  }
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    options: {
      stage: { type: 'string' },
      param: { type: 'string', multiple: true },
      region: { type: 'string' },
      restored: { type: 'boolean', default: false },
      restores: { type: 'string', default: '1' },
    },
    allowPositionals: true,
  });
  const { stage, region, restored, restores, param = [] } = values;
  if (!stage || positionals.length > 0 || !/^[1-9]\d?$/.test(restores)) {
    console.error(
      'npm run deploy -- --stage dev|prod|local [--region REGION] [--param name=value …] [--restored [--restores N]]   (docs/operations.md)',
    );
    process.exit(2);
  }
  try {
    const { outputs, applied, source_maps } = await deploy({
      stage,
      restored,
      restores: Number(restores),
      env: { ...process.env, ...(region && { AWS_REGION: region }) },
      args: param.flatMap((value) => ['--param', value]),
      onStep: (text) => console.log(`${text} …`),
    });
    console.log(`Deployed. Migrations applied: ${applied.join(', ') || 'none, the database was up to date'}`);
    console.log(`Source maps: ${source_maps}`);
    console.log(`API: ${outputs['ServiceEndpoint']}`);
  } catch (error) {
    console.error((error as Error).message);
    process.exit(1);
  }
}
