import { createHash } from 'node:crypto';
import type pg from 'pg';

/**
 * So many statements of a connection have names at most, the first ones. A function has some twenty; a list whose filters can be combined
 * in hundreds of ways must not fill the server's memory, which keeps 10 to 100 KB for each.
 */
const maximumNames = 50;
const isPlanned = /^\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH)\b/i;

/** PostgreSQL parses and plans a statement that has a name once for each connection. The name is the same wherever the statement is. */
const nameOf = (statement: string): string => createHash('sha1').update(statement).digest('base64url');

export const nameStatements = (client: pg.PoolClient): void => {
  const query = client.query.bind(client) as (...args: unknown[]) => unknown;
  const names = new Map<string, string>();
  const findName = (statement: string): string | undefined => {
    const known = names.get(statement);
    if (known !== undefined || names.size >= maximumNames || !isPlanned.test(statement)) return known;
    const name = nameOf(statement);
    names.set(statement, name);
    return name;
  };
  Object.assign(client, {
    query: (statement: unknown, ...rest: unknown[]) => {
      const name = typeof statement === 'string' ? findName(statement) : undefined;
      return name === undefined ? query(statement, ...rest) : query({ name, text: statement, values: rest[0] });
    },
  });
};
