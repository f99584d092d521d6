import { type Command, InvalidArgumentError, Option } from 'commander';
import { type Client, createClient } from '../../api/src/index.ts';
import { type ExitCode, exitCodes } from './exit-codes.ts';
import { formatDuration } from './format.ts';
import { interruption } from './interruption.ts';
import { Output } from './output.ts';
import { Progress } from './progress.ts';
import { confirm } from './question.ts';
import { findSession, type Session } from './session.ts';

export interface CommonOptions {
  url?: string;
  json?: boolean;
  csv?: boolean;
  yes?: boolean;
}

/** What every command works with. */
export interface Context {
  readonly output: Output;
  readonly progress: Progress;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  session(): Session;
  client(options?: { attempts?: number; signal?: AbortSignal }): Client;
  /** Before what does harm. */
  confirm(question: string): Promise<void>;
}

export interface About {
  summary: string;
  /** More than fits into a line. */
  details?: string;
  examples: readonly string[];
  /** Asks before it does harm. */
  asks?: boolean;
  /** Answers many things, which can be had as CSV. */
  hasCsv?: boolean;
}

/** A command with the options that all have. */
export const addCommand = (parent: Command, usage: string, { summary, details, examples, asks, hasCsv }: About): Command => {
  const command = parent
    .command(usage)
    .summary(summary)
    .description(details === undefined ? summary : `${summary}\n\n${details}`);
  command.addHelpText('after', `\nExample${examples.length > 1 ? 's' : ''}:\n${examples.map((each) => `  $ ${each}`).join('\n')}`);
  if (asks) command.option('-y, --yes', 'do not ask');
  if (hasCsv) command.addOption(new Option('--csv', 'answer CSV').conflicts('json'));
  return command.option('--json', 'answer JSON').option('--url <address>', 'the service, instead of the one that was logged in to');
};

/** A word under which commands are gathered: `scu firmware …`. */
export const addGroup = (program: Command, name: string, summary: string): Command =>
  program.command(name).summary(summary).description(summary);

/** The action of a command: its work gets the context, the options and the arguments, and may answer an exit code. */
export const action =
  <Options extends object = object, Arguments extends unknown[] = []>(
    work: (context: Context, options: Options, ...parameters: Arguments) => Promise<ExitCode> | Promise<void>,
  ) =>
  async (...parameters: unknown[]): Promise<void> => {
    const options = parameters.at(-2) as Options & CommonOptions;
    const context = createContext(options);
    try {
      process.exitCode = (await work(context, options, ...(parameters.slice(0, -2) as Arguments))) ?? exitCodes.done;
    } finally {
      context.progress.clear();
    }
  };

const createContext = ({ url, json, csv, yes = false }: CommonOptions): Context => {
  const progress = new Progress();
  const session = () => findSession(url);
  return {
    output: new Output(json ? 'json' : csv ? 'csv' : 'table'),
    progress,
    signal: interruption(),
    session,
    client: ({ attempts, signal = interruption() } = {}) => {
      const { url: address, token } = session();
      const onRetry = ({ seconds, error }: { seconds: number; error: Error }) =>
        progress.show(`${error.message}; tried again in ${formatDuration(seconds)}`);
      return createClient({ url: address, token, signal, onRetry, ...(attempts !== undefined && { attempts }) });
    },
    confirm: (question) => confirm(question, { yes, signal: interruption() }),
  };
};

// Values of options. Each names what it takes, so that a wrong one is refused before anything is sent.

export const wholeNumber = (text: string): number => {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('A whole number is wanted.');
  return Number(text);
};

export const decimalNumber = (text: string): number => {
  if (!/^\d{1,15}(\.\d+)?$/.test(text)) throw new InvalidArgumentError('A number is wanted.');
  return Number(text);
};

/** `10 %`, `10%` or `10`. */
export const percentage = (text: string): number => decimalNumber(text.replace(/\s*%$/, ''));

/** What `--budget` means, of a zone and of an update. */
export const budgetHelp = 'so many of the devices of a zone at work at one moment at most, over all updates together: 10%';

const secondsPer = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** Seconds of `90s`, `30m`, `2h`; a number alone are seconds. */
export const duration = (text: string): number => {
  const [, number = '', unit = 's'] = /^(\d{1,9})([smhd])?$/.exec(text) ?? [];
  if (number === '') throw new InvalidArgumentError('A time like 90s, 30m or 2h is wanted.');
  return Number(number) * secondsPer[unit as keyof typeof secondsPer];
};

/** A moment, with its time zone or in that of this machine. */
export const moment = (text: string): string => {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) throw new InvalidArgumentError('A time like 2026-11-26T22:00:00+01:00 is wanted.');
  return time.toISOString();
};

/** For options that may be given several times. */
export const collected = (text: string, before: string[] = []): string[] => [...before, text];

/** Words with commas between them; the option may be given several times. */
export const words = (text: string, before: string[] = []): string[] => [
  ...before,
  ...text
    .split(',')
    .map((word) => word.trim())
    .filter(Boolean),
];
