// Beside the page, so that it stays alive while a large file is read: the SHA-256 of a file, piece by piece.
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';

export type HashMessage = { bytes: number } | { sha256: string } | { error: string };

const tell = (message: HashMessage): void => postMessage(message);

/** Not after every piece: a page does not draw that often. */
const bytesBetweenMessages = 1_000_000;

const hash = async (file: Blob): Promise<string> => {
  const hashing = sha256.create();
  const reader = file.stream().getReader();
  let bytes = 0;
  let told = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return bytesToHex(hashing.digest());
    hashing.update(value);
    bytes += value.byteLength;
    if (bytes - told < bytesBetweenMessages) continue;
    told = bytes;
    tell({ bytes });
  }
};

addEventListener('message', async ({ data }: MessageEvent<Blob>) => {
  try {
    tell({ sha256: await hash(data) });
  } catch (error) {
    tell({ error: error instanceof Error ? error.message : String(error) });
  }
});
