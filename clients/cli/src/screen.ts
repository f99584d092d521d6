const sequences = {
  hideCursor: '\x1b[?25l',
  showCursor: '\x1b[?25h',
  /** Between these a terminal shows nothing: it draws what came as one picture. Those that do not know them ignore them. */
  begin: '\x1b[?2026h',
  end: '\x1b[?2026l',
  eraseLineEnd: '\x1b[K',
  eraseBelow: '\x1b[J',
  clear: '\x1b[H\x1b[J',
};

/** Lines on a terminal that are replaced in place, by one write: nothing flickers, and the last state stays in the scrollback. */
export class Screen {
  readonly #stream: NodeJS.WriteStream;
  #height = 0;
  #isResized = false;
  readonly #onResize = () => {
    this.#isResized = true;
  };

  constructor(stream = process.stdout) {
    this.#stream = stream;
    stream.write(sequences.hideCursor);
    stream.on('resize', this.#onResize);
  }

  get width(): number {
    return this.#stream.columns || 80;
  }

  /** What does not fit is cut off. */
  draw(lines: readonly string[]): void {
    const shown = lines.slice(0, Math.max(1, (this.#stream.rows || 24) - 1)).map((line) => cut(line, this.width - 1));
    // After a change of the width nobody knows on how many lines the last picture stands.
    const home = this.#isResized ? sequences.clear : this.#height > 0 ? `\x1b[${this.#height}A\r` : '';
    this.#isResized = false;
    const picture = shown.map((line) => `${line}${sequences.eraseLineEnd}\n`).join('');
    this.#stream.write(`${sequences.begin}${home}${picture}${sequences.eraseBelow}${sequences.end}`);
    this.#height = shown.length;
  }

  close(): void {
    this.#stream.off('resize', this.#onResize);
    this.#stream.write(sequences.showCursor);
  }
}

/** To so many characters that are seen; colours take no room. */
export const cut = (line: string, width: number): string => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours begin with one
  const parts = line.split(/(\x1b\[\d+m)/);
  let room = width;
  const kept = parts.map((part, i) => {
    if (i % 2 === 1) return part;
    const characters = [...part];
    const text = characters.length <= room ? part : `${characters.slice(0, Math.max(0, room - 1)).join('')}${room > 0 ? '…' : ''}`;
    room -= Math.min(room, characters.length);
    return text;
  });
  return kept.join('');
};
