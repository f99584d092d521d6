import * as oauth from 'oauth4webapi';
import { CommandError, exitCodes } from '../exit-codes.ts';
import type { Login } from '../logins.ts';

/** Whom the caller logs in with, and as which program. */
export interface IssuerOptions {
  issuer: string;
  clientId: string;
  audience?: string | undefined;
  scope?: string | undefined;
}

export interface Issuer extends IssuerOptions {
  server: oauth.AuthorizationServer;
  client: oauth.Client;
  /** Every request to the issuer takes them. */
  http: { [oauth.allowInsecureRequests]?: boolean; signal?: AbortSignal };
}

const timeoutMilliseconds = 30_000;
const scopes = ['read', 'firmware:write', 'devices:write', 'updates:write'];

/** Reads what the issuer says of itself (OpenID Connect Discovery). */
export const discoverIssuer = async (options: IssuerOptions, signal?: AbortSignal): Promise<Issuer> => {
  const address = new URL(options.issuer);
  const timeout = AbortSignal.timeout(timeoutMilliseconds);
  const http = {
    signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    // Only on this machine; oauth4webapi refuses http: elsewhere.
    ...(isLoopback(address) && { [oauth.allowInsecureRequests]: true }),
  };
  try {
    const answer = await oauth.discoveryRequest(address, http);
    const server = await oauth.processDiscoveryResponse(address, answer);
    return { ...options, server, client: { client_id: options.clientId }, http: { ...http, ...(signal ? { signal } : {}) } };
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    throw new CommandError(`The issuer ${options.issuer} cannot be used: ${messageOf(cause)}`, exitCodes.error, { cause });
  }
};

export const isLoopback = ({ hostname }: URL): boolean => ['127.0.0.1', '[::1]', 'localhost'].includes(hostname);

/** `offline_access` is what makes many issuers give a token to renew it with. */
export const scopeOf = ({ scope, server }: Issuer): string =>
  scope ?? [...scopes, ...(server.scopes_supported?.includes('offline_access') ? ['offline_access'] : [])].join(' ');

export const toLogin = (issuer: Issuer, answer: oauth.TokenEndpointResponse): Login => ({
  token: answer.access_token,
  expires_at: answer.expires_in === undefined ? null : Date.now() + answer.expires_in * 1_000,
  refresh_token: answer.refresh_token,
  issuer: issuer.issuer,
  client_id: issuer.clientId,
});

/** The libraries' errors name a code; what the issuer says to people is beside it. */
export const messageOf = (error: unknown): string => {
  if (error instanceof oauth.ResponseBodyError || error instanceof oauth.AuthorizationResponseError)
    return error.error_description ? `${error.error}: ${error.error_description}` : error.error;
  const { message, cause } = error as Error;
  return cause instanceof Error && cause.message !== '' ? `${message} (${cause.message})` : message;
};
