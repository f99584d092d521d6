import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { vi } from 'vitest';

/** `script` of util-linux, which gives a program a terminal. It is part of every Debian, and not of other systems. */
export const hasTerminal = spawnSync('script', ['--version']).stdout?.includes('util-linux') ?? false;

export interface Terminal {
  /** All that was written to it, also what nobody sees. */
  text(): string;
  waitFor(text: string | RegExp): Promise<void>;
  /** As if typed. */
  type(text: string): void;
  exitCode: Promise<number | null>;
  close(): void;
}

export interface RunOptions {
  cwd: string;
  env: NodeJS.ProcessEnv;
}

/** A command in a pseudo-terminal of 40 lines and 100 columns, on which one can type. Whoever opens it closes it. */
export const openTerminal = (command: string, { cwd, env }: RunOptions): Terminal => {
  const child = spawn('script', ['-qefc', `stty rows 40 cols 100; exec ${command}`, '/dev/null'], {
    cwd,
    env: { ...env, TERM: 'xterm-256color' },
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  return {
    text: () => text,
    waitFor: (wanted) => vi.waitFor(() => expectIn(visible(text), wanted), { timeout: 30_000, interval: 30 }),
    type: (typed) => void child.stdin.write(typed),
    exitCode: ended(child),
    close: () => void child.kill(),
  };
};

/** Without what moves the cursor or colours. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
const visible = (text: string): string => text.replace(/\x1b\[[?\d;]*[A-Za-z]|[\x07\x08]/g, '');

const expectIn = (text: string, wanted: string | RegExp): void => {
  if (typeof wanted === 'string' ? !text.includes(wanted) : !wanted.test(text)) throw new Error(`No ${wanted} in: ${text}`);
};

export const ended = (child: ChildProcess): Promise<number | null> => new Promise((resolve) => child.on('close', resolve));
