/** Takes back what was done, step by step. */
export interface Undo {
  push(step: () => unknown): void;
  /** Undoes the last step first, and each step once. A second call waits for the end of the first. */
  run(): Promise<void>;
}

/** For code that starts several things and has to stop them when a later one fails. */
export const createUndo = (): Undo => {
  const steps: (() => unknown)[] = [];
  let running: Promise<void> | undefined;
  const takeBack = async () => {
    for (let step = steps.pop(); step; step = steps.pop()) await step();
  };
  return {
    push: (step) => void steps.push(step),
    run: () => {
      running ??= takeBack();
      return running;
    },
  };
};

/** Work that starts several things, all of which are stopped when it has ended, well or not. */
export async function withUndo<Result>(work: (undo: Undo) => Promise<Result>): Promise<Result> {
  const undo = createUndo();
  try {
    return await work(undo);
  } finally {
    await undo.run();
  }
}
