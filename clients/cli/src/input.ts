import { readFile } from 'node:fs/promises';
import { text as textOf } from 'node:stream/consumers';
import { UsageError } from './exit-codes.ts';

/** A file's text; `-` is standard input. */
export const readText = async (file: string): Promise<string> => {
  if (file !== '-') return readFile(file, 'utf8');
  if (process.stdin.isTTY) throw new UsageError('Standard input is a terminal: pipe something into it, or name a file');
  return textOf(process.stdin);
};
