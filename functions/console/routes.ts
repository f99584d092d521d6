import * as z from 'zod/mini';
import { defineRoute } from '../../lib/http/route.ts';

/** What an issuer adds to the address of the page when somebody comes back from logging in; the page reads it, the function does not. */
const FromIssuer = z.looseObject({
  code: z.optional(z.string()),
  state: z.optional(z.string()),
  error: z.optional(z.string()),
});

export const consoleRoute = defineRoute({
  operationId: 'getConsolePage',
  method: 'GET',
  path: '/console',
  tag: 'Service',
  scope: null,
  summary: 'The web console, for people',
  description:
    'A page in which somebody logs in at the issuer of the tokens. The query is what an issuer sends back; any other is taken too.',
  query: FromIssuer,
  responses: { 200: { description: 'HTML', body: null, contentTypes: ['text/html'] } },
  problems: [404],
});

export const consoleAssetRoute = defineRoute({
  operationId: 'getConsoleAsset',
  method: 'GET',
  path: '/console/{asset}',
  tag: 'Service',
  scope: null,
  summary: 'Script and style of the console',
  description: 'A name contains a hash of what is in the file, so that an answer may be kept for ever.',
  pathParameters: z.object({ asset: z.string().check(z.regex(/^[a-z-]{1,40}-[A-Z0-9]{8}\.(js|css)$/)) }),
  responses: { 200: { description: 'JavaScript or CSS', body: null, contentTypes: ['text/javascript', 'text/css'] } },
  problems: [404],
});
