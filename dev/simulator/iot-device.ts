import type { JSONWebKeySet } from 'jose';
import type { SignedRoot } from './author-verifier.ts';
import type { Kind } from './contract.ts';
import { createTrust, type Kept, noBytes, type Trusted } from './device-trust.ts';
import type { Plan } from './fleet.ts';
import { Refused } from './refused.ts';

/** A device that talks to the updater itself, by the protocol of lib/ddi: what it is and runs, and whom it believes. */
export interface IotDevice extends Kept {
  kind: Kind;
  external_id: string;
  token: string;
  hardware_type: string;
  version: string;
}

export interface IotDeviceDeps {
  /** The address at which its own routes begin. */
  url: string;
  /** The address of the API, which has the author roots. */
  apiUrl: string;
  /** The service's keys, put into it when it was made. */
  manifestKeys: JSONWebKeySet;
  now: () => Date;
  signal: AbortSignal;
  sleep(ms: number): Promise<void>;
  log(fields: Record<string, unknown>): void;
  /** How an installation will go. */
  plan(actionId: string): Plan;
  /** Stores the device, which has changed; called before the device says so. */
  store(): void;
}

interface Answer {
  config?: { polling?: { sleep?: string } };
  _links?: Record<string, { href: string } | undefined>;
}
interface Chunk {
  metadata?: { key: string; value: string }[];
  artifacts: { _links: Record<string, { href: string }> }[];
}
interface Deployment {
  id: string;
  deployment: { chunks: Chunk[] };
}

const callTimeoutMs = 30_000;
/** The pause after an error. */
const retryMs = 1_000;

/** Polls, installs and reports until `signal` ends it. After any error it goes on polling. */
export async function runIotDevice(device: IotDevice, deps: IotDeviceDeps): Promise<void> {
  const { signal, sleep, log } = deps;
  const { call, json, feedback } = createCalls(device, deps);
  const trust = createTrust(device, device.hardware_type, {
    ...deps,
    fetchRoots: fetchRootsOf(deps),
    tellOwner: createTeller(device, log),
  });
  const done = new Set<string>();

  /** Follows the redirection to S3. */
  const download = async ({ artifacts: [artifact] }: Chunk, trusted: Trusted) => {
    const response = await call('GET', artifact?._links['download']?.href ?? '');
    await trust.verifyBytes(trusted, response.body ?? noBytes());
  };

  const install = async (href: string) => {
    const { id, deployment } = await json<Deployment>(href);
    const plan = deps.plan(id);
    if (plan.fate === 'ignores_silently' || done.has(id)) return;
    const chunk = deployment.chunks[0] ?? { artifacts: [] };
    await trust.renewRoot();
    const trusted = await unlessRefused(trust.verify(chunk.metadata?.find(({ key }) => key === 'manifest')?.value));
    if (trusted instanceof Refused) return feedback('deploymentBase', id, 'rejected', 'none', [trusted.message]);
    await feedback('deploymentBase', id, 'proceeding', 'none');
    const trouble = await unlessRefused(download(chunk, trusted));
    if (trouble) return feedback('deploymentBase', id, 'closed', 'failure', [trouble.message]);
    await sleep(plan.install_ms);
    if (plan.fate === 'fails') return feedback('deploymentBase', id, 'closed', 'failure', [plan.failure]);
    if (plan.fate !== 'lies') {
      device.version = trusted.manifest.version;
      trust.remember(trusted);
    }
    if (plan.fate !== 'installs_silently') return feedback('deploymentBase', id, 'closed', 'success');
    done.add(id);
  };

  while (!signal.aborted) {
    let waitMs = retryMs;
    try {
      await trust.watchRoot();
      const { config, _links = {} } = await json<Answer>(deps.url);
      const [hours = 0, minutes = 0, seconds = 0] = (config?.polling?.sleep ?? '00:00:05').split(':').map(Number);
      waitMs = ((hours * 60 + minutes) * 60 + seconds) * 1_000;
      if (_links['configData']) {
        const data = { [`${device.hardware_type}_version`]: device.version };
        await (await call('PUT', _links['configData'].href, { mode: 'merge', data })).arrayBuffer();
      }
      if (_links['cancelAction']) {
        const { id } = await json<{ id: string }>(_links['cancelAction'].href);
        await feedback('cancelAction', id, 'closed', 'success');
      } else if (_links['deploymentBase']) {
        await install(_links['deploymentBase'].href);
        waitMs = 0;
      }
    } catch (error) {
      if (!signal.aborted) log({ msg: 'iot_device.error', external_id: device.external_id, error: String(error) });
    }
    // A pause of 0 would make a polling loop without rest.
    await sleep(Math.max(waitMs, 250));
  }
}

const createCalls = ({ token }: IotDevice, { url, signal }: Pick<IotDeviceDeps, 'url' | 'signal'>) => {
  const call = async (method: string, href: string, body?: unknown): Promise<Response> => {
    const response = await fetch(href, {
      method,
      headers: { authorization: `TargetToken ${token}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(callTimeoutMs)]),
    });
    if (!response.ok) throw new Error(`${method} ${new URL(href).pathname.split('/').slice(5).join('/')}: ${response.status}`);
    return response;
  };
  return {
    call,
    json: async <Body>(href: string): Promise<Body> => (await (await call('GET', href)).json()) as Body,
    feedback: async (route: string, id: string, execution: string, finished: string, details: string[] = []): Promise<void> => {
      const body = { id, status: { execution, result: { finished }, details } };
      await (await call('POST', `${url}/${route}/${id}/feedback`, body)).arrayBuffer();
    },
  };
};

/** Anybody may read them: no token. */
const fetchRootsOf =
  ({ apiUrl, signal }: Pick<IotDeviceDeps, 'apiUrl' | 'signal'>) =>
  async (afterVersion: number): Promise<SignedRoot[]> => {
    const response = await fetch(`${apiUrl}/v1/author-roots?after_version=${afterVersion}`, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(callTimeoutMs)]),
    });
    if (!response.ok) throw new Error(`author roots: ${response.status}`);
    return ((await response.json()) as { items: { document: SignedRoot }[] }).items.map(({ document }) => document);
  };

/** A simulated device has no screen, so its owner reads the log. The same text is told once. */
const createTeller = ({ kind, external_id }: IotDevice, log: IotDeviceDeps['log']) => {
  let told = '';
  return (text: string) => {
    if (text !== told) log({ msg: 'iot_device.tells_owner', kind, external_id, text });
    told = text;
  };
};

const unlessRefused = async <T>(work: Promise<T>): Promise<T | Refused> => {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Refused) return error;
    throw error;
  }
};
