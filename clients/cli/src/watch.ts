import { failedOf, totalOf, type UpdateDetail, type Wait, waitsOf, watchUpdate } from '../../api/src/index.ts';
import type { Context } from './command.ts';
import { CommandError, type ExitCode, exitCodes, UsageError } from './exit-codes.ts';
import { formatDuration, formatNumber } from './format.ts';
import { Screen } from './screen.ts';
import { updateLine, updateView } from './update-view.ts';

export interface WatchOptions {
  /** Seconds. */
  timeout?: number;
  until?: 'canary' | 'rest' | 'end';
  /** A number of devices, or a share of them like `2%`. */
  acceptFailures?: string;
}

const redrawMilliseconds = 1_000;
const lineMilliseconds = 5_000;
/** The service may be away for a while: whoever watches for hours does not want to begin anew. */
const attempts = 30;

/** Shows an update until it has ended, and answers how it did. */
export const watch = async (context: Context, id: number, options: WatchOptions): Promise<ExitCode> => {
  const isAccepted = acceptanceOf(options.acceptFailures);
  const timeout = options.timeout === undefined ? undefined : AbortSignal.timeout(options.timeout * 1_000);
  const signal = timeout ? AbortSignal.any([context.signal, timeout]) : context.signal;
  const display = displayFor(context, options.until === 'rest' ? [] : [restHint]);
  try {
    const client = context.client({ attempts, signal });
    for await (const update of watchUpdate(client, id, { signal })) {
      await display.show(update, display.showsWaits && update.counts.QUEUED > 0 ? await waitsOf(client, id, { signal }) : []);
      const exitCode = options.until === 'canary' ? afterCanary(update) : undefined;
      if (exitCode !== undefined) return exitCode;
      if (options.until === 'rest' && isAtRest(update)) return hasSucceeded(update, isAccepted) ? exitCodes.done : exitCodes.unsuccessful;
      if (update.finished_dt !== null) return isSuccess(update, isAccepted) ? exitCodes.done : exitCodes.unsuccessful;
    }
    return exitCodes.error;
  } catch (error) {
    if (!context.signal.aborted && timeout?.aborted)
      throw new CommandError(
        `Update ${id} has not ended within ${formatDuration(options.timeout ?? 0)}. It goes on; see it again: scu update watch ${id}`,
        exitCodes.timeout,
      );
    if (context.signal.aborted) context.progress.note(`Update ${id} goes on; see it again: scu update watch ${id}`);
    throw error;
  } finally {
    display.close();
  }
};

/** Of an update that stays open. It says that it rests when it has had nothing to do for a minute. */
const hasNothingToDo = ({ continuous, finished_dt, counts }: UpdateDetail): boolean =>
  continuous && finished_dt === null && counts.QUEUED + counts.IN_PROGRESS === 0;
const isAtRest = (update: UpdateDetail): boolean => update.rests_dt !== null && hasNothingToDo(update);
const restHint = 'The watching goes on: Ctrl-C ends it, and with --until rest it would end here.';

/** Undefined: nothing is decided yet. An update without a canary has passed it. */
const afterCanary = ({ canary, canary_passed_dt, status }: UpdateDetail): ExitCode | undefined => {
  if (canary === null || canary_passed_dt !== null) return exitCodes.done;
  const mayPass = status === 'WAITING_FOR_APPROVAL' || status === 'SCHEDULED' || status === 'IN_PROGRESS' || status === 'COMPLETED';
  return mayPass ? undefined : exitCodes.unsuccessful;
};

type IsAccepted = (failed: number, total: number) => boolean;

const isSuccess = (update: UpdateDetail, isAccepted: IsAccepted): boolean =>
  update.status === 'COMPLETED' && hasSucceeded(update, isAccepted);

const hasSucceeded = ({ counts, late_successes }: UpdateDetail, isAccepted: IsAccepted): boolean =>
  isAccepted(Math.max(0, failedOf(counts) - late_successes), totalOf(counts));

const acceptanceOf = (text = '0'): IsAccepted => {
  const [, number = '', sign] = /^(\d+(?:\.\d+)?)\s*(%?)$/.exec(text.trim()) ?? [];
  if (number === '') throw new UsageError(`--accept-failures ${text}: a number of devices, or a share like 2%, is wanted`);
  return sign === '%' ? (failed, total) => failed * 100 <= Number(number) * total : (failed) => failed <= Number(number);
};

interface Display {
  showsWaits: boolean;
  show(update: UpdateDetail, waits: readonly Wait[]): Promise<void>;
  close(): void;
}

/** @param whenIdle what is said besides of an update that has nothing to do */
const displayFor = ({ output, progress }: Context, whenIdle: readonly string[]): Display => {
  if (output.format === 'json') return jsonDisplay(output.json);
  if (output.isTerminal) return screenDisplay(output.paint, whenIdle);
  return lineDisplay(async (line) => {
    progress.clear();
    await output.line(line);
  }, whenIdle);
};

/** One line of JSON for each state that differs from the one before. */
const jsonDisplay = (print: (value: unknown) => Promise<void>): Display => {
  let last = '';
  return {
    showsWaits: false,
    async show(update) {
      const state = JSON.stringify(update);
      if (state !== last) await print(update);
      last = state;
    },
    close() {},
  };
};

/**
 * A line of a log every few seconds; the first, the last and what changes the status at once. While an update that stays open has nothing to do,
 * there is nothing to log.
 */
const lineDisplay = (print: (line: string) => Promise<void>, whenIdle: readonly string[]): Display => {
  let printedAt = 0;
  let lastStatus = '';
  let wasIdle = false;
  return {
    showsWaits: false,
    async show(update) {
      const now = new Date();
      const isIdle = hasNothingToDo(update);
      const isNews = update.status !== lastStatus || isIdle !== wasIdle || update.finished_dt !== null;
      if (!isNews && (isIdle || now.getTime() - printedAt < lineMilliseconds)) return;
      printedAt = now.getTime();
      lastStatus = update.status;
      wasIdle = isIdle;
      await print(updateLine(update, now));
      for (const line of isIdle ? whenIdle : []) await print(line);
      if (update.finished_dt === null) return;
      for (const { status, reason, count, texts } of update.reasons)
        if (reason !== null) await print(`  ${status} ${formatNumber(count)}x ${[reason, texts[0]?.text].filter(Boolean).join(': ')}`);
    },
    close() {},
  };
};

/** Drawn every second: times that are left go on while nothing new comes. */
const screenDisplay = (paint: Context['output']['paint'], whenIdle: readonly string[]): Display => {
  const screen = new Screen();
  let latest: [UpdateDetail, readonly Wait[]] | undefined;
  const draw = () => {
    if (!latest) return;
    const [update, waits] = latest;
    const lines = updateView(update, { paint, width: screen.width, now: new Date(), waits });
    screen.draw([...lines, ...(hasNothingToDo(update) ? whenIdle.map((line) => paint('faint', line)) : [])]);
  };
  const timer = setInterval(draw, redrawMilliseconds);
  return {
    showsWaits: true,
    async show(update, waits) {
      latest = [update, waits];
      draw();
    },
    close() {
      clearInterval(timer);
      screen.close();
    },
  };
};
