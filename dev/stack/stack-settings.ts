// What a stack keeps from run to run: its local credentials and where its parts listen.
import { randomBytes } from 'node:crypto';
import { readPrivateJson, writePrivateFile } from '../../ops/private-file.ts';
import { freePort, isPortFreeSoon } from './free-port.ts';

const PORT_NAMES = ['api', 'lambda', 'postgres', 's3', 'sqs', 'identity', 'simulator'] as const;
type PortName = (typeof PORT_NAMES)[number];
export type Ports = Record<PortName, number>;

export interface StackSettings {
  access_key_id: string;
  secret_access_key: string;
  ports: Ports;
}

/**
 * The keys of the last run, and its ports if they are still free, so that links that were signed then stay valid. If the caller wants the port of
 * another part for the API, that part gets a new one.
 *
 * @throws when nobody can listen on the port that was asked for.
 */
export async function settleStackSettings(file: string, apiPort: number | undefined): Promise<StackSettings> {
  const last = readPrivateJson<Partial<StackSettings>>(file);
  if (apiPort !== undefined) await checkAskedFor(apiPort);
  const settings = {
    access_key_id: last?.access_key_id ?? `LOCAL${randomBytes(8).toString('hex').toUpperCase()}`,
    secret_access_key: last?.secret_access_key ?? randomBytes(30).toString('base64url'),
    ports: await choosePorts({ ...last?.ports, ...(apiPort !== undefined && { api: apiPort }) }),
  };
  writePrivateFile(file, `${JSON.stringify(settings, null, 2)}\n`);
  return settings;
}

async function checkAskedFor(port: number): Promise<void> {
  const instead = 'Choose another one with --port, or leave the option out for any free port.';
  try {
    if (await isPortFreeSoon(port)) return;
  } catch (cause) {
    throw new Error(`Port ${port} cannot be used by this user (${(cause as NodeJS.ErrnoException).code}). ${instead}`, { cause });
  }
  throw new Error(`Port ${port} is taken by another program. ${instead}`);
}

/** Chooses a different port for each part; if two want the same port, the first one gets it. */
async function choosePorts(wanted: Partial<Ports>): Promise<Ports> {
  const usable = await Promise.all(
    PORT_NAMES.map(async (name, index) => {
      const port = wanted[name];
      const isFirst = !PORT_NAMES.slice(0, index).some((earlier) => wanted[earlier] === port);
      return port !== undefined && isFirst && (await isPortFreeSoon(port).catch(() => false)) ? ([name, port] as const) : undefined;
    }),
  );
  const chosen = new Map<PortName, number>(usable.filter((entry) => entry !== undefined));
  for (const name of PORT_NAMES) if (!chosen.has(name)) chosen.set(name, await freePortBeside(new Set(chosen.values())));
  return Object.fromEntries(chosen) as Ports;
}

async function freePortBeside(taken: ReadonlySet<number>): Promise<number> {
  for (;;) {
    const port = await freePort();
    if (!taken.has(port)) return port;
  }
}
