import { readdir } from 'node:fs/promises';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { links } from '../../../functions/links.ts';
import { routes } from '../../../functions/routes.ts';
import { createOpenApiDocument } from '../../../lib/http/openapi.ts';
import { readServerlessFile } from '../../../ops/serverless-file.ts';

interface Parameter {
  in: string;
  name: string;
  required?: boolean;
  schema: object;
}
interface Operation {
  operationId: string;
  summary: string;
  tags: string[];
  security: Record<string, string[]>[];
  parameters?: Parameter[];
  requestBody?: { required: boolean; content: Record<string, { schema: object }> };
  responses: Record<string, Response>;
}
interface Response {
  description: string;
  headers: Record<string, object>;
  content?: Record<string, { schema: object }>;
  links?: Record<string, { operationId: string; parameters: Record<string, string> }>;
}
interface Document {
  openapi: string;
  info: { title: string; version: string };
  paths: Record<string, Record<string, Operation>>;
  components: {
    responses: Record<string, Response>;
    schemas: Record<string, object>;
    headers: Record<string, object>;
    securitySchemes: Record<string, { type: string; scheme: string }>;
  };
}

// As a caller gets it: through JSON.
const document = JSON.parse(JSON.stringify(createOpenApiDocument(routes, links))) as Document;
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ route: `${method.toUpperCase()} ${path}`, path, method, operation })),
);

const root = new URL('../../../', import.meta.url);
const { functions } = readServerlessFile();
const deployed = Object.entries(functions).flatMap(([name, { events = [] }]) =>
  events.flatMap(({ http }) => (http ? [{ name, route: `${http.method.toUpperCase()} ${http.path}` }] : [])),
);

describe('what is deployed', () => {
  it('is every function of functions/, each under its own name', async () => {
    const entries = await readdir(new URL('functions/', root), { withFileTypes: true });
    const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    expect(Object.keys(functions).sort()).toEqual(folders.sort());
    for (const [name, { handler }] of Object.entries(functions)) expect(handler).toBe(`.build/functions/${name}/index.handler`);
  });

  it('has every route of the document, and no other', () => {
    expect(deployed.map(({ route }) => route).sort()).toEqual(operations.map(({ route }) => route).sort());
    expect(new Set(deployed.map(({ route }) => route)).size).toBe(deployed.length);
  });

  it('leads each route to the function whose folder defines it', async () => {
    for (const name of new Set(deployed.map((event) => event.name))) {
      const module = (await import(new URL(`functions/${name}/routes.ts`, root).href)) as Record<string, { method: string; path: string }>;
      const own = Object.values(module).map(({ method, path }) => `${method} ${path}`);
      expect(
        deployed
          .filter((event) => event.name === name)
          .map(({ route }) => route)
          .sort(),
        name,
      ).toEqual(own.sort());
    }
  });
});

