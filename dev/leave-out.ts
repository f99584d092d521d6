// What libraries bring along that functions never reach, and that esbuild cannot leave out by itself because a method that nobody calls
// refers to it. Together about 10 % of a bundle, all of which would be loaded at each cold start.
import { readFile } from 'node:fs/promises';
import type { Plugin } from 'esbuild';

const parts: { file: RegExp; what: string; except?: readonly string[]; instead?: string }[] = [
  { file: /kysely\/dist\/schema\/schema-module\.js$/, what: "Kysely's schema builder: only migrations change tables", except: ['migrate'] },
  { file: /kysely\/dist\/plugin\/with-schema\/with-schema-plugin\.js$/, what: "Kysely's withSchema", except: ['migrate'] },
  { file: /kysely\/dist\/query-builder\/merge-query-builder\.js$/, what: "Kysely's MERGE" },
  {
    file: /kysely\/dist\/dialect\/postgres\/postgres-introspector\.js$/,
    what: "Kysely's look at a database's tables: only migrations need it",
    except: ['migrate'],
  },
  { file: /pg\/lib\/native\/index\.js$/, what: "pg's binding to libpq", instead: 'module.exports = undefined;' },
  { file: /pg-types\/lib\/binaryParsers\.js$/, what: "pg's parsers of binary results", instead: 'module.exports = { init() {} };' },
  // Which pg does only when it is told to.
  {
    file: /pg\/lib\/crypto\/cert-signatures\.js$/,
    what: 'a password check that is bound to the TLS channel',
    instead: 'module.exports = {};',
  },
  // As without such a file: there is no password.
  { file: /pgpass\/lib\/index\.js$/, what: 'the file ~/.pgpass', instead: 'module.exports = (_connection, answer) => answer();' },
];

/** What a function's bundle goes without: indexes of the list above. */
export const partsLeftOut = (functionName: string): number[] =>
  parts.flatMap(({ except = [] }, index) => (except.includes(functionName) ? [] : [index]));

/** Whoever does call what is left out gets an error that names it and this file. */
export const leaveOut = (indexes: readonly number[]): Plugin => ({
  name: 'leave-out',
  setup({ onLoad }) {
    for (const { file, what, instead } of parts.filter((_, index) => indexes.includes(index))) {
      onLoad({ filter: file }, async ({ path }) => ({
        contents: instead ?? throwing(exportsOf(await readFile(path, 'utf8')), what),
        loader: 'js',
      }));
    }
  },
});

const throwing = (names: string[], what: string): string =>
  `function leftOut() { throw new Error(${JSON.stringify(`${what}, left out of the bundle by dev/leave-out.ts`)}); }
export { ${names.map((name) => `leftOut as ${name}`).join(', ')} };`;

const exportsOf = (source: string): string[] => [
  ...[...source.matchAll(/^export (?:async )?(?:function|const|let|class) (\w+)/gm)].map(([, name = '']) => name),
  ...[...source.matchAll(/^export \{([^}]*)\}/gm)].flatMap(([, list = '']) =>
    list
      .split(',')
      .map((item) => item.trim().split(/ as /).at(-1) ?? '')
      .filter(Boolean),
  ),
];
