import type { Dimensions, Measurement, Metrics } from '../../lib/metrics.ts';

export interface Published {
  values: Readonly<Record<string, Measurement>>;
  dimensionSets: readonly Dimensions[];
}

/** Metrics that keep what is published. */
export const createRecordingMetrics = (): Metrics & { published: Published[] } => {
  const published: Published[] = [];
  return { published, publish: (values, ...dimensionSets) => published.push({ values, dimensionSets }) };
};
