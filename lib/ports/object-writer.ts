import type { ObjectVersion } from './storage.ts';

/**
 * Bytes that the bucket has already, in an object with `size_bytes`: they begin at `offset` there. Whatever follows them in that object has to
 * follow here, up to its end.
 */
export interface StoredBytes {
  bytes: Uint8Array;
  object: ObjectVersion;
  offset: number;
  size_bytes: number;
}

export const bytesOf = (piece: Uint8Array | StoredBytes): Uint8Array => (piece instanceof Uint8Array ? piece : piece.bytes);

/** Writes packages into the bucket of firmware files (`Storage` reads it). A port of its own, because only one function writes. */
export interface ObjectWriter {
  /**
   * Writes what `pieces` yields, in bounded memory, as one new object, which becomes visible only when it is complete. Bytes that are stored already
   * may be copied within the storage. When `pieces` throws, nothing is left behind and the error is thrown on.
   *
   * @returns `exists` when the key has an object already, which stays.
   * @throws `storage.unavailable` when S3 does not answer: then it is not known whether the object was written.
   */
  write(key: string, pieces: AsyncIterable<Uint8Array | StoredBytes>): Promise<'written' | 'exists'>;
}
