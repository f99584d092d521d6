import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as everything from '../../lib/config.ts';
import { readServerlessFile } from '../../ops/serverless-file.ts';

const { loadConfig, ...configs } = everything;
const { ApiConfig, BackendConfig, DatabaseConfig, StorageConfig } = configs;

const good = {
  DATABASE_URL: 'postgresql://fleet:hunter2@db.internal:5432/fleet',
  JWT_ISSUER: 'https://identity.test',
  JWT_AUDIENCE: 'scooters-updater',
  JWKS_URL: 'https://identity.test/jwks.json',
};

const errorOf = (load: () => unknown): string => {
  try {
    load();
  } catch (error) {
    return String((error as Error).stack);
  }
  throw new Error('it was accepted');
};

describe('settings', () => {
  it('are read, numbers as numbers, with defaults filled in and nothing else taken along', () => {
    expect(loadConfig(ApiConfig, { ...good, HOME: '/root', AWS_SECRET_ACCESS_KEY: 'x' })).toEqual({
      ...good,
      ...{ DATABASE_MAX_CONNECTIONS: 1, DATABASE_PASSWORD: '', DATABASE_IS_PROXIED: 'false', DATABASE_PREPARED_STATEMENTS: 'true' },
    });
    expect(loadConfig(ApiConfig, { ...good, DATABASE_MAX_CONNECTIONS: '4' })).toMatchObject({ DATABASE_MAX_CONNECTIONS: 4 });
  });

  it('that are missing are named, all of them at once', () => {
    const message = errorOf(() => loadConfig(ApiConfig, {}));
    for (const name of ['DATABASE_URL', 'JWT_ISSUER', 'JWT_AUDIENCE', 'JWKS_URL']) expect(message).toContain(name);
    expect(message).not.toContain('DATABASE_MAX_CONNECTIONS');
  });

  it('that are wrong are named, all of them at once, and no value is printed', () => {
    const bad = {
      DATABASE_URL: 'mysql://fleet:hunter2@db.internal/fleet',
      DATABASE_MAX_CONNECTIONS: '12345',
      JWT_ISSUER: '',
      JWT_AUDIENCE: 'scooters-updater',
      JWKS_URL: 'file:///etc/passwd',
    };
    const message = errorOf(() => loadConfig(ApiConfig, bad));
    expect(message).toMatch(/Configuration is wrong: .*DATABASE_URL.*DATABASE_MAX_CONNECTIONS.*JWT_ISSUER.*JWKS_URL/);
    expect(message).not.toContain('JWT_AUDIENCE');
    expect(message).not.toMatch(/hunter2|db\.internal|mysql|12345|passwd/);
  });

  it('that say nothing count as missing', () => {
    const message = errorOf(() => loadConfig(BackendConfig, { BACKEND_URL: '', BACKEND_TOKEN: '' }));
    expect(message).toContain('BACKEND_URL');
    expect(message).toContain('BACKEND_TOKEN');
    expect(errorOf(() => loadConfig(StorageConfig, { FIRMWARE_BUCKET: '' }))).toContain('FIRMWARE_BUCKET');
  });

  it.each(['0', '-1', '51', '1.5', 'four', '', 'Infinity', 'NaN'])(
    'DATABASE_MAX_CONNECTIONS of %j is refused',
    (DATABASE_MAX_CONNECTIONS) => {
      expect(errorOf(() => loadConfig(DatabaseConfig, { ...good, DATABASE_MAX_CONNECTIONS }))).toContain('DATABASE_MAX_CONNECTIONS');
    },
  );

  it.each(['http://db/fleet', 'postgres', 'db.internal:5432', 'javascript:alert(1)'])('DATABASE_URL of %j is refused', (DATABASE_URL) => {
    expect(errorOf(() => loadConfig(DatabaseConfig, { ...good, DATABASE_URL }))).toContain('DATABASE_URL');
  });
});

describe('the tenants of devices that poll', () => {
  const { DeviceAccessConfig } = configs;
  const load = (DDI_TENANT: string) =>
    loadConfig(DeviceAccessConfig, { DDI_TENANT, DDI_GATEWAY_TOKEN_SHA256: '', DDI_SELF_REGISTRATION: 'false' }).DDI_TENANT;

  it('are one name or several', () => {
    expect([load('default'), load('fleet_1,DEFAULT'), load('v10,docs-2')]).toEqual([
      ['default'],
      ['fleet_1', 'DEFAULT'],
      ['v10', 'docs-2'],
    ]);
  });

  it.each(['', ',', 'a,', ',a', 'a,,b', 'a b', 'a/b', 'v1', 'docs', 'a,v1', 'V1', 'Docs,a'])('are not %j', (names) => {
    expect(errorOf(() => load(names))).toContain('DDI_TENANT');
  });
});

describe('serverless.yml', () => {
  const root = new URL('../../', import.meta.url);
  const stack = readServerlessFile();

  it.each(Object.keys(stack.functions))('gives %s every setting that it asks for', (name) => {
    const index = readFileSync(new URL(`functions/${name}/index.ts`, root), 'utf8');
    const asked = Object.entries(configs).flatMap(([config, settings]) =>
      new RegExp(`\\b${config}\\b`).test(index) ? Object.keys(settings) : [],
    );
    const given = { ...stack.provider.environment, ...stack.functions[name]?.environment };
    expect(asked.length).toBeGreaterThan(0);
    expect(asked.filter((setting) => !(setting in given))).toEqual([]);
  });

  it('has no secret and no default for one: they come from outside, and a deployment without them fails', () => {
    for (const name of ['backendToken', 'backendUrl', 'jwtIssuer', 'jwtAudience', 'jwksUrl']) {
      expect(stack.params['default']?.[name]).toMatch(/^\$\{env:[A-Z_]+\}$/);
    }
  });
});
