import { readFileSync } from 'node:fs';
import { CommandError, exitCodes, UsageError } from './exit-codes.ts';
import { findLocalStack } from './local-stack.ts';
import { type Login, readLogins } from './logins.ts';

type TokenSource = 'SCU_TOKEN' | 'SCU_TOKEN_FILE' | 'npm start' | 'login';

/** With whom commands talk, and as whom. */
export interface Session {
  url: string;
  /** Asked before each request. */
  token: (() => string | Promise<string>) | undefined;
  tokenFrom: TokenSource | null;
}

/**
 * The address: --url, SCU_URL, the stack that `npm start` runs in this folder, the service that was logged in to last. The token: SCU_TOKEN,
 * SCU_TOKEN_FILE, that of the stack, that of the login at this address.
 *
 * A running stack comes before a login: what is pasted beside `npm start` must never reach the fleet on the street.
 */
export const findSession = (wanted: string | undefined, env = process.env): Session => {
  const stack = findLocalStack();
  const { current, services } = readLogins(env);
  const address = wanted ?? env['SCU_URL'] ?? stack?.api_url ?? current;
  if (!address) throw new CommandError('Which service? Log in: scu login --url https://…, or set SCU_URL.', exitCodes.loginNeeded);
  const url = cleanAddress(address);
  const { SCU_TOKEN: token, SCU_TOKEN_FILE: file } = env;
  if (token) return { url, token: () => token.trim(), tokenFrom: 'SCU_TOKEN' };
  if (file) return { url, token: () => readFileSync(file, 'utf8').trim(), tokenFrom: 'SCU_TOKEN_FILE' };
  if (stack && url === cleanAddress(stack.api_url)) return { url, token: () => stack.token, tokenFrom: 'npm start' };
  const login = services[url];
  return { url, token: login && (() => currentToken(url, login)), tokenFrom: login ? 'login' : null };
};

export const cleanAddress = (address: string): string => {
  if (!/^https?:\/\//.test(address) || !URL.canParse(address)) throw new UsageError(`${address} is no address: it begins with https://`);
  return address.replace(/\/+$/, '');
};

const renewalSeconds = 30;

/** Renewed where the issuer has given something to renew it with. */
const currentToken = async (url: string, login: Login): Promise<string> => {
  if (login.expires_at === null || login.expires_at - Date.now() > renewalSeconds * 1_000) return login.token;
  const { renewLogin } = await import('./login/renew-login.ts');
  const renewed = await renewLogin(url, login);
  login.token = renewed.token;
  login.expires_at = renewed.expires_at;
  login.refresh_token = renewed.refresh_token;
  return renewed.token;
};
