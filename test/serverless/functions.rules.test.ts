// What serverless.yml says of functions and queues, and would otherwise be seen only under load.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { readServerlessFile } from '../../ops/serverless-file.ts';

const { functions, resources, params } = readServerlessFile();
const root = new URL('../../', import.meta.url);

/**
 * Connections of the smallest database that resources/ makes, db.t4g.medium: LEAST(4 GiB / 9,531,392, 5000) = 450 by Amazon's formula.
 * 50 of them are for migrations, for people, and for the database's own.
 */
const connections = 450 - 50;

describe.each(Object.entries(functions))('%s', (name, { memorySize, timeout, reservedConcurrency, events = [] }) => {
  const text = readFileSync(new URL(`functions/${name}/function.yml`, root), 'utf8');

  it('says how large it is and how long it may take, and why', () => {
    expect(memorySize).toBeGreaterThanOrEqual(128);
    expect(timeout).toBeGreaterThan(0);
    expect(text).toMatch(/^ {2}memorySize: \d+ # \w.+$/m);
    expect(text).toMatch(/^ {2}timeout: \d+ # \w.+$/m);
  });

  it('answers within the 29 s of API Gateway', () => {
    if (events.some(({ http }) => http)) expect(timeout).toBeLessThanOrEqual(29);
  });

  it('is limited, if it connects to the database', () => {
    if (readFileSync(new URL(`functions/${name}/index.ts`, root), 'utf8').match(/create(Api|Service|Device)Deps/))
      expect(reservedConcurrency).toBeGreaterThan(0);
  });

  it('takes from its queue no more than it has environments for, and reports what failed', () => {
    for (const { sqs } of events) {
      if (!sqs) continue;
      expect(sqs.functionResponseType).toBe('ReportBatchItemFailures');
      expect(sqs.maximumConcurrency).toBeGreaterThanOrEqual(2);
      expect(sqs.maximumConcurrency).toBeLessThanOrEqual(reservedConcurrency ?? 0);
    }
  });

  it('leaves a queue six times its timeout before a message is shown again', () => {
    for (const { sqs } of events) {
      const queue = sqs && resources[sqs.arn.replace('.Arn', '')]?.Properties;
      if (queue) expect(queue.VisibilityTimeout).toBeGreaterThanOrEqual(6 * (timeout ?? Number.NaN));
    }
  });
});

it('all environments of all functions together find a connection', () => {
  const environments = Object.values(functions).reduce((sum, { reservedConcurrency = 0 }) => sum + reservedConcurrency, 0);
  expect(environments).toBeLessThanOrEqual(connections);
});

describe('the database that a stage makes by itself', () => {
  const read = (name: string) => parse(readFileSync(new URL(`resources/database/${name}.yml`, root), 'utf8'), { logLevel: 'error' });
  const { settings, resources: made } = read('rds');

  it('is reached directly, because a proxy has statements go one by one and shares no connection on which some are prepared', () => {
    expect(params['default']?.['database']).toBe('rds');
    expect(settings.isProxied).toBe('false');
    expect(settings.url).toMatch(/@\$\{Database\.Endpoint\.Address\}:5432\//);
    expect(Object.values<{ Type: string }>(made.Resources).filter(({ Type }) => Type.startsWith('AWS::RDS::DBProxy'))).toEqual([]);
  });

  it.each(['rds', 'rds-proxied'])('is believed by its certificate and its name only: %s', (name) => {
    expect(read(name).settings.url).toContain('?sslmode=verify-full');
  });

  it('of RDS itself has a certificate of an authority that Node does not know, and Lambda does', () => {
    expect(settings.url).toContain('&sslrootcert=/var/runtime/ca-cert.pem');
  });

  it('ends what an environment leaves behind: a transaction after 25 s, a connection two minutes after its last statement', () => {
    expect(made.Resources.DatabaseParameters.Properties.Parameters).toMatchObject({
      ...{ statement_timeout: '25000', idle_in_transaction_session_timeout: '25000', idle_session_timeout: '120000' },
    });
  });

  it('has the connections that are reckoned with above', () => {
    expect(made.Resources.Database.Properties.DBInstanceClass).toBe('db.t4g.medium');
  });

  it('can have RDS Proxy in front of it, which then is all that changes', () => {
    const { settings: proxied, proxy, resources: same } = read('rds-proxied');
    expect(proxied.isProxied).toBe('true');
    expect(same).toMatch(/^\$\{file\(resources\/database\/rds\.yml\):resources\}$/);
    expect(Object.keys(proxy.Resources).filter((id) => id in made.Resources)).toEqual([]);
  });
});

it('every queue is encrypted, and has a dead-letter queue that keeps messages for 14 days', () => {
  const queues = Object.entries(resources).filter(([, { Type }]) => Type === 'AWS::SQS::Queue');
  expect(queues.length).toBeGreaterThan(0);
  for (const [id, { Properties }] of queues) {
    expect(Properties, id).toMatchObject({ SqsManagedSseEnabled: true, MessageRetentionPeriod: 1_209_600 });
    if (id.endsWith('DeadLetterQueue')) continue;
    expect(Properties.RedrivePolicy.deadLetterTargetArn, id).toBe(`${id.replace(/Queue$/, 'DeadLetterQueue')}.Arn`);
    expect(Properties.RedrivePolicy.maxReceiveCount, id).toBeGreaterThanOrEqual(5);
  }
});
