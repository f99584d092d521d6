import { createRequire } from 'node:module';
import type { Send } from './request.ts';
import type { PutFile } from './upload.ts';

// Node's own modules are loaded when they are needed: most programs never upload, and start quicker so.

export const send: Send = (url, { method, headers, body, signal }) =>
  new Promise((resolve, reject) => {
    const { request } = protocolOf(url);
    const outgoing = request(url, { method, headers, signal }, (answer) => {
      const { statusCode: status = 0, headers: received } = answer;
      const headerOf = (name: string) => received[name]?.toString() ?? null;
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (part: string) => {
        text += part;
      });
      answer.on('end', () => resolve({ status, text, headerOf }));
      answer.on('error', reject);
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });

/** By `require`: an `import` of these would load everything that they export, `fetch` and its like among it, which takes longer than a request. */
const load = createRequire(import.meta.url);
const protocolOf = (url: string): typeof import('node:http') => load(url.startsWith('https:') ? 'node:https' : 'node:http');

/** The SHA-256 of a file, read once and held nowhere. */
export const sha256Of = async (file: Blob, onBytes: (bytes: number) => void): Promise<string> => {
  const { createHash } = await import('node:crypto');
  const { Readable } = await import('node:stream');
  const hash = createHash('sha256');
  for await (const chunk of Readable.fromWeb(file.stream() as never)) {
    hash.update(chunk as Uint8Array);
    onBytes((chunk as Uint8Array).byteLength);
  }
  return hash.digest('hex');
};

/**
 * Puts a file at a signed link. By `node:http`, not `fetch`: a `fetch` of a stream sends chunks without a length, which S3 refuses.
 */
export const putFile: PutFile = async ({ url, headers }, file, { onBytes, signal }) => {
  const { request } = protocolOf(url);
  const { pipeline } = await import('node:stream/promises');
  const { Readable } = await import('node:stream');
  let resolve: (answer: { status: number; text: string }) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<{ status: number; text: string }>((onAnswer, onError) => {
    resolve = onAnswer;
    // node:http says only that the request was aborted; whoever has aborted it knows why.
    reject = (error) => onError(signal?.aborted ? signal.reason : error);
  });
  const outgoing = request(
    url,
    { method: 'PUT', headers: { ...headers, 'content-length': file.size }, ...(signal && { signal }) },
    (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        text += chunk;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
      answer.on('error', reject);
    },
  );
  outgoing.on('error', reject);
  const counted = async function* (source: AsyncIterable<Uint8Array>) {
    for await (const chunk of source) {
      yield chunk;
      onBytes(chunk.byteLength);
    }
  };
  // S3 may answer, and close, before it has read everything: its answer says more than the broken pipe.
  pipeline(Readable.fromWeb(file.stream() as never), counted, outgoing).catch((error: unknown) => setTimeout(() => reject(error), 1_000));
  return promise;
};
