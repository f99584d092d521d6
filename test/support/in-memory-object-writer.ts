import { bytesOf, type ObjectWriter, type StoredBytes } from '../../lib/ports/object-writer.ts';
import { storageUnavailable } from '../../lib/ports/s3-storage.ts';
import type { ObjectVersion } from '../../lib/ports/storage.ts';
import type { InMemoryStorage } from './in-memory-storage.ts';

/** Writes into a bucket in memory. test/contract/ holds it against the real one. */
export class InMemoryObjectWriter implements ObjectWriter {
  readonly #storage: InMemoryStorage;
  /** Every object that was written, oldest first. */
  readonly written: ObjectVersion[] = [];
  /** The next write does all but say so. */
  losesAnswer = false;

  constructor(storage: InMemoryStorage) {
    this.#storage = storage;
  }

  async write(key: string, pieces: AsyncIterable<Uint8Array | StoredBytes>): Promise<'written' | 'exists'> {
    if (this.#storage.isDown) throw storageUnavailable(new Error('down'));
    const chunks: Uint8Array[] = [];
    for await (const piece of pieces) chunks.push(Buffer.from(bytesOf(piece)));
    if (this.#storage.has(key)) return 'exists';
    this.written.push(this.#storage.put(key, Buffer.concat(chunks)));
    if (!this.losesAnswer) return 'written';
    this.losesAnswer = false;
    throw storageUnavailable(new Error('no answer'));
  }

  bytesOf(object: ObjectVersion): Promise<Buffer> {
    return this.#storage.read(object);
  }
}
