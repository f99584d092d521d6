import { createHash } from 'node:crypto';
import type { Kind } from './contract.ts';
import type { Plan } from './fleet.ts';

/** A device that talks to the updater itself, by the protocol of lib/ddi: what it is and runs, and what happens when it installs. */
export interface IotDevice {
  kind: Kind;
  external_id: string;
  token: string;
  hardware_type: string;
  version: string;
}

export interface IotDeviceDeps {
  /** The address at which its own routes begin. */
  url: string;
  signal: AbortSignal;
  sleep(ms: number): Promise<void>;
  log(fields: Record<string, unknown>): void;
  /** How an installation will go. */
  plan(actionId: string): Plan;
  /** Stores that it runs another version now; called before the device says so. */
  installed(version: string): void;
}

interface Answer {
  config?: { polling?: { sleep?: string } };
  _links?: Record<string, { href: string } | undefined>;
}
interface Deployment {
  id: string;
  deployment: {
    chunks: {
      version: string;
      artifacts: {
        filename: string;
        size: number;
        hashes: Record<'sha1' | 'md5' | 'sha256', string>;
        _links: Record<string, { href: string }>;
      }[];
    }[];
  };
}

const callTimeoutMs = 30_000;
/** The pause after an error. */
const retryMs = 1_000;

/** Polls, installs and reports until `signal` ends it. After any error it goes on polling. */
export async function runIotDevice(device: IotDevice, deps: IotDeviceDeps): Promise<void> {
  const { url, signal, sleep, log } = deps;
  const done = new Set<string>();

  const call = async (method: string, href: string, body?: unknown): Promise<Response> => {
    const response = await fetch(href, {
      method,
      headers: { authorization: `TargetToken ${device.token}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.any([signal, AbortSignal.timeout(callTimeoutMs)]),
    });
    if (!response.ok) throw new Error(`${method} ${new URL(href).pathname.split('/').slice(5).join('/')}: ${response.status}`);
    return response;
  };
  const json = async <Body>(href: string): Promise<Body> => (await (await call('GET', href)).json()) as Body;
  const feedback = async (route: string, id: string, execution: string, finished: string, details: string[] = []) => {
    await (
      await call('POST', `${url}/${route}/${id}/feedback`, { id, status: { execution, result: { finished }, details } })
    ).arrayBuffer();
  };

  /** Downloads the whole file, following the redirection to S3, and says what is wrong with it. */
  const download = async ({ filename, size, hashes, _links }: Deployment['deployment']['chunks'][number]['artifacts'][number]) => {
    const response = await call('GET', _links['download']?.href ?? '');
    const bytes = Buffer.from(await response.arrayBuffer());
    if (bytes.byteLength !== size) return `${filename}: ${size} bytes were announced, ${bytes.byteLength} came`;
    const wrong = (['sha1', 'md5', 'sha256'] as const).find((name) => createHash(name).update(bytes).digest('hex') !== hashes[name]);
    return wrong && `${filename}: ${wrong} mismatch`;
  };

  const install = async (href: string) => {
    const { id, deployment } = await json<Deployment>(href);
    const plan = deps.plan(id);
    if (plan.fate === 'ignores_silently' || done.has(id)) return;
    await feedback('deploymentBase', id, 'proceeding', 'none');
    for (const chunk of deployment.chunks) {
      for (const artifact of chunk.artifacts) {
        const trouble = await download(artifact);
        if (trouble) return feedback('deploymentBase', id, 'closed', 'failure', [trouble]);
      }
    }
    await sleep(plan.install_ms);
    if (plan.fate === 'fails') return feedback('deploymentBase', id, 'closed', 'failure', [plan.failure]);
    const version = deployment.chunks[0]?.version ?? device.version;
    if (plan.fate !== 'lies') {
      device.version = version;
      deps.installed(version);
    }
    if (plan.fate !== 'installs_silently') return feedback('deploymentBase', id, 'closed', 'success');
    done.add(id);
  };

  while (!signal.aborted) {
    let waitMs = retryMs;
    try {
      const { config, _links = {} } = await json<Answer>(url);
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
