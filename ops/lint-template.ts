// `npm run lint:template`: checks the template that serverless.yml becomes for each kind of stage with cfn-lint, against CloudFormation's own
// specification; and localstack-compose.yml against the schema of the Compose Specification.
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { COMPOSE_FILE } from './compose-file.ts';
import { pythonEnvironment } from './python-environment.ts';
import { prepareServiceDirectory, SERVERLESS } from './service-directory.ts';

const REQUIREMENTS = join(dirname(fileURLToPath(import.meta.url)), 'requirements-lint.txt');
const SECRET = 'arn:aws:secretsmanager:eu-central-1:000000000000:secret:name-AbCdEf';
/** Values for the settings that a stage needs. No service is called with them. */
const SETTINGS = {
  ...{ DATABASE_URL: 'postgres://user@database.example:5432/name', DATABASE_PASSWORD: SECRET, BACKEND_TOKEN: SECRET },
  ...{ BACKEND_URL: 'https://backend.example', JWT_ISSUER: 'https://identity.example', JWT_AUDIENCE: 'scooters-updater' },
  ...{ JWKS_URL: 'https://identity.example/jwks.json', VPC_SECURITY_GROUP_IDS: 'sg-0123456789abcdef0' },
  ...{ MANIFEST_SIGNING_KEYS: SECRET, PACKAGE_SIGNING_KEY: SECRET, PACKAGE_CERTIFICATES: '-----BEGIN CERTIFICATE-----' },
  VPC_SUBNET_IDS: 'subnet-0123456789abcdef0,subnet-0123456789abcdef1',
};
// Stage local is deployed for real by the end-to-end run.
const KINDS = [
  ['--stage', 'prod'],
  ['--stage', 'dev', '--param', 'database=rds-proxied'],
  ['--stage', 'dev', '--param', 'database=existing'],
];

const directory = await mkdtemp(join(tmpdir(), 'template-'));
const service = join(directory, 'service');
const run = (program: string, args: string[]) => {
  const { status, stdout, stderr } = spawnSync(program, args, {
    ...{ cwd: service, encoding: 'utf8' as const },
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...SETTINGS },
  });
  if (status !== 0) throw new Error(`${args.join(' ')}:\n${stdout}${stderr}`);
};

try {
  await prepareServiceDirectory(service);
  const requirements = { name: 'lint', install: ['-r', REQUIREMENTS], madeOf: [REQUIREMENTS], minimumMinor: 9 };
  const bin = await pythonEnvironment({ ...requirements, onStep: console.log });
  run(join(bin, 'check-jsonschema'), ['--builtin-schema', 'vendor.compose-spec', COMPOSE_FILE]);
  console.log('localstack-compose.yml follows the Compose Specification');
  for (const [index, kind] of KINDS.entries()) {
    const out = join(directory, String(index));
    run(process.execPath, [SERVERLESS, 'package', ...kind, '--package', out]);
    // W3005: osls writes dependencies that are implied anyway. W8003: conditions on the stage's name are constant in a template for one stage.
    run(join(bin, 'cfn-lint'), ['--ignore-checks', 'W3005', 'W8003', '--', join(out, 'cloudformation-template-update-stack.json')]);
    console.log(`cfn-lint has nothing to say about ${kind.join(' ')}`);
  }
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
} finally {
  await rm(directory, { recursive: true, force: true });
}
