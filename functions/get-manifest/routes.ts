import { PublicKeys, SignedManifest } from '../../lib/firmware/manifest.ts';
import { IdInPath } from '../../lib/http/path-parameters.ts';
import { defineRoute } from '../../lib/http/route.ts';

export const getManifestRoute = defineRoute({
  operationId: 'getManifest',
  method: 'GET',
  path: '/v1/firmwares/{id}/manifest',
  tag: 'Firmwares',
  scope: 'read',
  summary:
    'The signed manifest of a firmware, by which a device knows that it came from here, is not older than what it runs, and is still wanted',
  description:
    'Signed anew at each call and good for seven days. Commands to devices carry one of their own. The payload has `hardware_type`, ' +
    '`version`, `version_num`, `size_bytes`, `sha256`, `requires`, `minimum_from_version_num`, `allow_downgrade`, `counter`, `iat`, `exp`.',
  pathParameters: IdInPath,
  responses: { 200: { description: 'The manifest', body: SignedManifest } },
  problems: [404, 422],
});

export const getKeysRoute = defineRoute({
  operationId: 'listKeys',
  method: 'GET',
  path: '/v1/keys',
  tag: 'Firmwares',
  scope: null,
  summary: 'Public keys: what manifests and packages are signed with',
  description:
    'Put these keys into devices when they are made. A device must not fetch them each time: somebody who answers in place of this service would answer this request too.',
  responses: { 200: { description: 'The keys', body: PublicKeys } },
});
