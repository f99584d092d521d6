// The files that are being uploaded. They go on while somebody looks at another page of the console.
import { useSyncExternalStore } from 'react';
import { type Client, type ListedFirmware, uploadFirmware } from '../../../api/src/index.ts';
import { wordsOf } from '../filter/filter.ts';
import { type Look, lookedAtBytes, lookOf, type Neighbour } from './file-looks.ts';
import { hashFile } from './hash-file.ts';

export type Phase = 'ready' | 'hashing' | 'uploading' | 'registering' | 'done' | 'failed' | 'canceled';

export interface Upload {
  key: string;
  file: File;
  hardware_type: string;
  version: string;
  comment: string;
  /** As typed; empty: for all of them. */
  revisions: string;
  phase: Phase;
  /** Of the file, in this phase. */
  bytes: number;
  /** Kept for another try. */
  sha256: string | undefined;
  look: Look;
  error: unknown;
  /** What has become of it: perhaps it has yet to be signed. */
  firmware: { id: number; status: ListedFirmware['status'] } | undefined;
}

let uploads: readonly Upload[] = [];
const listeners = new Set<() => void>();
const aborts = new Map<string, AbortController>();

const set = (next: readonly Upload[]): void => {
  uploads = next;
  for (const listener of listeners) listener();
};

export const useUploads = (): readonly Upload[] =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => uploads,
  );

export const changeUpload = (key: string, changes: Partial<Upload>): void =>
  set(uploads.map((upload) => (upload.key === key ? { ...upload, ...changes } : upload)));

export const addFile = async (file: File, guess: Pick<Upload, 'hardware_type' | 'version'>): Promise<void> => {
  const look = lookOf(new Uint8Array(await file.slice(0, lookedAtBytes).arrayBuffer()));
  const untouched = {
    comment: '',
    revisions: '',
    phase: 'ready',
    bytes: 0,
    sha256: undefined,
    error: undefined,
    firmware: undefined,
  } as const;
  set([...uploads, { ...untouched, ...guess, key: crypto.randomUUID(), file, look }]);
};

export const removeUpload = (key: string): void => {
  aborts.get(key)?.abort(new DOMException('Canceled', 'AbortError'));
  set(uploads.filter((upload) => upload.key !== key));
};

export const cancelUpload = (key: string): void => aborts.get(key)?.abort(new DOMException('Canceled', 'AbortError'));

export const isAtWork = ({ phase }: Upload): boolean => phase === 'hashing' || phase === 'uploading' || phase === 'registering';

/** Hash, reserve, send, wait until it is registered. After a failure it goes on where it can: a repetition sends nothing twice. */
export const startUpload = async (api: Client, { key, file, ...upload }: Upload): Promise<boolean> => {
  const abort = new AbortController();
  aborts.set(key, abort);
  const { signal } = abort;
  try {
    changeUpload(key, { phase: 'hashing', bytes: 0, error: undefined });
    const sha256 = upload.sha256 ?? (await hashFile(file, (bytes) => changeUpload(key, { bytes }), signal));
    changeUpload(key, { sha256 });
    const { hardware_type, version, comment } = upload;
    const revisions = wordsOf(upload.revisions);
    const described = { hardware_type, version, comment, filename: file.name, ...(revisions.length > 0 && { revisions }) };
    const firmware = await uploadFirmware(api, described, file, {
      ...{ sha256, signal },
      onProgress: ({ phase, bytes }) => changeUpload(key, { phase, bytes }),
    });
    changeUpload(key, { phase: 'done', firmware });
    return true;
  } catch (error) {
    changeUpload(key, signal.aborted ? { phase: 'canceled' } : { phase: 'failed', error });
    return false;
  } finally {
    aborts.delete(key);
  }
};

/** The newest firmware of a hardware type, and what its file looks like where the storage lets a page read its beginning. */
export const findNeighbour = async (api: Client, hardware_type: string): Promise<Neighbour | undefined> => {
  const { items } = await api.listFirmwares({ hardware_type, status: 'available', links: true, limit: 500 });
  const newest = items.toSorted((a, b) => (b.version_num ?? 0) - (a.version_num ?? 0))[0];
  if (!newest) return undefined;
  const { version, size_bytes, download_url } = newest;
  return { version, sizeBytes: size_bytes ?? 0, look: download_url ? await lookAt(download_url) : undefined };
};

const lookAt = async (url: string): Promise<Look | undefined> => {
  try {
    const answer = await fetch(url, { headers: { range: `bytes=0-${lookedAtBytes - 1}` } });
    return answer.ok ? lookOf(new Uint8Array(await answer.arrayBuffer()).slice(0, lookedAtBytes)) : undefined;
  } catch {
    return undefined;
  }
};
