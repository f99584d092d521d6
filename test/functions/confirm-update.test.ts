import { beforeEach, describe, expect, it } from 'vitest';
import { freePort } from '../../dev/stack/free-port.ts';
import { createHandler } from '../../functions/confirm-update/handler.ts';
import { createDatabase } from '../../lib/db/database.ts';
import { createTestDatabase } from '../support/database.ts';
import { silentLog } from '../support/fixtures.ts';
import { call, createIdentity } from '../support/http.ts';
import { createUpdateService, type UpdateService } from '../support/update-service.ts';

const { db } = await createTestDatabase();
const identity = await createIdentity();
const { authenticate } = identity;
const token = await identity.token({ scopes: ['devices:report'], subject: 'scooters-backend' });
let service: UpdateService;
beforeEach(() => {
  service = createUpdateService(db);
});

interface Answer {
  code: string;
  errors: { path: string }[];
  outcomes: { outcome: string; code?: string; errors?: { path: string }[]; execution?: { id: number; status: string } }[];
}
const post = (body: unknown, request: { token?: string; headers?: Record<string, string> } = { token }, deps: object = {}) =>
  call<Answer>(createHandler({ ...service.deps, authenticate, log: silentLog, ...deps }), {
    method: 'POST',
    path: '/v1/confirmations',
    body,
    ...request,
  });
const report = (more: object = {}) => ({
  external_id: 'S-0',
  hardware_type: 'vega_mcu',
  version: '1.0',
  status: 'SUCCEEDED',
  occurred_dt: '2026-11-24T08:00:00Z',
  ...more,
});

