import { CommandError, exitCodes, UsageError } from './exit-codes.ts';

/**
 * Asks before something that cannot be taken back. Goes on after a yes.
 *
 * @throws UsageError where nobody can be asked and --yes is missing.
 */
export const confirm = async (question: string, { yes, signal }: { yes: boolean; signal: AbortSignal }): Promise<void> => {
  if (yes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY) throw new UsageError(`${question} Nobody can be asked here: say --yes`);
  const { createInterface } = await import('node:readline/promises');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // In raw mode Ctrl-C is a key, not a signal.
  terminal.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  try {
    const answer = await terminal.question(`${question} [y/N] `, { signal }).catch((error: unknown) => {
      if (signal.aborted) process.stderr.write('\n');
      throw signal.aborted ? signal.reason : error;
    });
    if (!/^y(es)?$/i.test(answer.trim())) throw new CommandError('Nothing was done.', exitCodes.error);
  } finally {
    terminal.close();
  }
};
