// What `npm start` prints: lines, and on a terminal one line that is drawn again and again.
export interface Display {
  line(text?: string): void;
  /** On a terminal, replaces the last progress; elsewhere, prints it now and then. */
  progress(text: string): void;
  /** Ends the progress with its last state. */
  done(): void;
}

const PLAIN_INTERVAL_MILLISECONDS = 2_000;

export function createDisplay({
  isPlain,
  output = process.stdout,
}: {
  isPlain: boolean;
  output?: NodeJS.WritableStream & { columns?: number };
}): Display {
  let pending: string | undefined;
  let printedAt = 0;
  const clear = () => {
    if (!isPlain && pending !== undefined) output.write('\r\x1b[2K');
  };
  return {
    line(text = '') {
      clear();
      output.write(`${text}\n`);
      if (!isPlain && pending !== undefined) output.write(pending);
    },
    progress(text) {
      clear();
      pending = isPlain ? text : text.slice(0, (output.columns ?? 80) - 1);
      if (!isPlain) output.write(pending);
      else if (Date.now() - printedAt >= PLAIN_INTERVAL_MILLISECONDS) {
        printedAt = Date.now();
        output.write(`${text}\n`);
      }
    },
    done() {
      if (pending !== undefined) output.write(isPlain ? `${pending}\n` : '\n');
      pending = undefined;
      printedAt = 0;
    },
  };
}

export const bar = (share: number, width = 24): string => {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return `${'█'.repeat(full)}${'░'.repeat(width - full)}`;
};
