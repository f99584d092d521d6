import * as oauth from 'oauth4webapi';
import { CommandError, exitCodes } from '../exit-codes.ts';
import { keepLogin, type Login } from '../logins.ts';
import { discoverIssuer, messageOf, toLogin } from './issuer.ts';

/**
 * A new token for a login whose token has run out.
 *
 * @throws CommandError (login needed) when there is nothing to renew it with, or the issuer refuses.
 */
export const renewLogin = async (url: string, login: Login): Promise<Login> => {
  const { issuer, client_id: clientId, refresh_token } = login;
  if (!issuer || !clientId || !refresh_token)
    throw new CommandError('Your login has run out. Log in again: scu login', exitCodes.loginNeeded);
  const found = await discoverIssuer({ issuer, clientId });
  try {
    const response = await oauth.refreshTokenGrantRequest(found.server, found.client, oauth.None(), refresh_token, found.http);
    const answer = await oauth.processRefreshTokenResponse(found.server, found.client, response);
    const renewed = toLogin(found, answer);
    // An issuer that gives no new one means the old one to be used again.
    renewed.refresh_token ??= refresh_token;
    keepLogin(url, renewed);
    return renewed;
  } catch (cause) {
    throw new CommandError(`Your login has run out (${messageOf(cause)}). Log in again: scu login`, exitCodes.loginNeeded, { cause });
  }
};

/** Tells the issuer that nobody uses this login any more, where it wants to know. */
export const revokeLogin = async ({ issuer, client_id: clientId, refresh_token, token }: Login): Promise<void> => {
  if (!issuer || !clientId) return;
  const { server, client, http } = await discoverIssuer({ issuer, clientId });
  if (!server.revocation_endpoint) return;
  await oauth.processRevocationResponse(await oauth.revocationRequest(server, client, oauth.None(), refresh_token ?? token, http));
};
