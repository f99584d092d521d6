import * as z from 'zod/mini';

/** Tests of the first bytes of a file. */
const startsWith = (text: string) => (head: Buffer) => head.subarray(0, text.length).equals(Buffer.from(text, 'latin1'));
const matches = (pattern: RegExp) => (head: Buffer) => pattern.test(head.toString('latin1'));

const kinds = {
  elf: startsWith('\x7fELF'),
  gzip: startsWith('\x1f\x8b'),
  /** Records of Intel HEX: a colon, then at least ten hexadecimal digits. */
  ihex: matches(/^:[0-9A-Fa-f]{10}/),
  /** MPEG audio, with a tag before it or without. */
  mp3: (head: Buffer) => startsWith('ID3')(head) || isMpegAudio(head),
  ogg: startsWith('OggS'),
  /** Motorola S-records. */
  srec: matches(/^S[0-9][0-9A-Fa-f]{8}/),
  /** A package of SWUpdate is a cpio archive whose first file is sw-description. */
  swu: matches(/^07070[12][0-9A-Fa-f]{104}sw-description\0/),
  uf2: startsWith('UF2\n\x57\x51\x5d\x9e'),
  wav: matches(/^RIFF.{4}WAVE/s),
  zip: startsWith('PK\x03\x04'),
} as const satisfies Record<string, (head: Buffer) => boolean>;

/** A frame's sync word, version, layer and bit rate, none of them of the reserved values. */
const isMpegAudio = ([first = 0, second = 0, third = 0]: Buffer): boolean =>
  first === 0xff && (second & 0xe0) === 0xe0 && (second & 0x18) !== 0x08 && (second & 0x06) !== 0 && (third & 0xf0) !== 0xf0;

export const FileKind = z.enum(Object.keys(kinds) as (keyof typeof kinds)[]);
export type FileKind = z.infer<typeof FileKind>;

/** Files that people put into a bucket by mistake, and that are no firmware. */
const mistakes = {
  'an HTML page': matches(/^(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b/is),
  'an error message of S3': matches(/^\s*(?:<\?xml[^>]*>\s*)?<Error>/),
  'a pointer of Git LFS': startsWith('version https://git-lfs.github.com/spec/'),
} as const satisfies Record<string, (head: Buffer) => boolean>;

/** This many bytes from the beginning suffice to tell the kind. */
const headBytes = 512;

/** What is known about the inside of a file after all of it has been seen. */
export interface FileContent {
  /** null: none of the known kinds. */
  kind: FileKind | null;
  /** What it is instead of a firmware; null: it is no known mistake. */
  mistake: string | null;
}

/** Inspects a file while it is streamed, chunk by chunk, and keeps only its first bytes. */
export class FileInspector {
  #head = Buffer.alloc(0);
  /** The byte that the whole file has consisted of so far; null: there are several. */
  #onlyByte: number | null | undefined;

  see(chunk: Uint8Array): void {
    if (this.#head.length < headBytes) this.#head = Buffer.concat([this.#head, chunk.subarray(0, headBytes - this.#head.length)]);
    if (this.#onlyByte === undefined && chunk.length > 0) this.#onlyByte = chunk[0];
    // For a real firmware the first chunk already answers this.
    if (typeof this.#onlyByte === 'number' && chunk.some((byte) => byte !== this.#onlyByte)) this.#onlyByte = null;
  }

  get content(): FileContent {
    const found = Object.entries(kinds).find(([, is]) => is(this.#head));
    return { kind: found ? (found[0] as FileKind) : null, mistake: this.#mistake };
  }

  get #mistake(): string | null {
    if (this.#onlyByte === 0x00 || this.#onlyByte === 0xff) {
      return `nothing but bytes 0x${this.#onlyByte.toString(16).padStart(2, '0')}`;
    }
    return Object.entries(mistakes).find(([, is]) => is(this.#head))?.[0] ?? null;
  }
}
