/** Writes packages into the bucket of firmware files (`Storage` reads it). A port of its own, because only one function writes. */
export interface ObjectWriter {
  /**
   * Writes what `bytes` yields, in bounded memory, as one new object, which becomes visible only when it is complete. When `bytes` throws,
   * nothing is left behind and the error is thrown on.
   *
   * @returns `exists` when the key has an object already, which stays.
   * @throws `storage.unavailable` when S3 does not answer: then it is not known whether the object was written.
   */
  write(key: string, bytes: AsyncIterable<Uint8Array>): Promise<'written' | 'exists'>;
}
