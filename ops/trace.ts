// `npm run trace -- [FILE] [--maps FOLDER]`: reads a function's log, from a file or standard input, and prints its errors with places in the
// sources instead of places in the bundle. docs/operations.md says where the source maps of a release are.
import { existsSync, readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { mapsIn } from './build.ts';

/** As V8 writes it, with and without parentheses. Line and column begin at 1. */
const place = /(?:file:\/\/)?[^\s()]*\bfunctions\/([\w-]+)\/index\.js:(\d+):(\d+)/g;

export interface MappedTrace {
  text: string;
  /** Functions in the log without a source map; their places are unchanged. */
  unmapped: string[];
}

/**
 * @param logged any text; of a line of JSON, as functions log it, what it says and every `stack` in it.
 * @param maps the folder with `<function>.js.map`, of the release that logged.
 */
export function mapTrace(logged: string, maps: string): MappedTrace {
  const unmapped = new Set<string>();
  const mapOf = readMaps(maps);
  const lines = logged.split('\n').map(unfold).join('\n');
  const mapped = lines.replaceAll(place, (found, name: string, line: string, column: string) => {
    const map = mapOf(name);
    if (!map) unmapped.add(name);
    const entry = map?.findEntry(Number(line) - 1, Number(column) - 1);
    return entry && 'originalSource' in entry ? `${entry.originalSource}:${entry.originalLine + 1}:${entry.originalColumn + 1}` : found;
  });
  return { text: mapped, unmapped: [...unmapped] };
}

function readMaps(directory: string): (name: string) => SourceMap | undefined {
  const maps = new Map<string, SourceMap | undefined>();
  return (name) => {
    const file = join(directory, `${name}.js.map`);
    if (!maps.has(name)) maps.set(name, existsSync(file) ? new SourceMap(JSON.parse(readFileSync(file, 'utf8'))) : undefined);
    return maps.get(name);
  };
}

/** A line of JSON becomes its time, level and message, and the stacks in it; any other line stays. */
function unfold(line: string): string {
  const start = line.indexOf('{');
  if (start < 0) return line;
  try {
    const { timestamp, level, message, ...fields } = JSON.parse(line.slice(start)) as Record<string, unknown>;
    const stacks = stacksIn(fields);
    if (stacks.length === 0) return line;
    return [[timestamp, level, message].filter((word) => typeof word === 'string').join(' '), ...stacks].join('\n');
  } catch {
    return line;
  }
}

/** The stacks of an error and of its causes, beginning with the outermost error. */
function stacksIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const { stack, ...others } = value as { stack?: unknown };
  const own = typeof stack === 'string' ? [stack] : Array.isArray(stack) ? [stack.join('\n')] : [];
  return [...own, ...Object.values(others).flatMap(stacksIn)];
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({ options: { maps: { type: 'string' } }, allowPositionals: true });
  if (positionals.length > 1) {
    console.error('npm run trace -- [FILE] [--maps FOLDER]   (docs/operations.md)');
    process.exit(2);
  }
  const [file] = positionals;
  const maps = values.maps ?? mapsIn(fileURLToPath(new URL('../.build', import.meta.url)));
  const { text: mapped, unmapped } = mapTrace(file === undefined ? await text(process.stdin) : readFileSync(file, 'utf8'), maps);
  console.log(mapped.trimEnd());
  if (unmapped.length > 0) {
    console.error(`No source map of ${unmapped.join(', ')} in ${maps}: \`npm run build\` of the release that logged makes them.`);
    process.exitCode = 1;
  }
}
