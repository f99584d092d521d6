import type { Command } from 'commander';
import { action, addCommand } from '../command.ts';
import { CommandError, exitCodes, UsageError } from '../exit-codes.ts';
import { formatTime } from '../format.ts';
import { readText } from '../input.ts';
import { findLocalStack } from '../local-stack.ts';
import { forgetLogin, keepLogin, type Login, readLogins } from '../logins.ts';
import { cleanAddress, findSession } from '../session.ts';
import { readClaims } from '../token-claims.ts';

interface LoginOptions {
  url?: string;
  issuer?: string;
  clientId: string;
  audience?: string;
  scope?: string;
  device?: boolean;
  withToken?: boolean;
}

/** `scu login`, `logout`, `whoami`. */
export const addSessionCommands = (program: Command): void => {
  addCommand(program, 'login', {
    summary: 'log in to a service',
    details:
      'Opens the page of the identity provider in your browser. The token is kept in $XDG_CONFIG_HOME/scu/config.json, which only you may read.\n' +
      'In pipelines there is nothing to log in: set SCU_URL, and SCU_TOKEN or SCU_TOKEN_FILE.',
    examples: [
      'scu login --url https://updates.example.com/prod --issuer https://login.example.com',
      'scu login --url https://updates.example.com/prod --with-token < token.txt',
    ],
  })
    .option('--issuer <address>', 'the identity provider (SCU_ISSUER); kept for the next time')
    .option('--client-id <id>', 'as which program you log in there', process.env['SCU_CLIENT_ID'] ?? 'scu')
    .option('--audience <name>', 'for which service the token is to be', process.env['SCU_AUDIENCE'])
    .option('--scope <scopes>', 'what you want to be allowed')
    .option('--device', 'log in on another device, where the identity provider offers that')
    .option('--with-token', 'take a token from standard input')
    .action(
      action<LoginOptions>(async (context, options) => {
        const url = addressToLogInTo(options.url);
        const login = await logIn(url, options, context);
        await expectToken(url, login, context);
        keepLogin(url, login);
        const { subject = null } = readClaims(login.token) ?? {};
        await context.output.item({ url, subject }, () => [`Logged in to ${url}${subject === null ? '' : ` as ${subject}`}.`]);
      }),
    );
  addCommand(program, 'logout', {
    summary: 'forget the login of a service',
    examples: ['scu logout'],
  }).action(
    action<{ url?: string }>(async ({ output }, options) => {
      const url = cleanAddress(options.url ?? process.env['SCU_URL'] ?? readLogins().current ?? noLogin());
      const login = forgetLogin(url) ?? noLogin();
      const { revokeLogin } = await import('../login/renew-login.ts');
      // The token is forgotten, whether or not its issuer can be told.
      await revokeLogin(login).catch(() => {});
      await output.item({ url }, () => [`Logged out of ${url}.`]);
    }),
  );
  addCommand(program, 'whoami', {
    summary: 'show the service, your name there, and what your token allows',
    examples: ['scu whoami'],
  }).action(
    action(async ({ output, session }) => {
      const { url, token, tokenFrom } = session();
      const claims = token && readClaims(await token());
      await output.item({ url, token_from: tokenFrom, ...claims }, () =>
        output.fields({
          service: url,
          token: tokenFrom === null ? 'none: scu login' : `from ${tokenFrom}`,
          subject: claims?.subject,
          scopes: claims?.scopes.join(' '),
          issuer: claims?.issuer,
          expires: formatTime(claims?.expires_dt),
        }),
      );
      return token ? exitCodes.done : exitCodes.loginNeeded;
    }),
  );
};

const noLogin = (): never => {
  throw new CommandError('You are not logged in.', exitCodes.loginNeeded);
};

const addressToLogInTo = (wanted: string | undefined): string => {
  try {
    return findSession(wanted).url;
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError('Which service? Name it: scu login --url https://…');
  }
};

const logIn = async (
  url: string,
  options: LoginOptions,
  { signal, progress }: { signal: AbortSignal; progress: { note(text: string): void } },
) => {
  if (options.withToken) return loginOf((await readText('-')).trim());
  const stack = findLocalStack();
  const issuer =
    options.issuer ??
    process.env['SCU_ISSUER'] ??
    readLogins().services[url]?.issuer ??
    (stack && cleanAddress(stack.api_url) === url ? stack.issuer : undefined);
  if (issuer === undefined) throw new UsageError('Whom do you log in with? Name the identity provider: --issuer https://…');
  const { discoverIssuer } = await import('../login/issuer.ts');
  const { clientId, audience, scope } = options;
  const found = await discoverIssuer({ issuer, clientId, audience, scope }, signal);
  const way = { signal, tell: (text: string) => progress.note(text) };
  if (options.device) return (await import('../login/device-login.ts')).logInByDevice(found, way);
  return (await import('../login/browser-login.ts')).logInByBrowser(found, way);
};

const loginOf = (token: string): Login => {
  if (token === '') throw new UsageError('Standard input holds no token');
  const { expires_dt = null } = readClaims(token) ?? {};
  return { token, expires_at: expires_dt === null ? null : Date.parse(expires_dt) };
};

/** A token that the service does not take is not kept. */
const expectToken = async (url: string, { token }: Login, { signal }: { signal: AbortSignal }): Promise<void> => {
  const { createClient } = await import('../../../api/src/index.ts');
  await createClient({ url, token, signal, attempts: 2 }).listHardwareTypes({ limit: 1 });
};
