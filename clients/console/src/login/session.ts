// Who is logged in. The access token lives here, in memory, and nowhere else: a reload of the page asks the issuer again.
import * as oauth from 'oauth4webapi';
import { pageUrl, settings } from '../settings.ts';
import { type Granted, readClaims } from './claims.ts';

/** The token has ended and cannot be renewed without leaving the page. */
export class LoginEnded extends Error {
  override readonly name = 'LoginEnded';
}

export interface Session {
  /** To be asked before each request. Renews the token where the issuer has given something to renew it with. */
  token(): Promise<string>;
  /** The service has refused the token, whatever its time says. */
  reject(): void;
  who: string;
  subject: string | undefined;
  scopes: ReadonlySet<string>;
}

interface Login extends Granted {
  token: string;
  /** Milliseconds since 1970; null: the issuer does not say. */
  expiresAt: number | null;
  refreshToken: string | undefined;
}

interface Issuer {
  server: oauth.AuthorizationServer;
  client: oauth.Client;
  http: { [oauth.allowInsecureRequests]?: boolean };
}

/** What has to outlive the way to the issuer and back. No token is in it. */
interface Departure {
  state: string;
  verifier: string;
  /** Where in the console somebody was. */
  hash: string;
}

const departureKey = 'scooters-updater.login';
const apiScopes = ['read', 'firmware:write', 'devices:write', 'updates:write'];
/** Asked for where the issuer knows them; a console works without. */
const furtherScopes = ['updates:approve', 'audit:read', 'offline_access'];
const renewalMilliseconds = 30_000;

const discover = async (): Promise<Issuer> => {
  const address = new URL(settings.issuer);
  // Only on this machine; the library refuses http: elsewhere.
  const isLocal = ['127.0.0.1', '[::1]', 'localhost'].includes(address.hostname);
  const http = isLocal ? { [oauth.allowInsecureRequests]: true } : {};
  const server = await oauth.processDiscoveryResponse(address, await oauth.discoveryRequest(address, http));
  return { server, client: { client_id: settings.clientId }, http };
};

/** Leaves the page for the issuer's, which sends the browser back here with a code (authorization code with PKCE). */
export const goToIssuer = async (): Promise<never> => {
  const { server } = await discover();
  if (!server.authorization_endpoint) throw new Error(`${settings.issuer} has no page to log in at`);
  const departure: Departure = { state: oauth.generateRandomState(), verifier: oauth.generateRandomCodeVerifier(), hash: location.hash };
  sessionStorage.setItem(departureKey, JSON.stringify(departure));
  const page = new URL(server.authorization_endpoint);
  const parameters = {
    ...{ response_type: 'code', client_id: settings.clientId, redirect_uri: pageUrl, state: departure.state },
    scope: settings.scopes || [...apiScopes, ...furtherScopes.filter((scope) => server.scopes_supported?.includes(scope))].join(' '),
    audience: settings.audience,
    ...{ code_challenge: await oauth.calculatePKCECodeChallenge(departure.verifier), code_challenge_method: 'S256' },
  };
  for (const [name, value] of Object.entries(parameters)) page.searchParams.set(name, value);
  location.assign(page);
  return new Promise<never>(() => {});
};

/** Somebody has just come back from the issuer. */
const findDeparture = (): Departure | undefined => {
  const departure = JSON.parse(sessionStorage.getItem(departureKey) ?? 'null') as Departure | null;
  const isBack = departure !== null && new URLSearchParams(location.search).get('state') === departure.state;
  return isBack ? departure : undefined;
};

/**
 * The session of whoever has just logged in; undefined: nobody has, and the issuer has to be asked.
 *
 * @throws what the issuer says, for example `access_denied`.
 */
export const openSession = async (): Promise<Session | undefined> => {
  const departure = findDeparture();
  if (!departure) return undefined;
  const answer = new URL(location.href);
  sessionStorage.removeItem(departureKey);
  history.replaceState(null, '', `${pageUrl}${departure.hash}`);
  const issuer = await discover();
  const { server, client, http } = issuer;
  const parameters = oauth.validateAuthResponse(server, client, answer, departure.state);
  const { verifier } = departure;
  const response = await oauth.authorizationCodeGrantRequest(server, client, oauth.None(), parameters, pageUrl, verifier, http);
  return createSession(issuer, toLogin(await oauth.processAuthorizationCodeResponse(server, client, response)));
};

const createSession = (issuer: Issuer, first: Login): Session => {
  let login = first;
  let renewal: Promise<Login> | undefined;
  const isFresh = () => login.expiresAt === null || login.expiresAt - Date.now() > renewalMilliseconds;
  return {
    async token() {
      if (isFresh()) return login.token;
      renewal ??= renew(issuer, login.refreshToken).finally(() => {
        renewal = undefined;
      });
      login = await renewal;
      return login.token;
    },
    reject() {
      login = { ...login, expiresAt: 0 };
    },
    who: first.who,
    subject: first.subject,
    scopes: first.scopes,
  };
};

const renew = async ({ server, client, http }: Issuer, refreshToken: string | undefined): Promise<Login> => {
  if (refreshToken === undefined) throw new LoginEnded();
  try {
    const response = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), refreshToken, http);
    const login = toLogin(await oauth.processRefreshTokenResponse(server, client, response));
    return { ...login, refreshToken: login.refreshToken ?? refreshToken };
  } catch (cause) {
    if (cause instanceof oauth.ResponseBodyError) throw new LoginEnded('', { cause });
    throw cause; // the issuer cannot be reached: later perhaps
  }
};

const toLogin = (answer: oauth.TokenEndpointResponse): Login => ({
  token: answer.access_token,
  expiresAt: answer.expires_in === undefined ? null : Date.now() + answer.expires_in * 1_000,
  refreshToken: answer.refresh_token,
  ...readClaims(answer.access_token, answer.scope),
});
