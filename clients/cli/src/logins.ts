import { homedir } from 'node:os';
import { join } from 'node:path';
import { readJson, writePrivateJson } from './private-file.ts';

/** What `scu login` has kept of one service. */
export interface Login {
  token: string;
  /** Milliseconds since 1970; null: not known. */
  expires_at: number | null;
  refresh_token?: string | undefined;
  /** Who gave it; without it the token was brought by hand. */
  issuer?: string | undefined;
  client_id?: string | undefined;
}

interface Logins {
  /** The address of the service that commands talk to unless they are told another. */
  current: string | null;
  services: Record<string, Login>;
}

const fileOf = (env: NodeJS.ProcessEnv): string =>
  join(env['XDG_CONFIG_HOME'] || join(env['HOME'] || homedir(), '.config'), 'scu', 'config.json');

export const readLogins = (env = process.env): Logins => readJson<Logins>(fileOf(env)) ?? { current: null, services: {} };

export const keepLogin = (url: string, login: Login, env = process.env): void => {
  const { services } = readLogins(env);
  writePrivateJson(fileOf(env), { current: url, services: { ...services, [url]: login } } satisfies Logins);
};

/** Answers what was forgotten. */
export const forgetLogin = (url: string, env = process.env): Login | undefined => {
  const { current, services } = readLogins(env);
  const { [url]: forgotten, ...others } = services;
  if (forgotten) writePrivateJson(fileOf(env), { current: current === url ? null : current, services: others } satisfies Logins);
  return forgotten;
};
