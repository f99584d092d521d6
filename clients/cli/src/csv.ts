import { UsageError } from './exit-codes.ts';
import type { Cell } from './format.ts';

export interface CsvRow {
  /** Of the file, from 1, as an editor counts: where the row begins. */
  line: number;
  cells: string[];
}

/**
 * Reads CSV (RFC 4180): quoted cells may hold separators, quotes and ends of lines. The separator is the comma, or the semicolon or
 * tab when the first line has that and no comma, as spreadsheets write them. Empty lines are left out.
 *
 * @throws UsageError for a quote that is never closed.
 */
export const parseCsv = (text: string): CsvRow[] => {
  const content = text.replace(/^\uFEFF/, '').replace(/\r\n?/g, '\n');
  const separator = separatorOf(content.split('\n', 1)[0] ?? '');
  const rows: CsvRow[] = [];
  let row: CsvRow = { line: 1, cells: [] };
  let line = 1;
  let cell = '';
  let quotedSince: number | null = null;
  const endCell = () => {
    row.cells.push(cell.trim());
    cell = '';
  };
  const endRow = () => {
    endCell();
    if (row.cells.some((each) => each !== '')) rows.push(row);
    row = { line, cells: [] };
  };
  for (let i = 0; i < content.length; i += 1) {
    const character = content[i] as string;
    if (character === '\n') line += 1;
    if (quotedSince !== null) {
      if (character !== '"') cell += character;
      else if (content[i + 1] === '"') {
        cell += '"';
        i += 1;
      } else quotedSince = null;
    } else if (character === '"' && cell.trim() === '') {
      quotedSince = line;
      cell = '';
    } else if (character === separator) endCell();
    else if (character === '\n') endRow();
    else cell += character;
  }
  if (quotedSince !== null) throw new UsageError(`Line ${quotedSince}: a quote begins there and is never closed`);
  endRow();
  return rows;
};

const separatorOf = (firstLine: string): string => [',', ';', '\t'].find((each) => firstLine.includes(each)) ?? ',';

export const formatCsvRow = (cells: readonly Cell[]): string =>
  cells
    .map((cell) => {
      const text = cell === null || cell === undefined ? '' : String(cell);
      return /[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    })
    .join(',');
