// `npm start -- --aws ADDRESS`: the functions on this machine, S3 and SQS in an emulator.
import { randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import type { RegisterDevicesBodyDevicesItem as NewDevice } from '../../clients/api/src/index.ts';
import { createDisplay } from '../../dev/display.ts';
import { runMainJob } from '../../dev/main-job.ts';
import { startStack } from '../../dev/stack/stack.ts';
import { emulatorEndpoint, unless } from '../support/emulator-gaps.ts';

const SCOOTERS = 30;
const fleet: NewDevice[] = Array.from({ length: SCOOTERS }, (_, index) => ({
  ...{ kind: 'scooter', external_id: `S-${String(index + 1).padStart(5, '0')}`, version: 1 },
}));

unless(
  'no emulator',
  'a firmware goes through the S3 of an emulator and an update through its SQS, to every device',
  async () => {
    const stack = await startStack({
      isBuilt: true,
      aws: emulatorEndpoint,
      simulator: { scooters: SCOOTERS, cabinets: 0, install_seconds: 0.2, seed: 5 },
    });
    try {
      expect(stack.s3.endpoint).toBe(emulatorEndpoint);
      expect(stack.sqs.endpoint).toBe(emulatorEndpoint);
      const output = { write: () => true } as unknown as NodeJS.WritableStream;
      const { api_url, token } = stack;
      const [result] = await runMainJob({
        ...{ api_url, token, fleet, display: createDisplay({ isPlain: true, output }), stallSeconds: 60 },
        files: [{ hardware_type: 'vega_mcu', kind: 'scooter', bytes: new Uint8Array(randomBytes(1_000)), comment: '' }],
      });
      expect(result).toMatchObject({ status: 'COMPLETED', contradictions: [], counts: { SUCCEEDED: SCOOTERS } });
    } finally {
      await stack.stop();
    }
  },
  180_000,
);
