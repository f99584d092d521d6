import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Command, Confirmation } from './contract.ts';
import type { Plan } from './fleet.ts';

export interface Accepted {
  command: Command;
  plan: Plan;
}

/** `key` is execution_id/attempt. */
export type JournalEntry =
  | ({ type: 'accepted'; at: string; key: string } & Accepted)
  | { type: 'rejected'; at: string; key: string; reason: string }
  /** One line has both what the device runs and the report that it still has to send, so that a crash cannot lose only one of them. */
  | {
      type: 'finished';
      at: string;
      key: string;
      command: Pick<Command, 'kind' | 'external_id' | 'hardware_type'>;
      runs: string;
      report?: Confirmation;
    }
  | { type: 'reported'; at: string; keys: string[]; how: 'delivered' | 'dropped' };

export interface Journal {
  append(entries: JournalEntry[]): void;
  close(): void;
}

export const noJournal: Journal = { append: () => {}, close: () => {} };

/**
 * Opens a file of JSON lines and hands each complete line to `replay`. When `append` returns, the operating system has the line: it survives
 * a kill -9, but not a power cut. An incomplete last line (the process was killed while writing) is cut off; nobody has relied on it yet.
 * Throws when another line cannot be read. The file has signed links, so only its owner may read it.
 */
export function openJournal(path: string, replay: (entry: JournalEntry) => void): Journal {
  mkdirSync(dirname(path), { recursive: true });
  const file = openSync(path, 'a+', 0o600);
  try {
    const content = readFileSync(file);
    const end = content.lastIndexOf(0x0a) + 1;
    let line = 0;
    for (let start = 0; start < end; ) {
      const stop = content.indexOf(0x0a, start);
      line += 1;
      replay(parseLine(content.toString('utf8', start, stop), `${path}:${line}`));
      start = stop + 1;
    }
    if (end < content.length) ftruncateSync(file, end);
  } catch (error) {
    closeSync(file);
    throw error;
  }
  let open = true;
  return {
    append(entries) {
      if (!open) throw new Error('the journal is closed'); // the number of the descriptor may be another file's by now
      const lines = Buffer.from(entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
      for (let written = 0; written < lines.length; ) written += writeSync(file, lines, written);
    },
    close() {
      if (open) closeSync(file);
      open = false;
    },
  };
}

function parseLine(text: string, where: string): JournalEntry {
  try {
    return JSON.parse(text) as JournalEntry;
  } catch (cause) {
    throw new Error(`${where}: not a line of a simulator journal`, { cause });
  }
}
