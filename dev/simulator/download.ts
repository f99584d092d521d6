import { createHash } from 'node:crypto';
import type { Command } from './contract.ts';

const tries = 3;
const tryTimeoutMs = 60_000;

/** The bytes came, and are not the bytes that were announced. Trying again would not help. */
class WrongBytes extends Error {}

/**
 * Downloads the file of a command and checks it, keeping none of it. Answers what went wrong, in words that hold no link
 * (links are signed), or undefined. Throws only when `signal` ends it.
 */
export async function downloadAndVerify(
  command: Pick<Command, 'url' | 'sha256' | 'size_bytes'>,
  { signal, sleep, retryMs }: { signal: AbortSignal; sleep: (ms: number) => Promise<void>; retryMs: number },
): Promise<string | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await downloadOnce(command, AbortSignal.any([signal, AbortSignal.timeout(tryTimeoutMs)]));
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof WrongBytes) return error.message;
      if (attempt === tries) return `download failed after ${tries} tries: ${describe(error)}`;
    }
    await sleep(retryMs * 2 ** (attempt - 1));
  }
}

async function downloadOnce({ url, sha256, size_bytes }: Pick<Command, 'url' | 'sha256' | 'size_bytes'>, signal: AbortSignal) {
  const response = await fetch(url, { signal });
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`HTTP ${response.status}`);
  }
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.byteLength;
    if (size > size_bytes) throw new WrongBytes(`size mismatch: expected ${size_bytes} bytes, got more`);
    hash.update(chunk);
  }
  if (size < size_bytes) throw new WrongBytes(`size mismatch: expected ${size_bytes} bytes, got ${size}`);
  const digest = hash.digest('hex');
  if (digest !== sha256.toLowerCase()) throw new WrongBytes(`sha256 mismatch: expected ${sha256.toLowerCase()}, got ${digest}`);
}

function describe(error: unknown): string {
  const { cause, message, name } = error as Error & { cause?: { code?: string } };
  return cause?.code ?? (name === 'TimeoutError' ? 'timed out' : message);
}
