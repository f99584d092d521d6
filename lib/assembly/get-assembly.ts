import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import type { Assembly } from './assembly.ts';
import { findAssembly } from './assembly-queries.ts';

/** @throws `assembly.not_found` */
export async function getAssembly({ db, now }: { db: Db; now: Clock }, id: number): Promise<Assembly> {
  const assembly = await findAssembly(db, id, now());
  if (!assembly) throw new DomainError('assembly.not_found', `There is no assembly ${id}`);
  return assembly;
}
