import * as z from 'zod/mini';
import type { Db } from '../db/database.ts';
import { decodeCursor, listOf, type Page, toPage } from '../http/page.ts';
import { type Eligibility, type Exclusion, eligibilities } from './update.ts';

const Cursor = z.tuple([z.enum(eligibilities), z.string()]);

export interface ExclusionFilter {
  update_id: number;
  reason?: Eligibility | undefined;
  limit: number;
  cursor?: string | undefined;
}

/** Ordered by reason, then by external_id. The primary key has this order, so every page costs the same. */
export const listExclusions = async (db: Db, { update_id, reason, limit, cursor }: ExclusionFilter): Promise<Page<Exclusion>> => {
  const list = listOf('exclusions', { update_id, reason });
  const after = decodeCursor(list, Cursor, cursor);
  let query = db.selectFrom('update_exclusions').select(['kind', 'external_id', 'reason', 'detail']).where('update_id', '=', update_id);
  if (reason) query = query.where('reason', '=', reason);
  if (after) query = query.where(({ eb, refTuple, tuple }) => eb(refTuple('reason', 'external_id'), '>', tuple(after[0], after[1])));
  const rows = await query
    .orderBy('reason')
    .orderBy('external_id')
    .limit(limit + 1)
    .$narrowType<{ kind: Exclusion['kind']; reason: Eligibility }>()
    .execute();
  return toPage(list, rows, limit, (row) => [row.reason, row.external_id]);
};
