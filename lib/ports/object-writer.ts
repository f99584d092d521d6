/** Writes packages into the bucket of firmware files (`Storage` reads it). Apart, because only one function writes. */
export interface ObjectWriter {
  /**
   * Writes what `bytes` yields, in bounded memory, as one new object: nothing can be seen of it before it is whole. When `bytes` throws,
   * nothing is left behind and the error is thrown on.
   *
   * @returns `exists` when the key has an object already; that one stays.
   * @throws `storage.unavailable` when S3 does not answer: whether the object was written is not known then.
   */
  write(key: string, bytes: AsyncIterable<Uint8Array>): Promise<'written' | 'exists'>;
}
