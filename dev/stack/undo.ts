/** What takes back what was done, step by step. */
export interface Undo {
  push(step: () => unknown): void;
  /** The last step first, each once: whoever calls again waits for the same end. */
  run(): Promise<void>;
}

/** For whoever starts several things, each of which has to be stopped when a later one fails. */
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
