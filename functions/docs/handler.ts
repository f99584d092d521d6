import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { createOpenApiDocument } from '../../lib/http/openapi.ts';
import { links } from '../links.ts';
import { routes } from '../routes.ts';
import { docsAssetRoute, docsRoute, openapiRoute } from './routes.ts';

const page = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>scooters-updater</title><link rel="stylesheet" href="docs/swagger-ui.css"></head>
<body><div id="page"></div><script src="docs/swagger-ui-bundle.js"></script><script src="docs/page.js"></script></body>
</html>
`;
/** Relative addresses, so that the page also works below a stage's path. */
const script = `SwaggerUIBundle({ url: 'openapi.json', dom_id: '#page', validatorUrl: null, deepLinking: true });`;

const headersOf = (type: string) => ({
  'content-type': `${type}; charset=utf-8`,
  'content-security-policy': "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
});

export interface DocsDeps {
  /** The text of a file of Swagger UI. */
  readAsset(name: 'swagger-ui-bundle.js' | 'swagger-ui.css'): Promise<string>;
}

export const createHandler = (deps: HttpDeps & DocsDeps) => {
  // Made when first asked for: the page's script and style do not need it.
  let document: ReturnType<typeof createOpenApiDocument> | undefined;
  return endpoint(
    operation(deps, openapiRoute, async () => {
      document ??= createOpenApiDocument(routes, links);
      return json(200, document);
    }),
    operation(deps, docsRoute, async () => ({ statusCode: 200, headers: headersOf('text/html'), body: page })),
    operation(deps, docsAssetRoute, async ({ path: { asset } }) => ({
      statusCode: 200,
      headers: { ...headersOf(asset.endsWith('.css') ? 'text/css' : 'text/javascript'), 'cache-control': 'public, max-age=86400' },
      body: asset === 'page.js' ? script : await deps.readAsset(asset),
    })),
  );
};
