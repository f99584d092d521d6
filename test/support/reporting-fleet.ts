import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type SimulatorOptions, startSimulator } from '../../dev/simulator/server.ts';
import { startOfTime } from './fixtures.ts';
import { manifestKeySet } from './manifest-signer.ts';

/**
 * The simulated fleet, whose devices check manifests, download `bytes` from `fileUrl` and report. `downloads` has the paths that they asked
 * for, `reports` what they said.
 */
export async function startReportingFleet(bytes: Uint8Array, options: Pick<SimulatorOptions, 'author_root'> = {}) {
  const downloads: string[] = [];
  const reports: { external_id: string; status: string; detail?: string }[] = [];
  const storage = await listen((request, response) => {
    downloads.push(request.url ?? '');
    response.end(bytes);
  });
  const updater = await listen(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    reports.push(...JSON.parse(Buffer.concat(chunks).toString()).confirmations);
    response.end('{}');
  });
  const simulator = await startSimulator({
    ...{ token: 't', install_seconds: 0.001, flush_ms: 5, retry_ms: 5, now: () => startOfTime, manifest_keys: manifestKeySet },
    ...{ updater_url: urlOf(updater), updater_token: 'u', ...options },
  });
  return {
    downloads,
    reports,
    fileUrl: urlOf(storage),
    command: (commands: readonly object[]): Promise<Response> =>
      fetch(`${simulator.url}/v1/firmware-commands`, {
        method: 'POST',
        headers: { authorization: 'Bearer t', 'idempotency-key': 'k', 'content-type': 'application/json' },
        body: JSON.stringify({ commands }),
      }),
    async close(): Promise<void> {
      await simulator.close();
      storage.close();
      updater.close();
    },
  };
}

const listen = async (answer: RequestListener): Promise<Server> => {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
};

const urlOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
