// The command `scu`.
import { CommanderError } from 'commander';
import { setInterruption } from './command.ts';
import { exitCodes } from './exit-codes.ts';
import { explainFailure } from './failure.ts';
import { listenForInterruption } from './interruption.ts';
import { createProgram } from './program.ts';

const main = async (): Promise<void> => {
  setInterruption(listenForInterruption());
  // `scu device list | head`: nobody reads any more, which is no failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? exitCodes.done : exitCodes.error));
  const program = createProgram();
  const [word] = process.argv.slice(2);
  const isAboutCompletion = word === undefined || word === 'complete' || word === 'completion' || word.startsWith('-') || word === 'help';
  if (isAboutCompletion) await (await import('./commands/completion.ts')).addCompletionCommands(program);
  try {
    await program.parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      // It has printed its message, or the help that was asked for.
      process.exitCode = error.exitCode === 0 || error.code === 'commander.help' ? exitCodes.done : exitCodes.usage;
      return;
    }
    const { text, exitCode } = explainFailure(error);
    process.stderr.write(`scu: ${text}\n`);
    process.exitCode = exitCode;
  }
};

await main();
