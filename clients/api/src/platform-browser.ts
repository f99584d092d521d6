import type { Send } from './request.ts';
import type { PutFile } from './upload.ts';

export const send: Send = async (url, { method, headers, body, signal }) => {
  const answer = await fetch(url, { method, headers, signal, ...(body !== undefined && { body }) });
  return { status: answer.status, text: await answer.text(), headerOf: (name) => answer.headers.get(name) };
};

/** The SHA-256 of a file. WebCrypto cannot stream: a page with large files hashes them in a worker and hands the hash over. */
export const sha256Of = async (file: Blob, onBytes: (bytes: number) => void): Promise<string> => {
  const digest = await crypto.subtle.digest('SHA-256', await file.arrayBuffer());
  onBytes(file.size);
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
};

/** Puts a file at a signed link. By `XMLHttpRequest`, because `fetch` tells nothing of progress. */
export const putFile: PutFile = ({ url, headers }, file, { onBytes, signal }) =>
  new Promise((resolve, reject) => {
    const outgoing = new XMLHttpRequest();
    let sent = 0;
    outgoing.upload.onprogress = ({ loaded }) => {
      onBytes(loaded - sent);
      sent = loaded;
    };
    outgoing.onload = () => resolve({ status: outgoing.status, text: outgoing.responseText });
    outgoing.onerror = () => reject(new Error('The connection to the file storage was lost'));
    outgoing.onabort = () => reject(signal?.reason);
    signal?.addEventListener('abort', () => outgoing.abort(), { once: true });
    outgoing.open('PUT', url);
    // The browser sets the length itself and refuses to be told.
    for (const [name, value] of Object.entries(headers))
      if (name.toLowerCase() !== 'content-length') outgoing.setRequestHeader(name, value);
    outgoing.send(file);
  });
