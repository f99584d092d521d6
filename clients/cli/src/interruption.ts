import { exitCodes } from './exit-codes.ts';

/** The reason of the signal when somebody has pressed Ctrl-C or the process was told to end. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

const controller = new AbortController();

/** Aborted by Ctrl-C, or when the process is told to end. */
export const interruption = (): AbortSignal => controller.signal;

/** From now on the first Ctrl-C ends what is under way in order, the second one at once. */
export const listenForInterruption = (): void => {
  const stop = () => {
    if (controller.signal.aborted) process.exit(exitCodes.interrupted);
    controller.abort(new Interrupted('Interrupted'));
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
};
