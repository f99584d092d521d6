import { readFileSync, renameSync, writeFileSync } from 'node:fs';

/** Writes a file that only its owner may read. A reader sees the old content or the new one, never a part of it. */
export function writePrivateFile(file: string, content: string): void {
  const temporary = `${file}.${process.pid}`;
  writeFileSync(temporary, content, { mode: 0o600 });
  renameSync(temporary, file);
}

/** Undefined when there is none, or none that can be read as JSON. */
export function readPrivateJson<T>(file: string): T | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as T;
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
