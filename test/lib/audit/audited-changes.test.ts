import { sql } from 'kysely';
import { afterAll, describe, expect, it } from 'vitest';
import { routes } from '../../../functions/routes.ts';
import { createDatabase } from '../../../lib/db/database.ts';
import { deviceScope } from '../../../lib/http/route.ts';
import { type AuditedChange, auditedChanges, unaudited } from '../../support/audited-changes.ts';
import { createTestDatabase } from '../../support/database.ts';
import { createMortalService, passStatement } from '../../support/mortal-service.ts';

const { url } = await createTestDatabase();
const db = createDatabase({ url, maxConnections: 5, onStatement: passStatement });
afterAll(() => db.destroy());

const { rows: tables } = await sql<{ name: string }>`
  SELECT table_name AS name FROM information_schema.tables
  WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name NOT IN ('audit_lines')`.execute(db);

/** Changes when anything that is stored does, but for the audit itself. */
const fingerprint = async (): Promise<string> => {
  const parts = tables.map(
    ({ name }) => sql`SELECT md5(coalesce(string_agg(t::text, '' ORDER BY t::text), '')) AS hash FROM ${sql.table(name)} t`,
  );
  const { rows } = await sql<{ hash: string }>`${sql.join(parts, sql` UNION ALL `)}`.execute(db);
  return rows.map(({ hash }) => hash).join();
};

const lastLine = async (): Promise<number> =>
  (
    await db
      .selectFrom('audit_lines')
      .select(({ fn }) => fn.max('id').as('id'))
      .executeTakeFirst()
  )?.id ?? 0;

const linesAfter = (id: number) =>
  db
    .selectFrom('audit_lines')
    .select(['caller', 'request_id', 'action', 'resource', 'resource_id'])
    .where('id', '>', id)
    .orderBy('id')
    .execute();

const nameOf = ({ operationId, what }: AuditedChange): string => (what ? `${operationId}: ${what}` : operationId);
const table = auditedChanges.map((change) => [nameOf(change), change] as const);

it('every operation of the API that changes anything for a caller has its case here', () => {
  const changing = routes.filter(({ method, scope }) => method !== 'GET' && method !== 'HEAD' && scope !== null && scope !== deviceScope);
  expect([...new Set(auditedChanges.map(({ operationId }) => operationId)), ...Object.keys(unaudited)].sort()).toEqual(
    changing.map(({ operationId }) => operationId).sort(),
  );
});

/** A thing that is to be changed, the request, and what is there before it. */
const given = async (change: AuditedChange) => {
  const service = createMortalService(db);
  await service.begin();
  const request = await change.given(service, db);
  service.diesAt();
  return { service, request, before: await fingerprint(), last: await lastLine() };
};

describe('a change that a caller asks for', () => {
  it.each(table)('has one line, with who, in which request, what and on which resource: %s', async (_, change) => {
    const { service, request, before, last } = await given(change);
    const answer = await service.callOnce<{ id?: number } | null>(change.function, request);
    expect(answer?.statusCode, JSON.stringify(answer?.body)).toBeLessThan(300);
    expect(await fingerprint()).not.toBe(before);
    const lines = await linesAfter(last);
    const resource_id = change.line.resource_id === '{id}' ? expect.stringMatching(/./) : change.line.resource_id;
    expect(lines).toEqual([{ caller: 'tester', request_id: 'request-of-change', ...change.line, resource_id }]);
    // What was made has an id of its own; what was there before is named by the path.
    const id = answer?.body?.id ?? Object.values(request.pathParameters ?? {}).join('/');
    if (change.line.resource_id === '{id}' && id !== '') expect(lines[0]?.resource_id).toBe(String(id));
  });

  it.each(table.filter(([, { isRepeated }]) => !isRepeated))('repeated has no second line: %s', async (_, change) => {
    const { service, request, last } = await given(change);
    await service.callOnce(change.function, request);
    await service.callOnce(change.function, request);
    expect(await linesAfter(last)).toHaveLength(1);
  });
});

/** `npm run test:soak` tries every boundary; otherwise the last three have to do: around the line, the commit and the answer. */
const tried = process.env['BOUNDARIES'] === 'all' ? Number.POSITIVE_INFINITY : 3;

describe('a function that dies between a change and its line', () => {
  it.each(table)('leaves both or neither, and who asks again finds one line: %s', { timeout: 120_000 }, async (_, change) => {
    const undisturbed = await given(change);
    await undisturbed.service.callOnce(change.function, undisturbed.request);
    const boundaries = undisturbed.service.lived[0]?.calls.length ?? 0;
    expect(boundaries).toBeGreaterThan(1);
    for (let afterCalls = boundaries; afterCalls >= 0 && afterCalls > boundaries - tried; afterCalls -= 1) {
      const { service, request, before, last } = await given(change);
      service.diesAt({ life: 0, afterCalls });
      expect(await service.callOnce(change.function, request)).toBeUndefined();
      const where = `dies after ${afterCalls} of ${boundaries} calls, before ${undisturbed.service.lived[0]?.calls[afterCalls] ?? 'its answer'}`;
      expect({ where, isAudited: (await linesAfter(last)).length > 0 }).toEqual({ where, isAudited: (await fingerprint()) !== before });
      await service.callOnce(change.function, request);
      if (!change.isRepeated) expect({ where, lines: (await linesAfter(last)).length }).toEqual({ where, lines: 1 });
    }
  });
});
