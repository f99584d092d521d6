import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import * as oauth from 'oauth4webapi';
import { CommandError, exitCodes } from '../exit-codes.ts';
import type { Login } from '../logins.ts';
import { type Issuer, messageOf, scopeOf, toLogin } from './issuer.ts';

/**
 * Authorization code with PKCE (RFC 7636, RFC 8252): the browser comes back to a port of this machine.
 *
 * @param tell shows the address, for where no browser opens by itself.
 */
export const logInByBrowser = async (
  issuer: Issuer,
  { tell, signal }: { tell: (text: string) => void; signal: AbortSignal },
): Promise<Login> => {
  const { server, client, http, audience } = issuer;
  if (!server.authorization_endpoint) throw new CommandError(`${issuer.issuer} has no page to log in at`, exitCodes.error);
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const waiting = await waitForBrowser(signal);
  try {
    const page = new URL(server.authorization_endpoint);
    const parameters = {
      ...{ response_type: 'code', client_id: client.client_id, redirect_uri: waiting.address, scope: scopeOf(issuer), state },
      ...{ code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256' },
      ...(audience !== undefined && { audience }),
    };
    for (const [name, value] of Object.entries(parameters)) page.searchParams.set(name, value);
    tell(`Log in at this page; it opens in your browser:\n${page.href}`);
    await openBrowser(page.href);
    const answer = oauth.validateAuthResponse(server, client, await waiting.answer, state);
    const response = await oauth.authorizationCodeGrantRequest(server, client, oauth.None(), answer, waiting.address, verifier, http);
    return toLogin(issuer, await oauth.processAuthorizationCodeResponse(server, client, response));
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    throw new CommandError(`You are not logged in: ${messageOf(cause)}`, exitCodes.loginNeeded, { cause });
  } finally {
    waiting.close();
  }
};

/** Listens on loopback until the browser comes back, once. */
const waitForBrowser = async (signal: AbortSignal) => {
  const { createServer } = await import('node:http');
  let arrive: (address: URL) => void = () => {};
  const answer = new Promise<URL>((resolve, reject) => {
    arrive = resolve;
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  answer.catch(() => {}); // thrown where it is awaited
  const server = createServer((request, response) => {
    const address = new URL(request.url ?? '/', 'http://127.0.0.1');
    if (address.pathname !== '/callback') {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
    response.end(
      address.searchParams.has('code')
        ? 'You are logged in. You may close this page and go back to the terminal.'
        : 'You are not logged in. The terminal says why.',
    );
    arrive(address);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/callback`,
    answer,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
};

/** By $BROWSER or what the system opens pages with. Where that does not work the address is on the screen. */
const openBrowser = async (page: string): Promise<void> => {
  const { spawn } = await import('node:child_process');
  const opener = process.env['BROWSER'] ?? { darwin: 'open', win32: 'explorer' }[process.platform as string] ?? 'xdg-open';
  const browser = spawn(opener, [page], { stdio: 'ignore', detached: true });
  browser.on('error', () => {});
  browser.unref();
};
