// What a file looks like by its first bytes, to warn before the wrong one goes to a fleet.

export type Look = 'empty' | 'elf' | 'gzip' | 'zip' | 'cpio' | 'git-lfs' | 'html' | 'ihex' | 'srec' | 'text' | 'binary';

/** So many of its first bytes are looked at. */
export const lookedAtBytes = 512;

const magic: readonly (readonly [Look, readonly number[]])[] = [
  ['elf', [0x7f, 0x45, 0x4c, 0x46]],
  ['gzip', [0x1f, 0x8b]],
  ['zip', [0x50, 0x4b, 0x03, 0x04]],
  ['cpio', [0x30, 0x37, 0x30, 0x37, 0x30]],
];

export const lookOf = (bytes: Uint8Array): Look => {
  if (bytes.length === 0) return 'empty';
  const known = magic.find(([, start]) => start.every((byte, index) => bytes[index] === byte));
  if (known) return known[0];
  if (!isText(bytes)) return 'binary';
  const beginning = new TextDecoder().decode(bytes).trimStart();
  if (beginning.startsWith('version https://git-lfs')) return 'git-lfs';
  if (/^<(!doctype|html|\?xml|head|body)/i.test(beginning)) return 'html';
  if (/^:[0-9a-f]{10,}\s/i.test(beginning)) return 'ihex';
  if (/^S[0-9][0-9a-f]{6,}\s/i.test(beginning)) return 'srec';
  return 'text';
};

/** Printable characters, line ends and tabs; UTF-8 beyond ASCII counts as text. */
const isText = (bytes: Uint8Array): boolean => bytes.every((byte) => byte >= 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d);

export interface Neighbour {
  version: string;
  look: Look | undefined;
  sizeBytes: number;
}

export type Warning =
  | { kind: 'suspicious'; look: Look }
  | { kind: 'other'; look: Look; before: Look; version: string }
  | { kind: 'size'; times: number; isLarger: boolean; version: string };

/** Never firmware, as far as anybody knows. */
const suspicious: readonly Look[] = ['empty', 'git-lfs', 'html', 'text'];
const oddTimes = 4;

/** What is odd about a file beside the last one of its hardware type; undefined: nothing is. */
export const findWarning = (look: Look, sizeBytes: number, last: Neighbour | undefined): Warning | undefined => {
  if (last?.look !== undefined && last.look !== look) return { kind: 'other', look, before: last.look, version: last.version };
  if (last?.look === undefined && suspicious.includes(look)) return { kind: 'suspicious', look };
  if (!last || last.sizeBytes === 0 || sizeBytes === 0) return undefined;
  const isLarger = sizeBytes > last.sizeBytes;
  const times = isLarger ? sizeBytes / last.sizeBytes : last.sizeBytes / sizeBytes;
  return times >= oddTimes ? { kind: 'size', times: Math.round(times), isLarger, version: last.version } : undefined;
};

/** What the name of a file says of it: `vega_mcu-1.5.0.bin` is vega_mcu 1.5.0. */
export const guessFrom = (name: string, hardwareTypes: readonly string[]): { hardware_type: string; version: string } => {
  const bare = name.replace(/\.(bin|hex|elf|img|fw|gz|zip|swu|mp3|wav|ogg|uf2|srec|s19)$/i, '');
  const hardware_type = hardwareTypes.toSorted((a, b) => b.length - a.length).find((type) => bare.toLowerCase().includes(type)) ?? '';
  const rest = hardware_type === '' ? bare : bare.slice(bare.toLowerCase().indexOf(hardware_type) + hardware_type.length);
  return { hardware_type, version: /v?(\d+(?:\.\d+)+[\w.+-]*)/i.exec(rest)?.[1] ?? '' };
};
