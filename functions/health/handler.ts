import { sql } from 'kysely';
import type { Db } from '../../lib/db/database.ts';
import { endpoint, type HttpDeps, json, operation } from '../../lib/http/endpoint.ts';
import { healthRoute } from './routes.ts';

export const createHandler = (deps: HttpDeps & { db: Db }) =>
  endpoint(
    operation(deps, healthRoute, async () => {
      await sql`SELECT 1`.execute(deps.db);
      return json(200, { status: 'ok', database: 'ok' });
    }),
  );
