// Alarms and dashboard, made from the functions and queues of the stack: a new function or queue is watched from its first deploy on.
// docs/operations.md says what each alarm means and what to do.

/** The names that osls gives to a function's resources: `upload-firmware` becomes UploadDashfirmwareLambdaFunction. */
const pascal = (name) => name.replace(/(?:^|-)(\w)/g, (_, letter) => letter.toUpperCase());

module.exports = async ({ resolveConfigurationProperty, resolveVariable }) => {
  const functions = await resolveConfigurationProperty(['functions']);
  const service = await resolveConfigurationProperty(['service']);
  const stage = await resolveVariable('sls:stage');
  // Behind a proxy or not.
  const isOwnDatabase = (await resolveVariable('param:database')).startsWith('rds');
  const queues = await resolveConfigurationProperty(['custom', 'queues']);
  const prefix = `${service}-${stage}`;
  const apiName = `${stage}-${service}`; // as osls names it
  const api = { ApiName: apiName, Stage: stage };

  const alarms = {};
  const alarm = (
    id,
    description,
    { namespace, metric, dimensions, statistic, threshold, periods = 1, datapoints, period = 60, comparison = 'GreaterThanThreshold' },
  ) => {
    alarms[`${id}Alarm`] = {
      Type: 'AWS::CloudWatch::Alarm',
      Properties: {
        AlarmName: `${prefix}-${id}`,
        AlarmDescription: `${description} (docs/operations.md, Alarms)`,
        ActionsEnabled: true,
        AlarmActions: [{ Ref: 'AlarmTopic' }],
        OKActions: [{ Ref: 'AlarmTopic' }],
        ComparisonOperator: comparison,
        Threshold: threshold,
        EvaluationPeriods: periods,
        ...(datapoints && { DatapointsToAlarm: datapoints }),
        // A function or queue without work is no fault.
        TreatMissingData: 'notBreaching',
        Namespace: namespace,
        MetricName: metric,
        Period: period,
        Dimensions: Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value })),
        ...(/^p\d/.test(statistic) ? { ExtendedStatistic: statistic } : { Statistic: statistic }),
      },
    };
  };

  // The API as its callers see it.
  alarm('ApiErrors', 'More than 1 % of requests were answered with 5xx', {
    // The average of this metric is the share of requests, by Amazon's definition of it.
    ...{ namespace: 'AWS/ApiGateway', metric: '5XXError', dimensions: api, statistic: 'Average', threshold: 0.01, period: 300, periods: 2 },
  });
  alarm('ApiLatency', 'One in a hundred requests takes longer than 5 s', {
    ...{ namespace: 'AWS/ApiGateway', metric: 'Latency', dimensions: api, statistic: 'p99', threshold: 5_000, period: 300, periods: 2 },
  });

  /**
   * An alarm needs two periods with errors within two hours, which need not be in a row: a message whose work crashes comes again after half an
   * hour, and a caller tries again after a minute or an hour. Functions that are called only once, by a person or a schedule, are excepted.
   */
  const twice = { period: 300, periods: 24, datapoints: 2 };
  const once = { period: 300, periods: 1 };
  for (const [name, { timeout, events = [] }] of Object.entries(functions)) {
    const dimensions = { FunctionName: `${prefix}-${name}` };
    const isConsumer = events.some(({ sqs }) => sqs);
    const times = isConsumer || events.some(({ http }) => http) ? twice : once;
    alarm(`${pascal(name)}Errors`, `${name} ended without an answer`, {
      ...{ namespace: 'AWS/Lambda', metric: 'Errors', dimensions, statistic: 'Sum', threshold: 0, ...times },
    });
    alarm(`${pascal(name)}Duration`, `${name} comes near its limit of ${timeout} s`, {
      ...{ namespace: 'AWS/Lambda', metric: 'Duration', dimensions, statistic: 'p99', threshold: 800 * timeout, ...times },
    });
    if (!isConsumer) continue;
    // A message that a consumer hands back is no error of its function, and SQS does not count a message's age after its third delivery.
    const own = { service: prefix, function: `${prefix}-${name}` };
    alarm(`${pascal(name)}FailedMessages`, `${name} handed messages back because their work failed`, {
      ...{ namespace: 'scooters-updater', metric: 'failed_messages', dimensions: own, statistic: 'Sum', threshold: 0, ...twice },
    });
    alarm(`${pascal(name)}DeferredMessages`, `${name} has been waiting for a dependency for half an hour`, {
      ...{ namespace: 'scooters-updater', metric: 'deferred_messages', dimensions: own, statistic: 'Sum', threshold: 0 },
      ...{ period: 300, periods: 6 },
    });
  }

  alarm('LostFirmware', 'The file of a firmware is not in the bucket any more', {
    ...{
      namespace: 'scooters-updater',
      metric: 'lost_firmwares',
      dimensions: { service: prefix },
      statistic: 'Sum',
      threshold: 0,
      period: 300,
    },
  });
  // Published whenever the API is asked for /v1/health or /v1/stats, and by the steps of other updates while there is a late one.
  alarm('LateUpdates', 'An update takes no step: its message is lost, or the service cannot work on it', {
    ...{ namespace: 'scooters-updater', metric: 'late_updates', dimensions: { service: prefix }, statistic: 'Maximum', threshold: 0 },
    ...{ period: 300, periods: 1 },
  });

  // What somebody does who has taken over the database or the bucket is in no line of the audit: devices are the first who see it.
  alarm('DistrustingDevices', 'A device does not believe what the service told it to install', {
    ...{ namespace: 'scooters-updater', metric: 'distrusting_devices', dimensions: { service: prefix }, statistic: 'Sum', threshold: 0 },
    ...{ period: 300, periods: 1 },
  });
  // Published whenever the API is asked for /v1/health, if there is a root.
  alarm('AuthorRootEnds', 'Devices will install nothing in less than a month: no new root of author keys was published', {
    ...{ namespace: 'scooters-updater', metric: 'author_root_days', dimensions: { service: prefix }, statistic: 'Minimum', threshold: 30 },
    ...{ period: 300, periods: 1, comparison: 'LessThanThreshold' },
  });

  // Published whenever `GET /v1/stats` is asked for.
  alarm('IdsLeft', 'A sequence has less than a fifth of its ids left: which one is in GET /v1/stats', {
    ...{ namespace: 'scooters-updater', metric: 'ids_left_percent', dimensions: { service: prefix }, statistic: 'Minimum', threshold: 20 },
    ...{ period: 300, periods: 1, comparison: 'LessThanThreshold' },
  });

  const workQueues = Object.keys(queues).filter((id) => queues[id].Type === 'AWS::SQS::Queue' && !id.endsWith('DeadLetterQueue'));
  for (const id of workQueues) {
    const name = (queue) => ({ QueueName: queues[queue].Properties.QueueName });
    const short = id.replace(/Queue$/, '');
    alarm(`${short}DeadLetters`, `A message of ${short} could not be done`, {
      ...{ namespace: 'AWS/SQS', metric: 'ApproximateNumberOfMessagesVisible', dimensions: name(`${short}DeadLetterQueue`) },
      ...{ statistic: 'Maximum', threshold: 0, period: 60 },
    });
    alarm(`${short}Age`, `A message of ${short} has waited for more than 15 minutes`, {
      ...{
        namespace: 'AWS/SQS',
        metric: 'ApproximateAgeOfOldestMessage',
        dimensions: name(id),
        statistic: 'Maximum',
        threshold: 900,
        period: 60,
        periods: 5,
      },
    });
  }

  if (isOwnDatabase) {
    const dimensions = { DBInstanceIdentifier: prefix };
    alarm('DatabaseConnections', 'The database has more than 80 % of its 450 connections', {
      ...{ namespace: 'AWS/RDS', metric: 'DatabaseConnections', dimensions, statistic: 'Maximum', threshold: 360, period: 60, periods: 3 },
    });
    alarm('DatabaseStorage', 'The database has less than 2 GB of disk left', {
      ...{
        namespace: 'AWS/RDS',
        metric: 'FreeStorageSpace',
        dimensions,
        statistic: 'Minimum',
        threshold: 2e9,
        period: 300,
        comparison: 'LessThanThreshold',
      },
    });
    alarm('DatabaseCpu', 'The database computes at its limit', {
      ...{ namespace: 'AWS/RDS', metric: 'CPUUtilization', dimensions, statistic: 'Average', threshold: 90, period: 300, periods: 3 },
    });
  }

  const lambda = (metric, stat) =>
    Object.keys(functions).map((name) => ['AWS/Lambda', metric, 'FunctionName', `${prefix}-${name}`, { stat }]);
  const sqs = (metric, ids, stat) => ids.map((id) => ['AWS/SQS', metric, 'QueueName', queues[id].Properties.QueueName, { stat }]);
  const apiMetric = (metric, options) => ['AWS/ApiGateway', metric, 'ApiName', apiName, 'Stage', stage, options];
  // The service's own metrics (lib/stats/README.md), a line for each value of a dimension.
  const search = (metric, dimension, stat) => [
    { expression: `SEARCH('{scooters-updater,service,${dimension}} service="${prefix}" MetricName="${metric}"', '${stat}', 300)` },
  ];
  const widgets = [
    ['Requests', [apiMetric('Count', { stat: 'Sum' }), apiMetric('4XXError', { stat: 'Sum' }), apiMetric('5XXError', { stat: 'Sum' })]],
    ['Latency: mean, p99, max (ms)', ['Average', 'p99', 'Maximum'].map((stat) => apiMetric('Latency', { stat }))],
    ['Errors of functions', lambda('Errors', 'Sum')],
    ['Environments at once', lambda('ConcurrentExecutions', 'Maximum')],
    ['Queues: waiting messages', sqs('ApproximateNumberOfMessagesVisible', workQueues, 'Maximum')],
    ['Queues: age of the oldest message (s)', sqs('ApproximateAgeOfOldestMessage', workQueues, 'Maximum')],
    [
      'Dead-letter queues',
      sqs(
        'ApproximateNumberOfMessagesVisible',
        workQueues.map((id) => id.replace(/Queue$/, 'DeadLetterQueue')),
        'Maximum',
      ),
    ],
    [
      'Messages that failed, and that wait for a dependency',
      ['failed_messages', 'deferred_messages'].map((metric) => search(metric, 'function', 'Sum')),
    ],
    ['Updates whose step is late', [['scooters-updater', 'late_updates', 'service', prefix, { stat: 'Maximum' }]]],
    ['Updates by status', [search('updates', 'status', 'Maximum')]],
    ['Executions by status, of updates that have not ended', [search('executions', 'status', 'Maximum')]],
    [
      'Update time, from command to proof: median, p99 (s)',
      ['p50', 'p99'].map((p) => search(`update_time_${p}`, 'hardware_type', 'Maximum')),
    ],
    ['Requests by function: mean and longest answer (ms)', ['Average', 'Maximum'].map((stat) => search('response_time', 'function', stat))],
    ...(isOwnDatabase
      ? [
          [
            'Database: connections and load',
            [
              ['AWS/RDS', 'DatabaseConnections', 'DBInstanceIdentifier', prefix],
              ['AWS/RDS', 'CPUUtilization', 'DBInstanceIdentifier', prefix, { yAxis: 'right' }],
            ],
          ],
        ]
      : []),
  ].map(([title, metrics], index) => ({
    ...{ type: 'metric', x: (index % 2) * 12, y: Math.floor(index / 2) * 6, width: 12, height: 6 },
    // biome-ignore lint/suspicious/noTemplateCurlyInString: for CloudFormation's Fn::Sub
    properties: { title, metrics, region: '${AWS::Region}', period: 60, view: 'timeSeries' },
  }));

  return {
    Resources: {
      AlarmTopic: { Type: 'AWS::SNS::Topic', Properties: { TopicName: `${prefix}-alarms` } },
      ...alarms,
      Dashboard: {
        Type: 'AWS::CloudWatch::Dashboard',
        Properties: { DashboardName: prefix, DashboardBody: { 'Fn::Sub': JSON.stringify({ widgets }) } },
      },
    },
    Outputs: { AlarmTopic: { Description: 'Subscribe to it whoever is on call', Value: { Ref: 'AlarmTopic' } } },
  };
};
