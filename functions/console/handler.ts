import { DomainError } from '../../lib/errors.ts';
import { endpoint, type HttpDeps, operation } from '../../lib/http/endpoint.ts';
import { consoleAssetRoute, consoleRoute } from './routes.ts';

/** What the page has to know before a user logs in. None of it is secret. */
export interface ConsoleSettings {
  issuer: string;
  audience: string;
  /** The client id with which the page logs people in; empty: logging in is not set up. */
  clientId: string;
  /** Separated by spaces, as the issuer names them; empty: those of the API. */
  scopes: string;
}

export interface ConsoleDeps {
  settings: ConsoleSettings;
  /** Origins, besides its own, to which the page sends requests: the issuer's, and that of the storage to which files are uploaded. */
  connectsTo: readonly string[];
  /** The text of a file of the built console; undefined: there is none of this name. */
  readAsset(name: string): Promise<string | undefined>;
}

const contentTypes: Readonly<Record<string, string>> = { js: 'text/javascript', css: 'text/css', html: 'text/html' };

export const createHandler = (deps: HttpDeps & ConsoleDeps) => {
  const policy = [
    "default-src 'none'",
    "script-src 'self'",
    "worker-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    `connect-src 'self' ${deps.connectsTo.join(' ')}`.trim(),
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
  const answer = (name: string, text: string, cacheControl: string) => ({
    statusCode: 200,
    headers: {
      'content-type': `${contentTypes[name.split('.').at(-1) ?? '']}; charset=utf-8`,
      'cache-control': cacheControl,
      'content-security-policy': policy,
      'cross-origin-opener-policy': 'same-origin',
      // For a moment the page's address has a code of the issuer, which must not be sent to other sites.
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
    },
    body: text,
  });
  const read = async (name: string): Promise<string> => {
    const text = await deps.readAsset(name);
    if (text === undefined) throw new DomainError('route.not_found', 'The console has no such file');
    return text;
  };
  return endpoint(
    operation(deps, consoleRoute, async () => {
      const page = await read('index.html');
      return answer(
        'index.html',
        page.replace('{{settings}}', () => escapeHtml(JSON.stringify(deps.settings))),
        'no-store',
      );
    }),
    operation(deps, consoleAssetRoute, async ({ path: { asset } }) =>
      answer(asset, await read(asset), 'public, max-age=31536000, immutable'),
    ),
  );
};

const escapeHtml = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