describe('POST /v1/confirmations', () => {
  it('200: an outcome per report in their order; the wrong ones hinder no other', async () => {
    const { external_ids, firmware, executions } = await service.givenSent({ devices: 2 });
    const [first, second] = external_ids;
    const { version } = firmware;
    const answer = await post({
      confirmations: [
        report({ external_id: 'nobody' }),
        report({ external_id: first, version }),
        report({ external_id: first, version }),
        report({ external_id: second, version, status: 'FAILED', detail: 'CRC\u0000\ud800', execution_id: executions[1]?.id }),
        report({ external_id: second, hardware_type: 'toaster' }),
        report({ external_id: second, execution_id: executions[0]?.id }),
        report({ external_id: second, occurred_dt: '2030-01-01T00:00:00Z' }),
        report({ external_id: second, version: 'ancient', occurred_dt: '0001-01-01T00:00:00Z' }),
      ],
    });
    expect(answer.statusCode).toBe(200);
    expect(answer.body.outcomes.map(({ outcome, code }) => code ?? outcome)).toEqual([
      'device.not_found',
      'stored',
      'unchanged',
      'stored',
      'hardware_type.unknown',
      'execution.not_found',
      'stored',
      'stored',
    ]);
    expect(answer.body.outcomes[1]?.execution).toEqual({ id: executions[0]?.id, status: 'SUCCEEDED' });
    expect(answer.body.outcomes[3]?.execution).toEqual({ id: executions[1]?.id, status: 'FAILED' });
  });

  it('200: 1,000 reports in one call', async () => {
    const { external_ids, firmware, update } = await service.givenSent({ devices: 1_000 });
    const answer = await post({ confirmations: external_ids.map((external_id) => report({ external_id, version: firmware.version })) });
    expect(answer.statusCode).toBe(200);
    expect(answer.body.outcomes).toHaveLength(1_000);
    expect(await service.find(update.id)).toMatchObject({ counts: { SUCCEEDED: 1_000 } });
  });

  it('200: a report that is not well-formed is refused with its wrong fields, and hinders no other', async () => {
    const { external_ids, firmware, update } = await service.givenSent({ devices: 2 });
    const [first, second] = external_ids;
    const { version } = firmware;
    const answer = await post({
      confirmations: [
        report({ external_id: first, version: '1.9.0\n' }),
        report({ external_id: first, version }),
        report({ external_id: 'a b', status: 'DONE', occurred_dt: 'now', extra: 1 }),
        {},
        null,
        'SUCCEEDED',
        [],
        report({ external_id: second, version, attempt: 1.5 }),
        report({ external_id: second, version }),
      ],
    });
    expect(answer.statusCode).toBe(200);
    expect(answer.body.outcomes.map(({ outcome, code }) => code ?? outcome)).toEqual([
      'report.malformed',
      'stored',
      ...Array.from({ length: 6 }, () => 'report.malformed'),
      'stored',
    ]);
    expect(answer.body.outcomes[0]).toMatchObject({
      ...{ external_id: first, hardware_type: 'vega_mcu', outcome: 'refused', message: expect.stringContaining('version') },
      errors: expect.arrayContaining([{ path: 'version', message: 'must not have control characters or a slash' }]),
    });
    const paths = answer.body.outcomes.map(({ errors }) => errors?.map(({ path }) => path).toSorted());
    expect(paths.slice(2, 5)).toEqual([
      ['external_id', 'extra', 'occurred_dt', 'status'],
      ['external_id', 'hardware_type', 'occurred_dt', 'status', 'version'],
      [''],
    ]);
    expect(answer.body.outcomes[4]).toMatchObject({ external_id: null, hardware_type: null });
    expect(answer.body.outcomes[7]).toMatchObject({ external_id: second, errors: [{ path: 'attempt' }] });
    expect(await service.find(update.id)).toMatchObject({ counts: { SUCCEEDED: 2 } });
  });

  it('200: 1,000 reports with all fields wrong have an answer that can be sent', async () => {
    const wrong = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`unknown_field_with_a_long_name_${i}`, 1]));
    const answer = await post({ confirmations: Array.from({ length: 1_000 }, () => wrong) });
    expect(answer.statusCode).toBe(200);
    expect(answer.body.outcomes.every(({ errors }) => errors?.length === 10)).toBe(true);
    expect(JSON.stringify(answer.body).length).toBeLessThan(5 * 1024 * 1024);
  });

  it('200: what a device says is kept without the secrets that it quotes', async () => {
    const { external_ids, firmware, update } = await service.givenSent();
    const detail = `GET https://s3.test/x?X-Amz-Credential=AKIA&X-Amz-Signature=abcdef0123 failed; Authorization: Bearer abc.def.ghi`;
    const answer = await post({
      confirmations: [report({ external_id: external_ids[0], version: firmware.version, status: 'FAILED', detail })],
    });
    expect(answer.body.outcomes).toMatchObject([{ execution: { status: 'FAILED' } }]);
    expect((await service.executions(update.id))[0]?.detail).toBe(
      'GET https://s3.test/x?X-Amz-Credential=…&X-Amz-Signature=… failed; Authorization: Bearer …',
    );
  });

  it.each([
    ['none', []],
    ['1,001', Array.from({ length: 1_001 }, () => report())],
    ['an object of', { 0: report() }],
  ])('400: %s reports', async (_, confirmations) => {
    expect(await post({ confirmations })).toMatchObject({ statusCode: 400, body: { errors: [{ path: 'confirmations' }] } });
  });

  it('401: without a token', async () => {
    expect(await post({ confirmations: [report()] }, {})).toMatchObject({ statusCode: 401 });
  });

  it('403: with every other scope', async () => {
    const other = await identity.token({ scopes: ['read', 'updates:write', 'firmware:write', 'devices:write'] });
    expect(await post({ confirmations: [report()] }, { token: other })).toMatchObject({ statusCode: 403 });
  });

  it('413: a body above 2 MiB', async () => {
    expect(await post({ confirmations: [report({ detail: 'x'.repeat(2 * 1024 * 1024) })] })).toMatchObject({ statusCode: 413 });
  });

  it('415: a body that says it is something else', async () => {
    const answer = await post(JSON.stringify({ confirmations: [report()] }), { token, headers: { 'Content-Type': 'application/xml' } });
    expect(answer).toMatchObject({ statusCode: 415 });
  });

  it('503: the database is down, with a time to come again', async () => {
    const down = createDatabase({ url: `postgres://user:secret@127.0.0.1:${await freePort()}/x`, maxConnections: 1 });
    const answer = await post({ confirmations: [report()] }, { token }, { db: down });
    expect(answer).toMatchObject({ statusCode: 503, body: { code: 'database.unavailable' } });
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    await down.destroy();
  });
});
