// Leaves out of bundles what functions never use and esbuild cannot remove by itself: parts of libraries to which an uncalled method refers, and
// the descriptions of the API. Together these are about 15 % of a bundle, which would be loaded at each cold start.
import { readFile } from 'node:fs/promises';
import type { Plugin } from 'esbuild';

interface Part {
  /** In the words of RE2, as esbuild reads it. */
  file: RegExp;
  what: string;
  /** Functions that need it. */
  except?: readonly string[];
  /** The file's content without it. By default every export throws. */
  instead?: (source: string, what: string) => string;
}

/** Methods by which Kysely's compiler writes SQL that no function sends. */
const unusedStatements =
  /^visit(?:(?:Create|Alter|Drop|Add|Rename|Modify)\w+|ColumnDefinition|References|\w+Constraint|RefreshMaterializedView|Generated|DefaultValue|MergeQuery|Matched|OnDuplicateKey|Top|Output)$|^compileColumnAlterations$/;

const parts: Part[] = [
  {
    file: /\/(?:functions|lib)\/.*\.ts$/,
    what: "the API's description",
    except: ['docs'],
    instead: (source) => withPureSchemas(withoutResponses(withoutDescriptions(source))),
  },
  { file: /kysely\/dist\/schema\/schema-module\.js$/, what: "Kysely's schema builder: only migrations change tables", except: ['migrate'] },
  { file: /kysely\/dist\/plugin\/with-schema\/with-schema-plugin\.js$/, what: "Kysely's withSchema", except: ['migrate'] },
  {
    file: /kysely\/dist\/query-compiler\/default-query-compiler\.js$/,
    what: "Kysely's SQL that changes tables, and that of other databases",
    except: ['migrate'],
    instead: (source, what) => withoutMethods(source, unusedStatements, what),
  },
  { file: /kysely\/dist\/query-builder\/merge-query-builder\.js$/, what: "Kysely's MERGE" },
  {
    file: /kysely\/dist\/dialect\/postgres\/postgres-introspector\.js$/,
    what: "Kysely's look at a database's tables: only migrations need it",
    except: ['migrate'],
  },
  { file: /pg\/lib\/native\/index\.js$/, what: "pg's binding to libpq", instead: () => 'module.exports = undefined;' },
  { file: /pg-types\/lib\/binaryParsers\.js$/, what: "pg's parsers of binary results", instead: () => 'module.exports = { init() {} };' },
  {
    file: /postgres-interval\/index\.js$/,
    what: "pg's parser of intervals: no statement answers one",
    instead: (_source, what) => `${leftOut(what)} module.exports = leftOut;`,
  },
  // Which pg does only when it is told to.
  {
    file: /pg\/lib\/crypto\/cert-signatures\.js$/,
    what: 'a password check that is bound to the TLS channel',
    instead: () => 'module.exports = {};',
  },
  // The ports give the SDK the credentials of the function's role (lib/aws-credentials.ts).
  { file: /@aws-sdk\/credential-provider-node\/dist-es\/index\.js$/, what: "the SDK's search for credentials" },
  {
    file: /@smithy\/node-http-handler\/dist-es\/node-http2-\w[\w-]*\.js$/,
    what: "the SDK's client of HTTP/2, and all of Node's: no port's service is asked so",
  },
  { file: /bowser\/bowser\.mjs$/, what: 'the names of browsers', instead: () => 'export default {};' },
  // As without such a file: there is no password.
  { file: /pgpass\/lib\/index\.js$/, what: 'the file ~/.pgpass', instead: () => 'module.exports = (_connection, answer) => answer();' },
];

/** The parts that a function's bundle does not need, as indexes of the list above. */
export const partsLeftOut = (functionName: string): number[] =>
  parts.flatMap(({ except = [] }, index) => (except.includes(functionName) ? [] : [index]));

/** If code calls a left-out part after all, it gets an error that names the part and this file. */
export const leaveOut = (indexes: readonly number[]): Plugin => ({
  name: 'leave-out',
  setup({ onLoad }) {
    for (const { file, what, instead = withoutExports } of parts.filter((_, index) => indexes.includes(index))) {
      onLoad({ filter: file }, async ({ path }) => ({
        contents: instead(await readFile(path, 'utf8'), what),
        loader: path.endsWith('.ts') ? 'ts' : 'js',
      }));
    }
  },
});

const leftOut = (what: string): string =>
  `function leftOut() { throw new Error(${JSON.stringify(`${what}, left out of the bundle by ops/leave-out.ts`)}); }`;

const withoutExports = (source: string, what: string): string =>
  [leftOut(what), ...exportsOf(source).map((name) => `export { leftOut as ${name} };`)].join('\n');

/** Of a file in the form of TypeScript's compiler: a method begins and ends with an indent of four. */
const withoutMethods = (source: string, names: RegExp, what: string): string => {
  const methods = /^ {4}(\w+)\(.*\) \{\n(?:.*\n)*? {4}\}$/gm;
  const kept = source.replaceAll(methods, (method, name: string) => (names.test(name) ? `    ${name}() { leftOut(); }` : method));
  return `${kept}\n${leftOut(what)}`;
};

const literal = /'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/.source;
/** Matches only constant texts; a description that contains a variable is kept. */
const description = new RegExp(`\\b(description|summary):\\s*(?:${literal})(?:\\s*\\+\\s*(?:${literal}))*(?=\\s*[,}])`, 'g');

/** Removes the `responses` of routes, which only the OpenAPI document needs. Braces within texts do not count. */
const withoutResponses = (source: string): string => {
  const start = /\bresponses: \{/.exec(source);
  if (!start) return source;
  const inside = start.index + start[0].length;
  const braces = new RegExp(`(?:${literal})|([{}])`, 'g');
  braces.lastIndex = inside;
  let depth = 1;
  for (let found = braces.exec(source); found; found = braces.exec(source)) {
    if (found[1] === '{') depth += 1;
    if (found[1] === '}') depth -= 1;
    if (depth > 0) continue;
    const removed = source.slice(inside, found.index).replaceAll(/[^\n]/g, '');
    return source.slice(0, inside) + removed + withoutResponses(source.slice(found.index));
  }
  throw new Error('A route names responses without an end');
};

/**
 * Marks calls that make schemas as pure, so that esbuild can remove a schema that only the document needs. One mark is enough for a chain of
 * calls; calls among the arguments have their own.
 */
const withPureSchemas = (source: string): string =>
  source.replaceAll(/(?<![\w.])(?=z\s*\.(?!config\b)\w+\(|[A-Z]\w*\s*\.(?:check|register)\()/g, '/* @__PURE__ */ ');

/** Removes descriptions but keeps all line breaks, so that a stack trace names the right line. */
const withoutDescriptions = (source: string): string =>
  source.replaceAll(description, (text, key: string) => `${key}: ''${text.replaceAll(/[^\n]/g, '')}`);

const exportsOf = (source: string): string[] => [
  ...[...source.matchAll(/^export (?:async )?(?:function|const|let|class) (\w+)/gm)].map(([, name = '']) => name),
  ...[...source.matchAll(/^export \{([^}]*)\}/gm)].flatMap(([, list = '']) =>
    list
      .split(',')
      .map((item) => item.trim().split(/ as /).at(-1) ?? '')
      .filter(Boolean),
  ),
];
