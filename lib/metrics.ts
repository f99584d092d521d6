export interface Measurement {
  unit: 'Count' | 'Milliseconds' | 'Seconds';
  value: number;
}

/** By what a value can be told apart: few and harmless names, because each combination is a series that costs money. */
export type Dimensions = Readonly<Record<string, string>>;

export interface Metrics {
  /** Publishes values under each of the sets of dimensions, at once: what others publish at the same moment does not mix with them. */
  publish(values: Readonly<Record<string, Measurement>>, ...dimensionSets: readonly Dimensions[]): void;
}

export const count = (value: number): Measurement => ({ unit: 'Count', value });
export const milliseconds = (value: number): Measurement => ({ unit: 'Milliseconds', value });
export const seconds = (value: number): Measurement => ({ unit: 'Seconds', value });

/**
 * Lines in CloudWatch's embedded metric format on standard output: nothing is sent, and nothing waits. Every series has the dimension
 * `service` besides, from SERVICE_NAME, which tells stages apart; METRICS_DISABLED=true prints nothing.
 *
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
export const createMetrics = (): Metrics => {
  const { SERVICE_NAME: service = 'scooters-updater', METRICS_DISABLED } = process.env;
  return {
    publish(values, ...dimensionSets) {
      if (METRICS_DISABLED === 'true') return;
      const dimensions = Object.assign({}, ...dimensionSets.map(toAscii)) as Dimensions;
      const line = {
        _aws: {
          Timestamp: Date.now(),
          CloudWatchMetrics: [
            {
              Namespace: 'scooters-updater',
              Dimensions: dimensionSets.map((set) => ['service', ...Object.keys(set)]),
              Metrics: Object.entries(values).map(([Name, { unit }]) => ({ Name, Unit: unit })),
            },
          ],
        },
        service,
        ...dimensions,
        ...Object.fromEntries(Object.entries(values).map(([name, { value }]) => [name, value])),
      };
      process.stdout.write(`${JSON.stringify(line)}\n`);
    },
  };
};

/** CloudWatch drops a line with any other character in a dimension. */
const toAscii = (dimensions: Dimensions): Record<string, string> =>
  Object.fromEntries(Object.entries(dimensions).map(([name, value]) => [name, value.replaceAll(/[^\x20-\x7e]/g, '?')]));
