import { openPackage, type SignedFile } from './author-verifier.ts';
import type { Command } from './contract.ts';
import { keeping, noBytes } from './device-trust.ts';
import { Refused, verifyFile } from './manifest-verifier.ts';

interface WantedFile extends Pick<Command, 'url' | 'sha256' | 'size_bytes'> {
  /** The signed parts of a package, if the device takes only what authors have signed. */
  signed_parts?: readonly SignedFile[] | undefined;
}

const tries = 3;
const tryTimeoutMs = 60_000;

/**
 * Downloads the file of a command and checks it. The bytes are kept only for a package whose parts are signed, because it is opened. Answers
 * what went wrong, or undefined; the text has no link, because links are secret. Throws only when `signal` ends it.
 */
export async function downloadAndVerify(
  command: WantedFile,
  { signal, sleep, retryMs }: { signal: AbortSignal; sleep: (ms: number) => Promise<void>; retryMs: number },
): Promise<string | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await downloadOnce(command, AbortSignal.any([signal, AbortSignal.timeout(tryTimeoutMs)]));
      return undefined;
    } catch (error) {
      signal.throwIfAborted();
      // All bytes came, but they are not the announced ones: trying again would not help.
      if (error instanceof Refused) return error.message;
      if (attempt === tries) return `download failed after ${tries} tries: ${describe(error)}`;
    }
    await sleep(retryMs * 2 ** (attempt - 1));
  }
}

async function downloadOnce({ url, sha256, size_bytes, signed_parts }: WantedFile, signal: AbortSignal) {
  const response = await fetch(url, { signal });
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`HTTP ${response.status}`);
  }
  const kept: Uint8Array[] | undefined = signed_parts && [];
  await verifyFile({ size_bytes, sha256: sha256.toLowerCase() }, keeping(response.body ?? noBytes(), kept));
  if (signed_parts && kept) openPackage(Buffer.concat(kept), signed_parts);
}

function describe(error: unknown): string {
  const { cause, message, name } = error as Error & { cause?: { code?: string } };
  return cause?.code ?? (name === 'TimeoutError' ? 'timed out' : message);
}
