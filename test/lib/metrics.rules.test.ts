import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { count, createMetrics, milliseconds, seconds } from '../../lib/metrics.ts';
import { catchPrintedLines } from '../support/printed-lines.ts';

/** Metrics as of a function's start, and the lines that they print; warnings, which would come with every request, are among them. */
const setup = (env: Record<string, string> = { POWERTOOLS_SERVICE_NAME: 'scooters-updater-test' }) => {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  return { lines: catchPrintedLines(), metrics: createMetrics() };
};

describe('metrics', () => {
  it("are one line in CloudWatch's embedded metric format: namespace, units, a series for each set of dimensions", () => {
    const { metrics, lines } = setup();
    metrics.publish(
      { requests: count(1), response_time: milliseconds(12.5), update_time: seconds(60) },
      { function: 'get-stats' },
      { function: 'get-stats', route: 'GET /v1/stats' },
    );
    expect(lines).toEqual([
      {
        _aws: {
          Timestamp: expect.any(Number),
          CloudWatchMetrics: [
            {
              Namespace: 'scooters-updater',
              Dimensions: [
                ['service', 'function'],
                ['service', 'function', 'route'],
              ],
              Metrics: [
                { Name: 'requests', Unit: 'Count' },
                { Name: 'response_time', Unit: 'Milliseconds' },
                { Name: 'update_time', Unit: 'Seconds' },
              ],
            },
          ],
        },
        service: 'scooters-updater-test',
        function: 'get-stats',
        route: 'GET /v1/stats',
        requests: 1,
        response_time: 12.5,
        update_time: 60,
      },
    ]);
  });

  it('of one publication never mix with those of another', () => {
    const { metrics, lines } = setup();
    metrics.publish({ devices: count(1) }, { kind: 'scooter' });
    metrics.publish({ updates: count(2) }, { status: 'COMPLETED' });
    expect(lines.map(({ _aws, ...line }) => line)).toEqual([
      { service: 'scooters-updater-test', kind: 'scooter', devices: 1 },
      { service: 'scooters-updater-test', status: 'COMPLETED', updates: 2 },
    ]);
  });

  it('have dimensions in ASCII: CloudWatch would drop the line', () => {
    const { metrics, lines } = setup();
    metrics.publish({ devices: count(1) }, { version: '1.0-бета' });
    expect(lines).toMatchObject([{ version: '1.0-????' }]);
  });

  it('are not printed where they are disabled', () => {
    const { metrics, lines } = setup({ POWERTOOLS_METRICS_DISABLED: 'true' });
    metrics.publish({ devices: count(1) }, { kind: 'scooter' });
    expect(lines).toEqual([]);
  });
});