describe('who may call', () => {
  /** What each route asks for; null is open to everybody. */
  const scopes: Record<string, string | null> = {
    'GET /v1/hardware-types': 'read',
    'POST /v1/hardware-types': 'firmware:write',
    'PATCH /v1/hardware-types/{name}': 'firmware:write',
    'DELETE /v1/hardware-types/{name}': 'firmware:write',
    'POST /v1/author-keys/{id}/approve': 'keys:write',
    'POST /v1/firmwares': 'firmware:write',
    'GET /v1/firmwares': 'read',
    'GET /v1/firmwares/{id}': 'read',
    'PATCH /v1/firmwares/{id}': 'firmware:write',
    'DELETE /v1/firmwares/{id}': 'firmware:write',
    'GET /v1/firmwares/{id}/manifest': 'read',
    'GET /v1/keys': null,
    'POST /v1/assemblies': 'firmware:write',
    'GET /v1/assemblies': 'read',
    'GET /v1/assemblies/{id}': 'read',
    'PUT /v1/devices': 'devices:write',
    'PATCH /v1/devices/{kind}/{external_id}': 'devices:write',
    'POST /v1/devices/tags': 'devices:write',
    'GET /v1/zones': 'read',
    'POST /v1/zones': 'devices:write',
    'GET /v1/zones/{name}': 'read',
    'PATCH /v1/zones/{name}': 'devices:write',
    'DELETE /v1/zones/{name}': 'devices:write',
    'GET /v1/groups': 'read',
    'POST /v1/groups': 'devices:write',
    'GET /v1/groups/{name}': 'read',
    'GET /v1/groups/{name}/devices': 'read',
    'PATCH /v1/groups/{name}': 'devices:write',
    'DELETE /v1/groups/{name}': 'devices:write',
    'GET /v1/audit': 'audit:read',
    'POST /v1/devices/{kind}/{external_id}/token': 'devices:write',
    'GET /v1/devices': 'read',
    'GET /v1/scooters/{external_id}': 'read',
    'GET /v1/cabinets/{external_id}': 'read',
    'POST /v1/devices/lookup': 'read',
    'POST /v1/updates': 'updates:write',
    'GET /v1/updates': 'read',
    'GET /v1/updates/{id}': 'read',
    'GET /v1/updates/{id}/timeline': 'read',
    'GET /v1/updates/{id}/executions': 'read',
    'GET /v1/updates/{id}/exclusions': 'read',
    'POST /v1/updates/{id}/approve': 'updates:approve',
    'POST /v1/updates/{id}/reject': 'updates:approve',
    'POST /v1/updates/{id}/cancel': 'updates:write',
    'POST /v1/updates/{id}/pause': 'updates:write',
    'POST /v1/updates/{id}/resume': 'updates:write',
    'PATCH /v1/updates/{id}': 'updates:write',
    'POST /v1/updates/{id}/retry': 'updates:write',
    'GET /v1/scooters/{external_id}/updates': 'read',
    'GET /v1/cabinets/{external_id}/updates': 'read',
    'POST /v1/confirmations': 'devices:report',
    'POST /v1/observations': 'devices:write',
    'GET /v1/observations': 'read',
    'GET /v1/observations/{id}': 'read',
    'POST /v1/observations/{id}/resume': 'devices:write',
    'POST /v1/observations/{id}/cancel': 'devices:write',
    'GET /{tenant}/controller/v1/{controllerId}': 'device',
    'PUT /{tenant}/controller/v1/{controllerId}/configData': 'device',
    'GET /{tenant}/controller/v1/{controllerId}/deploymentBase/{actionId}': 'device',
    'POST /{tenant}/controller/v1/{controllerId}/deploymentBase/{actionId}/feedback': 'device',
    'GET /{tenant}/controller/v1/{controllerId}/cancelAction/{actionId}': 'device',
    'POST /{tenant}/controller/v1/{controllerId}/cancelAction/{actionId}/feedback': 'device',
    'GET /{tenant}/controller/v1/{controllerId}/installedBase/{actionId}': 'device',
    'GET /{tenant}/controller/v1/{controllerId}/softwaremodules/{softwareModuleId}/artifacts/{filename}': 'device',
    'HEAD /{tenant}/controller/v1/{controllerId}/softwaremodules/{softwareModuleId}/artifacts/{filename}': 'device',
    'PUT /v1/firmwares/{id}/signatures': 'firmware:write',
    'POST /v1/author-keys': 'keys:write',
    'GET /v1/author-keys': 'read',
    'POST /v1/author-keys/{id}/revoke': 'keys:write',
    'PUT /v1/author-roots/{version}': 'keys:write',
    'GET /v1/author-roots': null,
    'GET /v1/author-roots/{version}': null,
    'GET /v1/stats': 'read',
    'GET /v1/stats/versions': 'read',
    'GET /v1/health': null,
    'GET /openapi.json': null,
    'GET /docs': null,
    'GET /docs/{asset}': null,
    'GET /console': null,
    'GET /console/{asset}': null,
  };

  it.each(routes.map((route) => [`${route.method} ${route.path}`, route.scope] as const))('%s asks for %s', (route, scope) => {
    expect(Object.keys(scopes)).toContain(route);
    expect(scope).toBe(scopes[route]);
    expect(operations.find((operation) => operation.route === route)?.operation.security).toEqual(
      scope === null ? [] : scope === 'device' ? [{ deviceToken: [] }] : [{ token: [scope] }],
    );
  });
});

