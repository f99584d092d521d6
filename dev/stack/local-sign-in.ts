// The login of a local stack's identity provider: OpenID Connect Discovery, authorization code with PKCE, device code and refresh token. It
// accepts everybody at once, because anybody who reaches loopback may do everything here anyway.
import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { text as textOf } from 'node:stream/consumers';

export interface SignIn {
  issuer: string;
  jwks_url: string;
  scopes: readonly string[];
  makeToken(options: { scopes: readonly string[]; expiresIn: string }): Promise<string>;
}

interface Promised {
  scopes: readonly string[];
  /** Of an authorization code. */
  proof?: { redirect_uri: string; code_challenge: string };
  /** Of a device code: the user has not confirmed it yet. */
  isPending?: boolean;
}

const lifetimeSeconds = 3_600;
const deviceCodeGrant = 'urn:ietf:params:oauth:grant-type:device_code';

/** Answers requests below the issuer's address; false: the request is for something else. */
export const createSignIn = ({ issuer, jwks_url, scopes, makeToken }: SignIn) => {
  const promised = new Map<string, Promised>();
  const promise = (what: Promised): string => {
    const code = randomBytes(24).toString('base64url');
    promised.set(code, what);
    return code;
  };
  const chosen = (scope: string | null): readonly string[] => {
    const asked = scope?.split(' ').filter((each) => scopes.includes(each)) ?? [];
    return asked.length > 0 ? asked : scopes;
  };

  const document = {
    issuer,
    jwks_uri: jwks_url,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    device_authorization_endpoint: `${issuer}/device_authorization`,
    response_types_supported: ['code'],
    grant_types_supported: ['authorization_code', 'refresh_token', deviceCodeGrant],
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['none'],
    scopes_supported: [...scopes, 'offline_access'],
    authorization_response_iss_parameter_supported: true,
  };

  const authorize = (query: URLSearchParams, response: ServerResponse): void => {
    const back = callbackOf(query);
    const code_challenge = query.get('code_challenge');
    if (back && code_challenge && query.get('code_challenge_method') === 'S256') {
      const code = promise({
        scopes: chosen(query.get('scope')),
        proof: { redirect_uri: query.get('redirect_uri') ?? '', code_challenge },
      });
      for (const [name, value] of Object.entries({ code, state: query.get('state') ?? '', iss: issuer }))
        back.searchParams.set(name, value);
      response.writeHead(302, { location: back.href }).end();
    } else answer(response, 400, { error: 'invalid_request', error_description: 'a redirect_uri on loopback and PKCE are needed' });
  };

  const token = async (form: URLSearchParams, response: ServerResponse): Promise<void> => {
    const grant = form.get('grant_type') ?? '';
    const name = { authorization_code: 'code', refresh_token: 'refresh_token', [deviceCodeGrant]: 'device_code' }[grant];
    if (name === undefined) return answer(response, 400, { error: 'unsupported_grant_type' });
    const code = form.get(name) ?? '';
    const found = promised.get(code);
    if (found?.isPending) {
      promised.set(code, { ...found, isPending: false });
      return answer(response, 400, { error: 'authorization_pending' });
    }
    promised.delete(code);
    if (!found || !isProven(found, form)) return answer(response, 400, { error: 'invalid_grant' });
    answer(response, 200, {
      access_token: await makeToken({ scopes: found.scopes, expiresIn: `${lifetimeSeconds}s` }),
      ...{ token_type: 'Bearer', expires_in: lifetimeSeconds, scope: found.scopes.join(' ') },
      refresh_token: promise({ scopes: found.scopes }),
    });
  };

  return async (request: IncomingMessage, response: ServerResponse): Promise<boolean> => {
    allowLoopbackPages(request, response);
    const { pathname, searchParams } = new URL(request.url ?? '/', issuer);
    const route = `${request.method} ${pathname}`;
    if (request.method === 'OPTIONS') response.writeHead(204).end();
    else if (route === 'GET /.well-known/openid-configuration') answer(response, 200, document);
    else if (route === 'GET /authorize') authorize(searchParams, response);
    else if (route === 'POST /token') await token(new URLSearchParams(await textOf(request)), response);
    else if (route === 'POST /device_authorization') {
      const scope = new URLSearchParams(await textOf(request)).get('scope');
      const device_code = promise({ scopes: chosen(scope), isPending: true });
      answer(response, 200, { device_code, user_code: 'LOCAL', verification_uri: `${issuer}/device`, expires_in: 600, interval: 1 });
    } else return false;
    return true;
  };
};

/** Only addresses on loopback: a page of another site must not get a code by sending a browser here. */
const callbackOf = (query: URLSearchParams): URL | undefined => {
  const address = query.get('redirect_uri') ?? '';
  return URL.canParse(address) && isLoopback(new URL(address)) ? new URL(address) : undefined;
};

/** Whether the code is used by the client that has asked for it. */
const isProven = ({ proof }: Promised, form: URLSearchParams): boolean =>
  proof === undefined ||
  (form.get('redirect_uri') === proof.redirect_uri &&
    createHash('sha256')
      .update(form.get('code_verifier') ?? '')
      .digest('base64url') === proof.code_challenge);

const isLoopback = ({ hostname }: URL): boolean => ['127.0.0.1', '[::1]', 'localhost'].includes(hostname);

/** The console on another port of this machine may read the answers. */
const allowLoopbackPages = ({ headers: { origin } }: IncomingMessage, response: ServerResponse): void => {
  if (origin === undefined || !URL.canParse(origin) || !isLoopback(new URL(origin))) return;
  response.setHeader('access-control-allow-origin', origin);
  response.setHeader('access-control-allow-headers', 'authorization, content-type');
};

const answer = (response: ServerResponse, status: number, body: unknown): void => {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(JSON.stringify(body));
};
