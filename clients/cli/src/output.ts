import { once } from 'node:events';
import { formatCsvRow } from './csv.ts';
import type { Cell } from './format.ts';
import { type Paint, paintFor, paintStatus } from './paint.ts';

export interface Column<Item> {
  title: string;
  of: (item: Item) => Cell;
}

export type Format = 'table' | 'json' | 'csv';

/** So many rows are looked at for the widths of a table's columns; further ones are printed as they come. */
const measuredRows = 200;

/** What a command answers: data, to standard output. */
export class Output {
  readonly format: Format;
  readonly paint: Paint;
  readonly #stream: NodeJS.WriteStream;

  constructor(format: Format, stream = process.stdout) {
    this.format = format;
    this.#stream = stream;
    this.paint = paintFor(stream);
  }

  get isTerminal(): boolean {
    return this.#stream.isTTY === true;
  }

  /** Waits when nobody reads as fast. */
  async write(text: string): Promise<void> {
    if (!this.#stream.write(text)) await once(this.#stream, 'drain');
  }

  line = (text = ''): Promise<void> => this.write(`${text}\n`);

  json = (value: unknown, indent?: number): Promise<void> => this.line(JSON.stringify(value, null, indent));

  /** One thing: as one document of JSON, or what people read. */
  async item(value: unknown, lines: () => readonly string[]): Promise<void> {
    if (this.format === 'json') return this.json(value, this.isTerminal ? 2 : undefined);
    for (const line of lines()) await this.line(line);
  }

  /** Names and values below each other; those without a value are left out. */
  fields(fields: Record<string, Cell>): string[] {
    const shown = Object.entries(fields).filter(([, cell]) => cell !== null && cell !== undefined && cell !== '');
    const width = Math.max(0, ...shown.map(([name]) => name.length));
    return shown.map(([name, cell]) => `${this.paint('faint', name.padEnd(width))}  ${paintStatus(this.paint, printable(cell))}`);
  }

  /** Many things: one line of JSON for each, CSV, or a table. */
  async list<Item>(items: Iterable<Item> | AsyncIterable<Item>, columns: readonly Column<Item>[]): Promise<void> {
    if (this.format === 'json') {
      for await (const item of items) await this.json(item);
    } else if (this.format === 'csv') {
      await this.line(formatCsvRow(columns.map(({ title }) => title)));
      for await (const item of items) await this.line(formatCsvRow(columns.map(({ of }) => of(item))));
    } else await this.#table(items, columns);
  }

  async #table<Item>(items: Iterable<Item> | AsyncIterable<Item>, columns: readonly Column<Item>[]): Promise<void> {
    let rows: string[][] = [];
    let widths: number[] | undefined;
    for await (const item of items) {
      rows.push(columns.map(({ of }) => printable(of(item))));
      if (rows.length < measuredRows && widths === undefined) continue;
      widths = await this.#printRows(rows, columns, widths);
      rows = [];
    }
    if (rows.length > 0) await this.#printRows(rows, columns, widths);
    else if (widths === undefined) await this.line('None.');
  }

  /** With the titles, unless the widths are known: then they stand above already. */
  async #printRows(rows: string[][], columns: readonly Column<never>[], known: number[] | undefined): Promise<number[]> {
    const titles = columns.map(({ title }) => title.toUpperCase());
    const widths = known ?? titles.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
    if (known === undefined) await this.line(this.paint('faint', joinCells(titles, widths)));
    for (const row of rows) await this.line(joinCells(row, widths, (text, cell) => paintStatus(this.paint, text, cell)));
    return widths;
  }
}

/** Lines of a table for where they are part of something else. */
export const tableLines = (titles: readonly string[], rows: readonly (readonly Cell[])[]): string[] => {
  const cells = [titles.map((title) => title.toUpperCase()), ...rows.map((row) => row.map(printable))];
  const widths = titles.map((_, i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)));
  return cells.map((row) => joinCells(row, widths));
};

const joinCells = (cells: readonly string[], widths: readonly number[], paint = (text: string, _cell: string) => text): string =>
  cells
    .map((cell, i) => paint(i === cells.length - 1 ? cell : cell.padEnd(widths[i] ?? 0), cell))
    .join('  ')
    .trimEnd();

/**
 * On one line, and without what a terminal takes for a command: texts come from devices, and from whoever named a version.
 */
export const printable = (cell: Cell): string => {
  if (cell === null || cell === undefined) return '-';
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return String(cell).replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g, ' ');
};
