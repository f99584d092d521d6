import * as oauth from 'oauth4webapi';
import { wait } from '../../../api/src/index.ts';

import { CommandError, exitCodes } from '../exit-codes.ts';
import type { Login } from '../logins.ts';
import { type Issuer, messageOf, scopeOf, toLogin } from './issuer.ts';

const usualIntervalSeconds = 5;

/** Device authorization (RFC 8628): the page is opened on another device, and a code typed there. */
export const logInByDevice = async (
  issuer: Issuer,
  { tell, signal }: { tell: (text: string) => void; signal: AbortSignal },
): Promise<Login> => {
  const { server, client, http, audience } = issuer;
  if (!server.device_authorization_endpoint)
    throw new CommandError(`${issuer.issuer} does not offer --device: log in without it, or by --with-token`, exitCodes.usage);
  try {
    const parameters = { scope: scopeOf(issuer), ...(audience !== undefined && { audience }) };
    const response = await oauth.deviceAuthorizationRequest(server, client, oauth.None(), parameters, http);
    const asked = await oauth.processDeviceAuthorizationResponse(server, client, response);
    tell(`Open ${asked.verification_uri} on any device and type this code: ${asked.user_code}`);
    let seconds = asked.interval ?? usualIntervalSeconds;
    for (;;) {
      await wait(seconds, signal);
      const answer = await oauth.deviceCodeGrantRequest(server, client, oauth.None(), asked.device_code, http);
      try {
        return toLogin(issuer, await oauth.processDeviceCodeResponse(server, client, answer));
      } catch (error) {
        if (!(error instanceof oauth.ResponseBodyError)) throw error;
        if (error.error === 'slow_down') seconds += usualIntervalSeconds;
        else if (error.error !== 'authorization_pending') throw error;
      }
    }
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    if (cause instanceof CommandError) throw cause;
    throw new CommandError(`You are not logged in: ${messageOf(cause)}`, exitCodes.loginNeeded, { cause });
  }
};
