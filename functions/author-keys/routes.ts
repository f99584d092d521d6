import * as z from 'zod/mini';
import { AuthorKey, NewAuthorKey } from '../../lib/authors/author-key.ts';
import { AuthorRoot, RootDocument } from '../../lib/authors/root.ts';
import { PageQuery, pageOf } from '../../lib/http/page.ts';
import { IdInPath, numberInPath } from '../../lib/http/path-parameters.ts';
import { integerBetween } from '../../lib/http/query-parameters.ts';
import { defineRoute } from '../../lib/http/route.ts';
import { requestedText } from '../../lib/text.ts';

export const addAuthorKeyRoute = defineRoute({
  operationId: 'addAuthorKey',
  method: 'POST',
  path: '/v1/author-keys',
  tag: 'Firmwares',
  scope: 'keys:write',
  summary: 'Add the public key of somebody who makes firmware',
  description:
    'What its owner signs is believed from then on, for the hardware types named; where approval is on, from its approval on. Send the ' +
    'public half alone: the service never has a private one. The same request again changes nothing.',
  body: NewAuthorKey,
  responses: {
    201: { description: 'Added', body: AuthorKey },
    200: { description: 'Was added by the same request before', body: AuthorKey },
  },
  problems: [409],
});

export const listAuthorKeysRoute = defineRoute({
  operationId: 'listAuthorKeys',
  method: 'GET',
  path: '/v1/author-keys',
  tag: 'Firmwares',
  scope: 'read',
  summary: 'Author keys, in the order in which they were added',
  query: z.strictObject(PageQuery),
  responses: { 200: { description: 'A page of author keys', body: pageOf(AuthorKey) } },
});

export const approveAuthorKeyRoute = defineRoute({
  operationId: 'approveAuthorKey',
  method: 'POST',
  path: '/v1/author-keys/{id}/approve',
  tag: 'Firmwares',
  scope: 'keys:write',
  summary: 'Approve an author key that somebody else has added',
  description: 'Where approval is on, what a key signs is believed from then on. A key that is believed already is not changed.',
  pathParameters: IdInPath,
  responses: { 200: { description: 'The key as it is now', body: AuthorKey } },
  problems: [403, 404, 409],
});

export const revokeAuthorKeyRoute = defineRoute({
  operationId: 'revokeAuthorKey',
  method: 'POST',
  path: '/v1/author-keys/{id}/revoke',
  tag: 'Firmwares',
  scope: 'keys:write',
  summary: 'Revoke an author key, for good',
  description:
    'Nothing new is believed that it signs. Firmwares that are available stay so: withdraw those that it should not have signed. Devices ' +
    'refuse the key when they have a root without it: publish one with PUT /v1/author-roots/{version}. A key that was revoked before keeps its reason.',
  pathParameters: IdInPath,
  body: z.strictObject({ reason: requestedText(2_000).check(z.minLength(1)) }),
  responses: { 200: { description: 'The key as it is now', body: AuthorKey } },
  problems: [404],
});

const VersionInPath = z.object({ version: numberInPath });

export const publishAuthorRootRoute = defineRoute({
  operationId: 'publishAuthorRoot',
  method: 'PUT',
  path: '/v1/author-roots/{version}',
  tag: 'Firmwares',
  scope: 'keys:write',
  summary: 'Publish the next root: which author keys devices believe',
  description:
    'A JWS with several signatures (RFC 7515, section 7.2.1), made by `scu root sign`: enough root keys of the root before have to sign it, and ' +
    'enough of its own. Devices fetch it and check the same. The same document again changes nothing.',
  pathParameters: VersionInPath,
  body: RootDocument,
  responses: {
    201: { description: 'Published', body: AuthorRoot },
    200: { description: 'Was published before', body: AuthorRoot },
  },
  problems: [409],
});

export const listAuthorRootsRoute = defineRoute({
  operationId: 'listAuthorRoots',
  method: 'GET',
  path: '/v1/author-roots',
  tag: 'Firmwares',
  scope: null,
  summary: 'Roots, the oldest first: a device takes them one after the other',
  query: z.strictObject({
    ...PageQuery,
    after_version: z
      .optional(integerBetween(0, 2_147_483_647))
      .check(z.meta({ description: 'Only those after this version: the one that the device has' })),
  }),
  responses: { 200: { description: 'A page of roots', body: pageOf(AuthorRoot) } },
});

export const getAuthorRootRoute = defineRoute({
  operationId: 'getAuthorRoot',
  method: 'GET',
  path: '/v1/author-roots/{version}',
  tag: 'Firmwares',
  scope: null,
  summary: 'A root',
  pathParameters: VersionInPath,
  responses: { 200: { description: 'The root', body: AuthorRoot } },
  problems: [404],
});
