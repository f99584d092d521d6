import { Metrics as EmbeddedMetrics } from '@aws-lambda-powertools/metrics';

export interface Measurement {
  unit: 'Count' | 'Milliseconds' | 'Seconds';
  value: number;
}

/** Names by which values are told apart. Keep them few and harmless: each combination is a series that costs money. */
export type Dimensions = Readonly<Record<string, string>>;

export interface Metrics {
  /** Publishes values under each of the sets of dimensions, at once, so that they do not mix with values of others at the same moment. */
  publish(values: Readonly<Record<string, Measurement>>, ...dimensionSets: readonly Dimensions[]): void;
}

export const count = (value: number): Measurement => ({ unit: 'Count', value });
export const milliseconds = (value: number): Measurement => ({ unit: 'Milliseconds', value });
export const seconds = (value: number): Measurement => ({ unit: 'Seconds', value });

/**
 * Lines in CloudWatch's embedded metric format on standard output: nothing is sent, and nothing waits. Every series has the dimension
 * `service` besides, from POWERTOOLS_SERVICE_NAME, which tells stages apart; POWERTOOLS_METRICS_DISABLED=true prints nothing.
 *
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
export const createMetrics = (): Metrics => {
  const metrics = new EmbeddedMetrics({ namespace: 'scooters-updater', logger: silent });
  return {
    publish(values, ...dimensionSets) {
      for (const dimensions of dimensionSets) metrics.addDimensions(toAscii(dimensions));
      for (const [name, { unit, value }] of Object.entries(values)) metrics.addMetric(name, unit, value);
      metrics.publishStoredMetrics();
    },
  };
};

/** A logger for Powertools that prints nothing: it would warn at every request that two sets of dimensions share a name, which is intended. */
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** CloudWatch drops a line if a dimension has a character outside ASCII. */
const toAscii = (dimensions: Dimensions): Record<string, string> =>
  Object.fromEntries(Object.entries(dimensions).map(([name, value]) => [name, value.replaceAll(/[^\x20-\x7e]/g, '?')]));