describe('the document', () => {
  it('is OpenAPI 3.1 with the schemes it refers to', () => {
    expect(document.openapi).toMatch(/^3\.1\.\d+$/);
    expect(document.info).toMatchObject({ title: 'scooters-updater', version: expect.any(String) });
    expect(document.components.securitySchemes).toEqual({
      token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
      deviceToken: expect.objectContaining({ type: 'apiKey', in: 'header', name: 'Authorization' }),
    });
  });

  it('gives every operation a name of its own that programs can use', () => {
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^[a-z][A-Za-z0-9]+$/);
  });

  it('has nothing that its references do not find, and nothing that nobody refers to', () => {
    const text = JSON.stringify(document);
    const referred = [...text.matchAll(/"\$ref":"([^"]+)"/g)].map(([, ref]) => ref);
    const { schemas, headers } = document.components;
    const defined = Object.entries({ schemas, headers }).flatMap(([kind, named]) =>
      Object.keys(named).map((name) => `#/components/${kind}/${name}`),
    );
    expect(new Set(referred)).toEqual(new Set(defined));
    expect(text).not.toMatch(/"\$schema"|"\$defs"|"definitions"|"nullable"/);
  });

  it.each(operations.map(({ route, ...rest }) => [route, rest] as const))(
    '%s: parameters, body and answers are whole',
    (_, { path, operation }) => {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      const parameters = operation.parameters ?? [];
      expect(parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name)).toEqual(inPath);
      for (const parameter of parameters) {
        expect(['path', 'query', 'header']).toContain(parameter.in);
        if (parameter.in === 'path') expect(parameter.required).toBe(true);
        expectSchema(parameter.schema);
      }
      for (const { schema } of Object.values(operation.requestBody?.content ?? {})) expectSchema(schema);
      expect(operation.summary.length).toBeGreaterThan(5);
      expect(operation.tags).toHaveLength(1);
      for (const [status, { description, content = {} }] of Object.entries(operation.responses)) {
        expect(status).toMatch(/^[2-5]\d\d$/);
        expect(description.length).toBeGreaterThan(1);
        const types = Object.keys(content);
        if (Number(status) >= 400) expect(types).toEqual(['application/problem+json']);
        for (const { schema } of Object.values(content)) expectSchema(schema);
      }
    },
  );

  it.each(operations.map(({ route, operation }) => [route, operation] as const))(
    '%s: has every problem that any such route can answer',
    (_, operation) => {
      const statuses = Object.keys(operation.responses).map(Number);
      // A query parameter that it does not have is refused by every route.
      expect(statuses).toEqual(expect.arrayContaining([400, 429, 500, 503]));
      if (operation.security.length > 0) expect(statuses).toEqual(expect.arrayContaining([401, 403]));
      if (operation.requestBody) expect(statuses).toEqual(expect.arrayContaining([413, 415]));
      expect(statuses.filter((status) => status < 400).length).toBeGreaterThan(0);
    },
  );

  it('says which headers an answer has: the request id always, when to try again, which token is wanted, where what was made is, what a path takes', () => {
    const { MethodNotAllowed, ...others } = document.components.responses;
    expect(others).toEqual({});
    expect(Object.keys(MethodNotAllowed?.headers ?? {})).toEqual(['x-request-id', 'allow']);
    expect(Object.keys(MethodNotAllowed?.content ?? {})).toEqual(['application/problem+json']);
    for (const { route, operation } of operations) {
      for (const [status, { headers }] of Object.entries(operation.responses)) {
        const where = `${route} ${status}`;
        expect(Object.keys(headers), where).toContain('x-request-id');
        expect('retry-after' in headers, where).toBe(['429', '503'].includes(status));
        expect('www-authenticate' in headers, where).toBe(['401', '403'].includes(status));
        if (status === '302' || status === '202') expect(Object.keys(headers), where).toContain('location');
      }
    }
  });

  it('links what is made or listed to the operations that take its id, by names that they have', () => {
    const linked = operations.flatMap(({ route, operation }) =>
      Object.values(operation.responses).flatMap((response) => Object.values(response.links ?? {}).map((link) => ({ route, ...link }))),
    );
    expect(linked.length).toBeGreaterThan(20);
    for (const { route, operationId, parameters } of linked) {
      const target = operations.find(({ operation }) => operation.operationId === operationId);
      const inPath = target?.operation.parameters?.filter((parameter) => parameter.in === 'path').map(({ name }) => name);
      expect(Object.keys(parameters), `${route} to ${operationId}`).toEqual(inPath);
    }
  });

  it('a flag is a boolean, true or false, and off by default', () => {
    const flags = operations
      .flatMap(({ operation }) => operation.parameters ?? [])
      .filter(({ name }) => ['links', 'history'].includes(name));
    expect(flags).toHaveLength(3);
    for (const { schema, required } of flags) {
      expect(schema).toEqual({ type: 'boolean', description: expect.any(String) });
      expect(required ?? false).toBe(false);
    }
  });

  it('says what canceling means to a device that polls', () => {
    const cancel = operations.find(({ operation }) => operation.operationId === 'cancelUpdate')?.operation as Operation & {
      description: string;
    };
    expect(cancel.description).toContain('cancelAction');
  });

  it('refuses unknown fields wherever a request has fields, but for those of devices, whose clients we have not written', () => {
    for (const { route, operation } of operations) {
      if (operation.security.some((scheme) => 'deviceToken' in scheme)) continue;
      for (const { schema } of Object.values(operation.requestBody?.content ?? {})) {
        for (const object of objectsIn(schema)) expect(object, route).toMatchObject({ additionalProperties: false });
      }
    }
  });
});

// What it cannot read, no client can. References lead into the document; those of one schema are read relative to it, so they get its name.
const ajv = new Ajv2020({ strict: false, validateFormats: false }).addSchema(document, 'openapi.json');
const expectSchema = (schema: object): void => {
  const inDocument = JSON.parse(JSON.stringify(schema).replaceAll('"#/components/', '"openapi.json#/components/')) as object;
  expect(() => ajv.compile(inDocument)).not.toThrow();
  expect(Object.keys(schema).length).toBeGreaterThan(0);
};

/** Every schema of an object with named fields, at any depth. */
const objectsIn = (value: unknown): object[] => {
  if (typeof value !== 'object' || value === null) return [];
  const inside = Object.values(value).flatMap(objectsIn);
  return 'properties' in value && 'type' in value && value.type === 'object' ? [value, ...inside] : inside;
};
