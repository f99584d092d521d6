import { hashWorkerUrl } from '../settings.ts';
import type { HashMessage } from './hash-worker.ts';

/** The SHA-256 of a file, in hexadecimal digits. */
export const hashFile = (file: Blob, onBytes: (bytes: number) => void, signal: AbortSignal): Promise<string> =>
  new Promise<string>((resolve, reject) => {
    const worker = new Worker(hashWorkerUrl, { type: 'module' });
    const end = (settle: () => void) => {
      worker.terminate();
      settle();
    };
    worker.onmessage = ({ data }: MessageEvent<HashMessage>) => {
      if ('bytes' in data) onBytes(data.bytes);
      else if ('sha256' in data) end(() => resolve(data.sha256));
      else end(() => reject(new Error(data.error)));
    };
    worker.onerror = ({ message }) => end(() => reject(new Error(message || 'The file could not be read')));
    signal.addEventListener('abort', () => end(() => reject(signal.reason)), { once: true });
    worker.postMessage(file);
  });
