// Several runs of `npm run bench:http`, each in a process of its own with a database of its own, and the medians of what they print.
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { percentile, printRow } from './measure.ts';

/** Rows of a table in Markdown, with the one of its names. */
interface Table {
  names: string[];
  rows: string[][];
}

/** @param each arguments of a run; those of `once` are run one time, after the others. */
export async function printMedians(runs: number, { each, once }: { each: string[]; once: string[] }): Promise<void> {
  const printed: string[] = [];
  for (let run = 1; run <= runs; run += 1) {
    console.error(`run ${run} of ${runs}`);
    printed.push(await runOrTell(each));
  }
  console.error('what is run once');
  printed.push(await runOrTell(once));
  console.log(`Medians of ${runs} runs; planning by a filter was run once.\n`);
  for (const { names, rows } of mediansOf(printed.flatMap(readTables))) {
    printRow(...names);
    printRow(...names.map(() => '---'));
    for (const row of rows) printRow(...row);
    console.log();
  }
}

/** One run that fails does not take away the figures of the others. */
async function runOrTell(args: string[]): Promise<string> {
  try {
    return await runBench(args);
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
    return '';
  }
}

async function runBench(args: string[]): Promise<string> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('http.ts', import.meta.url)), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [output, code] = await Promise.all([text(child.stdout), new Promise((resolve) => child.on('close', resolve))]);
  if (code !== 0) throw new Error(`A run ended with code ${code}:\n${output}`);
  return output;
}

export function readTables(printed: string): Table[] {
  const tables: Table[] = [];
  let isInside = false;
  for (const line of printed.split('\n')) {
    const cells = line.startsWith('| ') ? line.slice(2, -2).split(' | ') : undefined;
    if (cells && !isInside) tables.push({ names: cells, rows: [] });
    else if (cells && cells[0] !== '---') tables.at(-1)?.rows.push(cells);
    isInside = cells !== undefined;
  }
  return tables;
}

/** Tables with the same names become one, and rows with the same first cell; what is no number is as in the last run. */
export function mediansOf(tables: readonly Table[]): Table[] {
  return Object.values(Object.groupBy(tables, ({ names }) => names.join())).map((alike = []) => {
    const rows = Object.values(
      Object.groupBy(
        alike.flatMap((table) => table.rows),
        ([title = '']) => title,
      ),
    );
    return { names: alike[0]?.names ?? [], rows: rows.map((same = []) => medianRow(same)) };
  });
}

const medianRow = (rows: readonly string[][]): string[] =>
  (rows.at(-1) ?? []).map((last, column) => {
    const cells = rows.map((row) => row[column] ?? '');
    // As it was printed, with its own number of digits; of several in one cell each has its median.
    const parts = last.split(', ').map((lastPart, part) => {
      const numbers = cells.map((cell) => cell.split(', ')[part] ?? '');
      if (numbers.some((number) => number === '' || Number.isNaN(Number(number)))) return lastPart;
      const median = percentile(numbers.map(Number), 50);
      return numbers.find((number) => Number(number) === median) ?? lastPart;
    });
    return parts.join(', ');
  });
