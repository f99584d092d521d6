// What each function may do (its role in functions/<name>/function.yml) against what its bundle does; and how large the bundle is.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stop as stopBundler } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import recorded from '../../bench/bundle-sizes.json' with { type: 'json' };
import { type BundleSizes, build, mapsIn } from '../../ops/build.ts';
import { readServerlessFile, type Statement } from '../../ops/serverless-file.ts';

const { provider, functions, resources } = readServerlessFile();
const names = Object.keys(functions);

/**
 * By what in a bundle a permission shows: esbuild leaves out what a function does not reach, and keeps the names of methods and settings.
 * A port that gets a new method gets a line here.
 */
const objects = `\${FirmwareBucket.Arn}/firmwares/*`;
const usages: { sign: RegExp; action: string; resource: string }[] = [
  { sign: /\.signUpload\(/, action: 's3:PutObject', resource: objects },
  { sign: /\.signDownload\(/, action: 's3:GetObjectVersion', resource: objects },
  { sign: /\.findObject\(/, action: 's3:GetObjectVersion', resource: objects },
  // Without it S3 answers "forbidden" for an object that is not there.
  { sign: /\.findObject\(/, action: 's3:ListBucket', resource: 'FirmwareBucket.Arn' },
  { sign: /\.hasObject\(/, action: 's3:GetObjectVersion', resource: objects },
  { sign: /\.hasObject\(/, action: 's3:ListBucket', resource: 'FirmwareBucket.Arn' },
  { sign: /\.findLatest\(/, action: 's3:GetObject', resource: objects },
  { sign: /\.findLatest\(/, action: 's3:ListBucket', resource: 'FirmwareBucket.Arn' },
  { sign: /\.probe\(/, action: 's3:ListBucket', resource: 'FirmwareBucket.Arn' },
  { sign: /\.DATABASE_PASSWORD\b/, action: 'secretsmanager:GetSecretValue', resource: `\${param:databasePassword}` },
  { sign: /\.MANIFEST_SIGNING_KEYS\b/, action: 'secretsmanager:GetSecretValue', resource: `\${param:manifestSigningKeys}` },
  { sign: /\.PACKAGE_SIGNING_KEY\b/, action: 'secretsmanager:GetSecretValue', resource: `\${param:packageSigningKey}` },
  { sign: /\.BACKEND_TOKEN\b/, action: 'secretsmanager:GetSecretValue', resource: `\${param:backendToken}` },
  { sign: /\.ADVANCES_QUEUE_URL\b/, action: 'sqs:SendMessage', resource: 'AdvancesQueue.Arn' },
  { sign: /\.DISPATCHES_QUEUE_URL\b/, action: 'sqs:SendMessage', resource: 'DispatchesQueue.Arn' },
  { sign: /\.VERIFICATIONS_QUEUE_URL\b/, action: 'sqs:SendMessage', resource: 'VerificationsQueue.Arn' },
  { sign: /\.REGISTRATIONS_QUEUE_URL\b/, action: 'sqs:SendMessage', resource: 'RegistrationsQueue.Arn' },
  { sign: /\.OBSERVATIONS_QUEUE_URL\b/, action: 'sqs:SendMessage', resource: 'ObservationsQueue.Arn' },
  {
    sign: /\.publishEvents\(/,
    action: 'events:PutEvents',
    resource: `arn:\${AWS::Partition}:events:\${AWS::Region}:\${AWS::AccountId}:event-bus/\${param:eventBusName}`,
  },
  { sign: /\.ASSEMBLIES_QUEUE_URL\b/, action: 'sqs:SendMessage', resource: 'AssembliesQueue.Arn' },
  // An upload in parts, which is ended when it fails.
  { sign: /\.CompleteMultipartUploadCommand\(/, action: 's3:PutObject', resource: objects },
  { sign: /\.CompleteMultipartUploadCommand\(/, action: 's3:AbortMultipartUpload', resource: objects },
];
/** What Lambda itself does with a function's role. */
const forConsumer = ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'];
const forLogs = ['logs:CreateLogStream', 'logs:PutLogEvents'];

/** AWS binds these to no resource (Service Authorization Reference: the actions of X-Ray, and EC2's that describe). */
const boundToNothing = ['ec2:DescribeNetworkInterfaces', 'ec2:DescribeSubnets', 'xray:PutTelemetryRecords', 'xray:PutTraceSegments'];

const directory = await mkdtemp(join(tmpdir(), 'roles-'));
let sizes: BundleSizes;
beforeAll(async () => {
  sizes = await build({ directory });
}, 120_000);
afterAll(async () => {
  await stopBundler();
  await rm(directory, { recursive: true });
});

const pascalCase = (name: string) => name.replaceAll(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase());
/** As osls names what it makes for a function. */
const logGroupOf = (name: string) => `${name[0]?.toUpperCase()}${name.slice(1).replaceAll('-', 'Dash')}LogGroup`;
const statementsOf = (name: string): Statement[] =>
  (resources[functions[name]?.role ?? '']?.Properties.Policies ?? []).flatMap(
    ({ PolicyDocument }: { PolicyDocument: { Statement: Statement[] } }) => PolicyDocument.Statement,
  );
const pairs = ({ Action, Resource }: Statement) =>
  [Action].flat().flatMap((action) => [Resource].flat().map((resource) => `${action} on ${resource}`));
const bundleOf = (name: string) => readFileSync(join(directory, 'functions', name, 'index.js'), 'utf8');
const sdkOf = (name: string) => {
  const folder = join(directory, 'functions', name, 'sdk');
  return existsSync(folder) ? readdirSync(folder).toSorted() : [];
};

describe.each(names)('%s', (name) => {
  it('has a role of its own, that only Lambda takes on', () => {
    const { role = '' } = functions[name] ?? {};
    expect(role).toBe(`${pascalCase(name)}Role`);
    expect(resources[role]).toMatchObject({
      Type: 'AWS::IAM::Role',
      Properties: { AssumeRolePolicyDocument: `\${self:custom.assumedByLambda}`, ManagedPolicyArns: ['FunctionPolicy'] },
    });
    expect(names.filter((other) => functions[other]?.role === role)).toEqual([name]);
  });

  it('is granted what it uses, and nothing else', () => {
    const bundle = bundleOf(name);
    const used = [
      ...forLogs.map((action) => `${action} on ${logGroupOf(name)}.Arn`),
      ...usages.filter(({ sign }) => sign.test(bundle)).map(({ action, resource }) => `${action} on ${resource}`),
      ...(functions[name]?.events ?? []).flatMap(({ sqs }) => (sqs ? forConsumer.map((action) => `${action} on ${sqs.arn}`) : [])),
    ];
    const statements = statementsOf(name);
    expect(statements.map(({ Effect }) => Effect)).toEqual(statements.map(() => 'Allow'));
    expect([...new Set(statements.flatMap(pairs))].toSorted()).toEqual([...new Set(used)].toSorted());
  });
});

it('functions ask no AWS service but those that the lines above know', () => {
  const services = names.flatMap((name) => [...bundleOf(name).matchAll(/\bservice:"([\w-]+)",region:/g)].map(([, service]) => service));
  expect([...new Set(services)]).toEqual(['secretsmanager']);
  const clients = names.flatMap((name) => [...bundleOf(name).matchAll(/"\.\/(sdk\/[\w-]+)\.js"/g)].map(([, client]) => client));
  expect([...new Set(clients)].toSorted()).toEqual(['sdk/eventbridge', 'sdk/s3', 'sdk/sqs']);
});

/** Whom a message of the function, or a file that it writes, comes to. */
const calledBy = (name: string): string[] => {
  const sent = statementsOf(name).flatMap(pairs);
  const queues = sent.flatMap((pair) => /^sqs:SendMessage on (\S+)/.exec(pair)?.[1] ?? []);
  // The bucket tells a queue of each new file.
  if (sent.some((pair) => pair.startsWith('s3:PutObject on'))) queues.push('RegistrationsQueue.Arn');
  return names.filter((other) => (functions[other]?.events ?? []).some(({ sqs }) => sqs && queues.includes(sqs.arn)));
};
const reachedFrom = (name: string, reached = new Set<string>()): Set<string> => {
  for (const next of calledBy(name).filter((each) => !reached.has(each))) reachedFrom(next, reached.add(next));
  return reached;
};

it('functions whose messages come back to them may do so without end: Lambda would stop the chain at its sixteenth step', () => {
  const inCircles = names.filter((name) => reachedFrom(name).has(name));
  expect(inCircles.toSorted()).toEqual([
    ...['advance-observation', 'advance-update', 'assemble-firmware', 'dispatch-update', 'register-firmware', 'verify-update'],
  ]);
  expect(names.filter((name) => functions[name]?.recursiveLoop === 'Allow').toSorted()).toEqual(inCircles.toSorted());
});

it('nothing is granted by a wildcard, but what AWS binds to no resource', () => {
  const policies = Object.entries(resources).filter(([, { Type }]) => Type.startsWith('AWS::IAM::'));
  expect(policies.filter(([, { Type }]) => Type !== 'AWS::IAM::Role').map(([id]) => id)).toEqual(['FunctionPolicy']);
  const shared = resources['FunctionPolicy']?.Properties.PolicyDocument.Statement as Statement[];
  const allowed = shared.filter(({ Effect }) => Effect === 'Allow');
  const everywhere = allowed.filter(({ Resource }) => Resource === '*').flatMap(pairs);
  expect(everywhere.toSorted()).toEqual(boundToNothing.map((action) => `${action} on *`));
  // What is for Lambda itself is denied to the function's code.
  const denied = shared.filter(({ Effect }) => Effect === 'Deny').flatMap(({ Action }) => Action);
  expect(denied.toSorted()).toEqual(
    allowed
      .flatMap(({ Action }) => Action)
      .filter((action) => action.startsWith('ec2:'))
      .toSorted(),
  );
  for (const statement of names.flatMap(statementsOf)) {
    expect([statement.Action].flat().filter((action) => action.includes('*'))).toEqual([]);
    // A name that ends in /* is everything below one prefix of one bucket.
    expect([statement.Resource].flat().filter((resource) => /\*/.test(resource.replace(/firmwares\/\*$/, '')))).toEqual([]);
  }
});

it('serverless.yml gives no function the common role that it would make by itself', () => {
  expect(names.filter((name) => !functions[name]?.role)).toEqual([]);
});

it('no function pays at its start for traces that are mapped afterwards (ops/trace.ts)', () => {
  const environments = [provider.environment, ...Object.values(functions).map(({ environment }) => environment)];
  expect(environments.flatMap((environment = {}) => Object.keys(environment)).filter((name) => name.startsWith('NODE_'))).toEqual([]);
});

describe('a bundle', () => {
  // Each KiB is loaded and compiled at a cold start; a new dependency should be a decision. `npm run build -- --record` records the sizes.
  it.each(Object.keys(recorded))('of %s has at most 10 % more than recorded in bench/bundle-sizes.json', (name) => {
    const record = (recorded as Record<string, number>)[name];
    expect(record, 'npm run build -- --record').toBeGreaterThan(0);
    expect((sizes[name]?.gzip_bytes ?? Number.NaN) / 1024).toBeLessThanOrEqual((record ?? 0) * 1.1);
  });

  it('has nothing of the SDK: that lies beside it, and is loaded when it is first needed', () => {
    expect(names.filter((name) => /@aws-sdk|aws-sdk-js|S3ServiceException extends/.test(bundleOf(name)))).toEqual([]);
    for (const name of names) {
      const needed = [...new Set(bundleOf(name).match(/(?<="\.\/sdk\/)[\w-]+\.js(?=")/g))].toSorted();
      expect(sdkOf(name), name).toEqual(needed);
    }
  });

  it('loads a client of the SDK without a loader of ES modules, without HTTP/2 and without any search for credentials', () => {
    const s3 = readFileSync(join(directory, 'functions', 'upload-firmware', 'sdk', 's3.js'), 'utf8');
    expect(s3.match(/\bimport\(|require\("(node:)?(http2|child_process)"\)|AWS_CONTAINER_CREDENTIALS|sso_session/)).toBeNull();
    expect(names.filter((name) => /\bimport\("/.test(bundleOf(name)))).toEqual([]);
  });

  it('has at most 90 KiB, and 100 KiB where updates are planned, files begin and a fleet is changed', () => {
    const large = ['request-update', 'retry-update', 'advance-update', 'upload-firmware', 'edit-fleet'];
    const limit = (name: string) => (large.includes(name) ? 100 : 90) * 1024;
    // The API's document is made of all schemas, and the signature of packages brings a library of its own.
    const others = names.filter((name) => !['assemble-firmware', 'docs'].includes(name));
    expect(others.filter((name) => !((sizes[name]?.gzip_bytes ?? Number.NaN) <= limit(name)))).toEqual([]);
  });

  it.each(names)('of %s is all that is deployed: no source map lies beside it or is named in it', async (name) => {
    expect(functions[name]?.package?.patterns).toEqual([`.build/functions/${name}/**`]);
    const files = await readdir(join(directory, 'functions', name), { recursive: true });
    expect(files.filter((file) => file.endsWith('.map'))).toEqual([]);
    const ofPages = ['console', 'docs'].includes(name) ? /^assets(\/|$)/ : /^$/;
    const ofSdk = sdkOf(name).map((file) => join('sdk', file));
    const others = files.filter((file) => !ofPages.test(file) && file !== 'sdk');
    expect(others.toSorted()).toEqual(['index.js', 'package.json', ...ofSdk]);
    expect(bundleOf(name).trimEnd().split('\n').at(-1)).not.toMatch(/^\/\/# sourceMappingURL=/);
    expect(await readdir(mapsIn(directory))).toContain(`${name}.js.map`);
  });

  it('is recorded for every function and for each client of the SDK, and no other', () => {
    expect(Object.keys(recorded)).toEqual([...names, 'sdk/eventbridge', 'sdk/s3', 'sdk/sqs'].toSorted());
  });
});
