import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { type Resource, readServerlessFile } from '../../ops/serverless-file.ts';

type Make = (variables: {
  resolveConfigurationProperty(path: string[]): Promise<unknown>;
  resolveVariable(name: string): Promise<string>;
}) => Promise<{ Resources: Record<string, Resource> }>;

const root = new URL('../../', import.meta.url);
const make = createRequire(import.meta.url)('../../resources/alarms-and-dashboard.cjs') as Make;
const { functions, resources, service } = readServerlessFile();
const queues = Object.fromEntries(Object.entries(resources).filter(([, { Type }]) => Type === 'AWS::SQS::Queue'));
const configuration: Record<string, unknown> = { functions, service, 'custom.queues': queues };
const madeWith = (database: string) =>
  make({
    resolveConfigurationProperty: async (path) => configuration[path.join('.')],
    resolveVariable: async (name) => (name === 'sls:stage' ? 'prod' : database),
  });
const { Resources: made } = await madeWith('rds');
const alarms = Object.keys(made).filter((id) => made[id]?.Type === 'AWS::CloudWatch::Alarm');
const pascalCase = (name: string) => name.replaceAll(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase());

it('every function and every queue is watched, also one that is added later', () => {
  for (const name of Object.keys(functions)) {
    expect(alarms).toContain(`${pascalCase(name)}ErrorsAlarm`);
    expect(alarms).toContain(`${pascalCase(name)}DurationAlarm`);
  }
  for (const id of Object.keys(queues).filter((name) => !name.endsWith('DeadLetterQueue'))) {
    expect(alarms).toContain(`${id.replace(/Queue$/, '')}DeadLettersAlarm`);
    expect(alarms).toContain(`${id.replace(/Queue$/, '')}AgeAlarm`);
  }
});

it("the stack's own database is watched, behind a proxy too", async () => {
  for (const database of ['rds', 'rds-proxied']) {
    const { Resources } = await madeWith(database);
    for (const id of ['DatabaseConnectionsAlarm', 'DatabaseStorageAlarm', 'DatabaseCpuAlarm'])
      expect(Resources, database).toHaveProperty(id);
  }
  expect((await madeWith('existing')).Resources).not.toHaveProperty('DatabaseCpuAlarm');
});

/** How often in how many seconds something has to happen until somebody is called; `times` in a row when it says so. */
const callsAfter = (id: string) => {
  const { EvaluationPeriods, DatapointsToAlarm = EvaluationPeriods, Period } = made[`${id}Alarm`]?.Properties ?? {};
  return { times: DatapointsToAlarm, seconds: EvaluationPeriods * Period };
};

describe('an alarm that could not fire', () => {
  it('a crash every half hour raises an alarm, also where a message comes again only after 1,800 s', () => {
    for (const name of ['register-firmware', 'assemble-firmware', 'advance-update', 'confirm-update', 'get-updates']) {
      const { times, seconds } = callsAfter(`${pascalCase(name)}Errors`);
      expect(times, name).toBe(2);
      // A second crash half an hour after the first one, and half an hour of grace.
      expect(seconds, name).toBeGreaterThanOrEqual(3_600);
    }
  });

  it('a function that is called once, by a deploy or a schedule, raises an alarm at its first crash', () => {
    for (const name of ['migrate', 'observe-fleet']) {
      expect(callsAfter(`${pascalCase(name)}Errors`)).toEqual({ times: 1, seconds: 300 });
      expect(callsAfter(`${pascalCase(name)}Duration`)).toEqual({ times: 1, seconds: 300 });
    }
  });

  it('messages that are handed back, which are no error of a function and not in the age of a queue, have a metric and an alarm', () => {
    const consumers = Object.entries(functions).filter(([, { events = [] }]) => events.some(({ sqs }) => sqs));
    expect(consumers).toHaveLength(6);
    for (const [name] of consumers) {
      expect(made[`${pascalCase(name)}FailedMessagesAlarm`]?.Properties).toMatchObject({
        ...{ Namespace: 'scooters-updater', MetricName: 'failed_messages', Threshold: 0, DatapointsToAlarm: 2 },
        Dimensions: [
          { Name: 'service', Value: 'scooters-updater-prod' },
          { Name: 'function', Value: `scooters-updater-prod-${name}` },
        ],
      });
      expect(made[`${pascalCase(name)}DeferredMessagesAlarm`]?.Properties.MetricName).toBe('deferred_messages');
    }
  });

  it('a sequence with less than a fifth of its ids left raises an alarm', () => {
    expect(made['IdsLeftAlarm']?.Properties).toMatchObject({
      ...{ Namespace: 'scooters-updater', MetricName: 'ids_left_percent', Threshold: 20, ComparisonOperator: 'LessThanThreshold' },
      ...{ Statistic: 'Minimum', EvaluationPeriods: 1, Dimensions: [{ Name: 'service', Value: 'scooters-updater-prod' }] },
    });
  });

  it('a device that does not believe what it is told to install raises an alarm', () => {
    expect(made['DistrustingDevicesAlarm']?.Properties).toMatchObject({
      ...{ Namespace: 'scooters-updater', MetricName: 'distrusting_devices', Statistic: 'Sum', Threshold: 0, EvaluationPeriods: 1 },
      Dimensions: [{ Name: 'service', Value: 'scooters-updater-prod' }],
    });
  });

  it('a root of author keys that ends within a month raises an alarm', () => {
    expect(made['AuthorRootEndsAlarm']?.Properties).toMatchObject({
      ...{ Namespace: 'scooters-updater', MetricName: 'author_root_days', Threshold: 30, ComparisonOperator: 'LessThanThreshold' },
      ...{ Statistic: 'Minimum', EvaluationPeriods: 1, Dimensions: [{ Name: 'service', Value: 'scooters-updater-prod' }] },
    });
  });

  it('an update whose step is late raises an alarm', () => {
    expect(made['LateUpdatesAlarm']?.Properties).toMatchObject({
      ...{ Namespace: 'scooters-updater', MetricName: 'late_updates', Threshold: 0, EvaluationPeriods: 1 },
      Dimensions: [{ Name: 'service', Value: 'scooters-updater-prod' }],
    });
  });
});

