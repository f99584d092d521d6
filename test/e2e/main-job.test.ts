// The whole service in a temporary folder, through serverless-offline over HTTP: what `npm start` does before the user's eyes.
import { createHash, randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { all, type Client, createClient, type RegisterDevicesBodyDevicesItem as NewDevice } from '../../clients/api/src/index.ts';
import { createDisplay } from '../../dev/display.ts';
import { runMainJob } from '../../dev/main-job.ts';
import { type Stack, startStack } from '../../dev/stack/stack.ts';

let stack: Stack;
let api: Client;
const zones = ['north', 'centre', 'south'].map((name) => ({ name, time_zone: 'Europe/Moscow' }));
const fleet: NewDevice[] = [
  ...Array.from({ length: 60 }, (_, index) => ({
    kind: 'scooter' as const,
    external_id: `S-${String(index + 1).padStart(5, '0')}`,
    version: index % 2 ? (2 as const) : (1 as const),
    zone: zones[index % 3]?.name ?? null,
  })),
  ...Array.from({ length: 3 }, (_, index) => ({
    kind: 'cabinet' as const,
    external_id: `C-${String(index + 1).padStart(4, '0')}`,
    version: null,
    channel: 'telematics' as const,
  })),
];

beforeAll(async () => {
  stack = await startStack({ isBuilt: true, simulator: { scooters: 60, cabinets: 3, install_seconds: 0.2, failure_rate: 0.1, seed: 7 } });
  api = createClient({ url: stack.api_url, token: stack.token });
});
afterAll(() => stack?.stop());

it('brings a file from an engineer to every device, and shows afterwards what each one runs', async () => {
  const bytes = new Uint8Array(randomBytes(100_000));
  const lines: string[] = [];
  const output = { write: (text: string) => lines.push(text) } as unknown as NodeJS.WritableStream;
  const [scooters, cabinets] = await runMainJob({
    ...{ api_url: stack.api_url, token: stack.token, fleet, zones, stallSeconds: 30 },
    display: createDisplay({ isPlain: true, output }),
    files: [
      { hardware_type: 'vega_mcu', kind: 'scooter', version: '2.0.0', bytes, comment: 'end to end', maximum_unavailable_percentage: 30 },
      { hardware_type: 'cabinet', kind: 'cabinet', bytes: new Uint8Array(randomBytes(10)), comment: 'end to end' },
    ],
  });

  expect(scooters).toMatchObject({ hardware_type: 'vega_mcu', version: '2.0.0', status: 'COMPLETED', contradictions: [] });
  expect(cabinets).toMatchObject({ hardware_type: 'cabinet', version: '1.1.0', status: 'COMPLETED', contradictions: [] });
  const { SUCCEEDED = 0, FAILED = 0 } = scooters?.counts ?? {};
  expect(SUCCEEDED + FAILED).toBe(60);
  expect(FAILED).toBeGreaterThan(0); // the simulator was told to let one in ten fail

  const firmware = await api.getFirmware(scooters?.firmware_id ?? 0);
  expect(firmware).toMatchObject({ status: 'available', size_bytes: 100_000, sha256: createHash('sha256').update(bytes).digest('hex') });
  const download = await fetch(firmware.download_url ?? '');
  expect(download.status).toBe(200);
  expect(Buffer.from(await download.arrayBuffer()).equals(bytes)).toBe(true);

  const failed = new Set<string>();
  for await (const { external_id } of all((page) => api.listExecutions(scooters?.id ?? 0, { status: 'FAILED', ...page })))
    failed.add(external_id);
  expect(failed.size).toBe(FAILED);
  for (const { external_id } of fleet.filter(({ kind }) => kind === 'scooter')) {
    const device = await api.getScooter(external_id);
    const installed = device.firmwares.find(({ hardware_type }) => hardware_type === 'vega_mcu');
    if (failed.has(external_id)) expect(installed?.version).not.toBe('2.0.0');
    else expect(installed).toMatchObject({ version: '2.0.0', firmware_id: firmware.id, firmware_update_time: expect.any(Number) });
  }
  expect(lines.join('')).toContain('Update');

  // 30 % of 20 in each zone.
  expect(scooters?.zone_use?.map(({ zone, devices, budget }) => [zone, devices, budget])).toEqual([
    ['north', 20, 6],
    ['centre', 20, 6],
    ['south', 20, 6],
  ]);
  for (const { most_at_work } of scooters?.zone_use ?? []) {
    expect(most_at_work).toBeGreaterThan(0);
    expect(most_at_work).toBeLessThanOrEqual(6);
  }
  expect(lines.join('')).toMatch(/Scooters at work at one moment, at most, by the service's times: north \d of 20 \(6 may be\), centre/);
});

it('leaves nothing behind in the queues, and nothing in the dead-letter queues', async () => {
  const depths = () => Promise.all(Object.keys(stack.sqs.queue_urls).map(async (queue) => [queue, await stack.queueDepth(queue)]));
  await expect.poll(depths, { timeout: 20_000 }).toEqual(Object.keys(stack.sqs.queue_urls).map((queue) => [queue, 0]));
});

it('refuses calls without a token, and those whose token lacks the scope', async () => {
  expect((await fetch(`${stack.api_url}/v1/firmwares`)).status).toBe(401);
  const reader = createClient({ url: stack.api_url, token: await stack.tokenFor({ subject: 'reader', scopes: ['read'] }) });
  await expect(reader.registerDevices({ devices: fleet.slice(0, 1) })).rejects.toMatchObject({ status: 403 });
});

it('stops in order: nothing listens and nobody is connected any more', async () => {
  await stack.stop();
  const client = new pg.Client({ connectionString: stack.database_url });
  await expect(client.connect()).rejects.toThrow('ECONNREFUSED');
  for (const url of [stack.api_url, stack.s3.endpoint, stack.sqs.endpoint, stack.simulator_url])
    await expect(fetch(url)).rejects.toThrow('fetch failed');
  await stack.stop();
});
