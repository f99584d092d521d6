import * as z from 'zod/mini';
import { defineRoute } from '../../lib/http/route.ts';

export const openapiRoute = defineRoute({
  operationId: 'getOpenApiDocument',
  method: 'GET',
  path: '/openapi.json',
  tag: 'Service',
  scope: null,
  summary: 'This document (OpenAPI 3.1)',
  responses: { 200: { description: 'Made from the very schemas that check requests', body: z.looseObject({ openapi: z.string() }) } },
});

export const docsRoute = defineRoute({
  operationId: 'getDocsPage',
  method: 'GET',
  path: '/docs',
  tag: 'Service',
  scope: null,
  summary: 'This document as a page; needs nothing from the internet',
  responses: { 200: { description: 'HTML', body: null, contentTypes: ['text/html'] } },
});

export const docsAssetRoute = defineRoute({
  operationId: 'getDocsAsset',
  method: 'GET',
  path: '/docs/{asset}',
  tag: 'Service',
  scope: null,
  summary: 'Script and style of the page',
  pathParameters: z.object({ asset: z.enum(['swagger-ui-bundle.js', 'swagger-ui.css', 'page.js']) }),
  responses: { 200: { description: 'JavaScript or CSS', body: null, contentTypes: ['text/javascript', 'text/css'] } },
});
