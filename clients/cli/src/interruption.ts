import { exitCodes } from './exit-codes.ts';

/** The reason of the signal when somebody has pressed Ctrl-C or the process was told to end. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/** The first Ctrl-C ends what is under way in order, the second one at once. */
export const listenForInterruption = (): AbortSignal => {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) process.exit(exitCodes.interrupted);
    controller.abort(new Interrupted('Interrupted'));
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  return controller.signal;
};
