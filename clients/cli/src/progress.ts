import type { UploadProgress } from '../../api/src/index.ts';
import { bar, formatBytes, formatDuration } from './format.ts';

/** One line on standard error that is drawn again and again; nothing where that is no terminal. */
export class Progress {
  readonly #stream: NodeJS.WriteStream;
  readonly #isShown: boolean;
  #isDrawn = false;

  constructor(stream = process.stderr) {
    this.#stream = stream;
    this.#isShown = stream.isTTY === true;
  }

  show(text: string): void {
    if (!this.#isShown) return;
    this.#stream.write(`\r${text.slice(0, (this.#stream.columns ?? 80) - 1)}\x1b[K`);
    this.#isDrawn = true;
  }

  clear(): void {
    if (this.#isDrawn) this.#stream.write('\r\x1b[K');
    this.#isDrawn = false;
  }

  /** For people, and also where nobody looks: a line of a log. */
  note(text: string): void {
    this.clear();
    this.#stream.write(`${text}\n`);
  }
}

const drawMilliseconds = 100;

/** Shows bytes on their way: bar, amount, speed and the time left. */
export const bytesShownBy = (progress: Progress) => {
  let phase = '';
  let began = 0;
  let drawn = 0;
  return ({ phase: now, bytes, totalBytes }: Pick<UploadProgress, 'bytes' | 'totalBytes'> & { phase: string }): void => {
    if (now !== phase) {
      phase = now;
      began = Date.now();
    } else if (Date.now() - drawn < drawMilliseconds) return;
    drawn = Date.now();
    const share = totalBytes === 0 ? 0 : bytes / totalBytes;
    const perSecond = bytes / Math.max(0.001, (drawn - began) / 1_000);
    const left = perSecond === 0 ? '' : `  ${formatBytes(perSecond)}/s  ${formatDuration((totalBytes - bytes) / perSecond)} left`;
    const amount = `${formatBytes(bytes)} of ${formatBytes(totalBytes)}${left}`;
    progress.show(bytes === 0 ? `${phase} …` : `${phase} ${bar(share, 24)} ${String(Math.floor(share * 100)).padStart(3)} %  ${amount}`);
  };
};