it('an alarm goes to the people on call, and is silent while nothing happens', () => {
  for (const id of alarms)
    expect(made[id]?.Properties, id).toMatchObject({ AlarmActions: [{ Ref: 'AlarmTopic' }], TreatMissingData: 'notBreaching' });
});

it('docs/operations.md says of every alarm what it means and what to do', () => {
  const rows = readFileSync(new URL('docs/operations.md', root), 'utf8').matchAll(/^\| `?(\w+)`? \| .+ \| .+ \|$/gm);
  const explained = new Set([...rows].map(([, name]) => name));
  const ofEach = (id: string) => {
    if (
      Object.keys(functions).some((name) => new RegExp(`^${pascalCase(name)}(Errors|Duration|FailedMessages|DeferredMessages)$`).test(id))
    )
      return `Function${/[A-Z][a-z]+(Messages)?$/.exec(id)?.[0]}`;
    if (Object.keys(queues).some((name) => new RegExp(`^${name.replace(/Queue$/, '')}(DeadLetters|Age)$`).test(id)))
      return id.endsWith('Age') ? 'QueueAge' : 'QueueDeadLetters';
    return id;
  };
  expect(alarms.map((id) => ofEach(id.replace(/Alarm$/, ''))).filter((id) => !explained.has(id))).toEqual([]);
});

it('docs/devices.md names for each attack who finds out, and no alarm that there is not', () => {
  const [, section = ''] = readFileSync(new URL('docs/devices.md', root), 'utf8').split('### Who has what, and what a device does');
  const rows = [...section.matchAll(/^\| \d+ \| .+ \| .+ \| .+ \| (.+) \|$/gm)].map(([, finder = '']) => finder);
  expect(rows).toHaveLength(15);
  const named = rows.flatMap((finder) => [...finder.matchAll(/`([A-Z][a-z]\w+)`/g)].map(([, name]) => `${name}Alarm`));
  expect(new Set(named)).toEqual(new Set(['DistrustingDevicesAlarm', 'LostFirmwareAlarm', 'AuthorRootEndsAlarm']));
  expect(named.filter((name) => !alarms.includes(name))).toEqual([]);
});

it('the dashboard shows updates and executions by status, and update times', () => {
  const body = JSON.stringify(made['Dashboard']?.Properties.DashboardBody);
  for (const metric of ['updates', 'executions', 'update_time_p50', 'update_time_p99'])
    expect(body).toContain(`MetricName=\\\\\\"${metric}\\\\\\"`);
});

it('the dashboard shows every function and every queue', () => {
  const body = JSON.stringify(made['Dashboard']?.Properties.DashboardBody);
  for (const name of Object.keys(functions)) expect(body).toContain(`scooters-updater-prod-${name}`);
  for (const { Properties } of Object.values(queues)) expect(body).toContain(Properties.QueueName);
});
