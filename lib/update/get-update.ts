import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import type { Page } from '../http/page.ts';
import type { Execution } from './execution.ts';
import { type ExecutionFilter, listExecutions } from './execution-queries.ts';
import type { Update } from './update.ts';
import { findUpdate } from './update-queries.ts';

const notFound = (id: number) => new DomainError('update.not_found', `There is no update ${id}`);

/** @throws `update.not_found` */
export async function getUpdate(db: Db, id: number): Promise<Update> {
  const update = await findUpdate(db, id);
  if (!update) throw notFound(id);
  return update;
}

/** @throws `update.not_found` */
export async function getExecutions(db: Db, filter: ExecutionFilter): Promise<Page<Execution>> {
  const page = await listExecutions(db, filter);
  if (page.items.length === 0 && !(await findUpdate(db, filter.update_id))) throw notFound(filter.update_id);
  return page;
}
