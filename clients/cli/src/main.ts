// The command `scu`.
import { CommanderError } from 'commander';
import { exitCodes } from './exit-codes.ts';
import { listenForInterruption } from './interruption.ts';
import { completionSummary, createProgram } from './program.ts';

const main = async (): Promise<void> => {
  listenForInterruption();
  // `scu device list | head`: nobody reads any more, which is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? exitCodes.done : exitCodes.error));
  const [word = '--help'] = process.argv.slice(2);
  // These look at all commands.
  const needsAll = word === 'complete' || word === 'completion' || word === 'help';
  const program = await createProgram(needsAll ? undefined : word);
  if (needsAll) await (await import('./commands/completion.ts')).addCompletionCommands(program);
  else program.command('completion').summary(completionSummary);
  try {
    await program.parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      // It has printed its message, or the help that was asked for.
      process.exitCode = error.exitCode === 0 || error.code === 'commander.help' ? exitCodes.done : exitCodes.usage;
      return;
    }
    const { explainFailure } = await import('./failure.ts');
    const { text, exitCode } = explainFailure(error);
    process.stderr.write(`scu: ${text}\n`);
    process.exitCode = exitCode;
  }
};

await main();
