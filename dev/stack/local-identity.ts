// The identity provider of a local stack: a key pair, its public half as a JWKS, tokens, and how somebody logs in.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { calculateJwkThumbprint, exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from 'jose';
import { scopes as everyScope } from '../../lib/http/authenticate.ts';
import { readPrivateJson, writePrivateFile } from '../../ops/private-file.ts';
import { createSignIn } from './local-sign-in.ts';

const AUDIENCE = 'scooters-updater-local';
/** The user who logs in with a browser. */
const LOCAL_PERSON = 'local-engineer';

export interface LocalIdentity {
  /** Its address on this machine. No real issuer has this address, so a token from here is worthless elsewhere. */
  issuer: string;
  audience: string;
  jwks_url: string;
  /** By default with every scope, for twelve hours. */
  token(options: { subject: string; scopes?: readonly string[]; expiresIn?: string }): Promise<string>;
  close(): Promise<void>;
}

/** With a file the key pair is kept there, so that tokens of the last run still work. A port of 0, the default, means any free one. */
export async function startLocalIdentity({
  file,
  port = 0,
  host = '127.0.0.1',
}: {
  file?: string;
  port?: number;
  host?: string;
} = {}): Promise<LocalIdentity> {
  const jwk = (file === undefined ? undefined : readPrivateJson<JWK>(file)) ?? (await newKey());
  if (file !== undefined) writePrivateFile(file, JSON.stringify(jwk));
  const key = await importJWK(jwk, 'ES256');
  const { d: _private, ...publicKey } = jwk;
  const document = JSON.stringify({ keys: [publicKey] });

  const server = createServer().listen(port, host);
  await once(server, 'listening');
  const issuer = `http://${host}:${(server.address() as AddressInfo).port}`;
  const jwks_url = `${issuer}/.well-known/jwks.json`;
  const token: LocalIdentity['token'] = ({ subject, scopes = everyScope, expiresIn = '12h' }) =>
    new SignJWT({ scope: scopes.join(' ') })
      .setProtectedHeader({ alg: 'ES256', kid: jwk.kid ?? '', typ: 'JWT' })
      .setIssuer(issuer)
      .setAudience(AUDIENCE)
      .setSubject(subject)
      .setIssuedAt()
      .setExpirationTime(expiresIn)
      .sign(key);
  const signIn = createSignIn({
    ...{ issuer, jwks_url, scopes: everyScope },
    makeToken: (options) => token({ subject: LOCAL_PERSON, ...options }),
  });
  server.on('request', async (request, response) => {
    if (await signIn(request, response)) return;
    const isKnown = request.url === '/.well-known/jwks.json';
    response.writeHead(isKnown ? 200 : 404, { 'content-type': 'application/json' }).end(isKnown ? document : '{}');
  });

  return {
    issuer,
    audience: AUDIENCE,
    jwks_url,
    token,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

async function newKey(): Promise<JWK> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const jwk = await exportJWK(privateKey);
  return { ...jwk, kid: await calculateJwkThumbprint(jwk), alg: 'ES256', use: 'sig' };
}
