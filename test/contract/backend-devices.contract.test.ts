import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { startSimulator } from '../../dev/simulator/server.ts';
import { type Backend, BackendRefusal, BackendUnavailable } from '../../lib/ports/backend.ts';
import { createHttpBackend } from '../../lib/ports/http-backend.ts';
import { startOfTime } from '../support/fixtures.ts';
import { InMemoryBackend } from '../support/in-memory-backend.ts';
import { inBackend } from '../support/observations.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0)) await clean();
});

interface Subject {
  backend: Backend;
  goDown(): void;
}

const scooterTypes = ['vega_mcu', 'vega_gsm', 'audio_lock', 'audio_locate', 'audio_unlock', 'audio_battery_low'];
const since_dt = new Date('2026-01-05T00:00:00.000Z');
const versionsOf = (types: string[]) => Object.fromEntries(types.map((type) => [type, '1.0.0']));

/** Both know 2,000 scooters of alternating generations and 3 cabinets. */
const inMemory = async (): Promise<Subject> => {
  const backend = new InMemoryBackend();
  for (let n = 1; n <= 2_000; n += 1) {
    const options = { version: n % 2 ? 1 : 2, since_dt, observed_dt: startOfTime };
    backend.fleet.push(inBackend(`S-${String(n).padStart(5, '0')}`, versionsOf(scooterTypes), options));
  }
  for (let n = 1; n <= 3; n += 1) {
    backend.fleet.push(inBackend(`C-000${n}`, versionsOf(['cabinet']), { kind: 'cabinet', since_dt, observed_dt: startOfTime }));
  }
  const goDown = () => {
    backend.failure = new BackendUnavailable('backend answered 503', { retryAfterSeconds: 2 });
  };
  return { backend, goDown };
};

const overHttp = async (): Promise<Subject> => {
  const simulator = await startSimulator({ scooters: 2_000, cabinets: 3, now: () => startOfTime });
  cleanups.push(simulator.close);
  return { backend: createHttpBackend(simulator), goDown: () => void simulator.change({ outage: '503' }) };
};

const call = { idempotencyKey: 'key-1', requestId: 'request-1', timeoutMilliseconds: 10_000 };

describe.each([
  ['the backend in memory', inMemory],
  ['the backend over HTTP', overHttp],
])('%s', (_, open) => {
  it('answers what devices run, each device once, and leaves out those it does not know', async () => {
    const { backend } = await open();
    const found = await backend.findVersions('scooter', ['S-00002', 'S-00001', 'S-00002', 'S-99999', 'C-0001'], call);
    expect(found.toSorted((a, b) => (a.external_id < b.external_id ? -1 : 1))).toEqual(
      [1, 2].map((version) => ({
        external_id: `S-0000${version}`,
        version,
        firmwares: scooterTypes.map((hardware_type) => ({
          ...{ hardware_type, version: '1.0.0' },
          ...{ since_dt: '2026-01-05T00:00:00.000Z', observed_dt: '2026-11-24T08:00:00.000Z' },
        })),
      })),
    );
    expect(await backend.findVersions('cabinet', ['C-0001'], call)).toMatchObject([{ external_id: 'C-0001', version: null }]);
  });

  it('answers about 1,000 devices at once', async () => {
    const { backend } = await open();
    const external_ids = Array.from({ length: 1_000 }, (_, n) => `S-${String(n + 1).padStart(5, '0')}`);
    expect(await backend.findVersions('scooter', external_ids, call)).toHaveLength(1_000);
  });

  it('lists every device once, page by page, of every kind', async () => {
    const { backend } = await open();
    const pages = [];
    let cursor: string | null = null;
    do {
      const page = await backend.listDevices({ cursor, limit: 1_000 }, call);
      pages.push(page.items);
      cursor = page.next_cursor;
    } while (cursor !== null);
    expect(pages.map(({ length }) => length)).toEqual([1_000, 1_000, 3]);
    expect(new Set(pages.flat().map(({ kind, external_id }) => `${kind} ${external_id}`)).size).toBe(2_003);
    expect(pages[0]?.[0]).toEqual({ kind: 'scooter', external_id: 'S-00001', version: 1 });
    expect(pages.at(-1)?.at(-1)).toEqual({ kind: 'cabinet', external_id: 'C-0003', version: null });
  });

  it('is unavailable while it is down, and tells when it wants to be asked again', async () => {
    const { backend, goDown } = await open();
    goDown();
    const expected = { name: 'BackendUnavailable', message: 'backend answered 503', retryAfterSeconds: 2 };
    await expect(backend.findVersions('scooter', ['S-00001'], call)).rejects.toMatchObject(expected);
    await expect(backend.listDevices({ cursor: null, limit: 1 }, call)).rejects.toMatchObject(expected);
  });
});

describe('the backend over HTTP', () => {
  it.each([
    ['hangs', 'hang', 'backend did not answer in time'],
    ['fails', '500', 'backend answered 500'],
    ['is asked too often', '429', 'backend answered 429'],
  ] as const)('is unavailable when it %s', async (_, outage, message) => {
    const simulator = await startSimulator({ outage });
    cleanups.push(simulator.close);
    const asked = createHttpBackend(simulator).findVersions('scooter', ['S-00001'], { ...call, timeoutMilliseconds: 200 });
    await expect(asked).rejects.toMatchObject({ name: 'BackendUnavailable', message });
  });

  it('is unavailable with a token that is not valid: somebody has to mend it', async () => {
    const simulator = await startSimulator();
    cleanups.push(simulator.close);
    const { findVersions, listDevices } = createHttpBackend({ url: simulator.url, token: 'wrong' });
    await expect(findVersions('scooter', ['S-00001'], call)).rejects.toThrow(BackendUnavailable);
    await expect(listDevices({ cursor: null, limit: 1 }, call)).rejects.toThrow(BackendUnavailable);
  });

  it('refuses a question that is not well-formed', async () => {
    const simulator = await startSimulator();
    cleanups.push(simulator.close);
    const { findVersions, listDevices } = createHttpBackend(simulator);
    await expect(findVersions('bicycle', ['B-1'], call)).rejects.toThrow(BackendRefusal);
    await expect(listDevices({ cursor: 'bogus', limit: 1 }, call)).rejects.toThrow(BackendRefusal);
  });

  it.each([
    ['no JSON', '<html>'],
    ['something else', '{"devices":{}}'],
    ['a device without its generation', '{"devices":[{"external_id":"S-1","firmwares":[]}],"unknown":[]}'],
  ])('is unavailable when it answers %s', async (_, body) => {
    const server = createServer((_request, response) => response.end(body)).listen(0, '127.0.0.1');
    cleanups.push(() => server.close());
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    const backend = createHttpBackend({ url: `http://127.0.0.1:${port}`, token: 'token' });
    await expect(backend.findVersions('scooter', ['S-1'], call)).rejects.toThrow(BackendUnavailable);
  });
});
