import { createHash, randomUUID } from 'node:crypto';
import { addSeconds, type Clock } from '../../lib/clock.ts';
import { DomainError } from '../../lib/errors.ts';
import type { ObjectVersion, SignedLink, SignedRequest, Storage, StoredObject } from '../../lib/ports/storage.ts';

interface Version {
  bytes: Buffer;
  hasChecksum: boolean;
}

/** A versioned bucket in memory, that can be told to be down. test/contract/ holds it against the real one. */
export class InMemoryStorage implements Storage {
  readonly #versions = new Map<string, Version>();
  readonly #now: Clock;
  isDown = false;
  /** How many times bytes were asked for. */
  reads = 0;

  constructor(now: Clock) {
    this.#now = now;
  }

  put(key: string, bytes: Buffer, { hasChecksum = false } = {}): ObjectVersion {
    const object = { key, version_id: randomUUID() };
    this.#versions.set(this.toLink(object), { bytes, hasChecksum });
    return object;
  }

  async signUpload({ key, size_bytes, sha256 }: { key: string; size_bytes: number; sha256: string }): Promise<SignedRequest> {
    const headers = { 'content-length': String(size_bytes), 'x-amz-checksum-sha256': Buffer.from(sha256, 'hex').toString('base64') };
    return { method: 'PUT', url: `https://storage.test/${encodeURI(key)}`, headers, expires_dt: addSeconds(this.#now(), 3600) };
  }

  async signDownload({ key, version_id }: ObjectVersion): Promise<SignedLink> {
    return { url: `https://storage.test/${encodeURI(key)}?versionId=${version_id}`, expires_dt: addSeconds(this.#now(), 3600) };
  }

  async findObject(object: ObjectVersion): Promise<StoredObject | undefined> {
    this.reads += 1;
    if (this.isDown) throw new DomainError('storage.unavailable', 'The file storage does not answer');
    const version = this.#versions.get(this.toLink(object));
    if (!version) return undefined;
    const { bytes, hasChecksum } = version;
    return {
      size_bytes: bytes.length,
      sha256: hasChecksum ? createHash('sha256').update(bytes).digest('hex') : undefined,
      bytes: (async function* () {
        for (let at = 0; at < bytes.length; at += 1024) yield bytes.subarray(at, at + 1024);
      })(),
      discard: () => {},
    };
  }

  toLink({ key, version_id }: ObjectVersion): string {
    return `s3://memory/${key}?versionId=${version_id}`;
  }

  fromLink(link: string): ObjectVersion {
    const match = /^s3:\/\/memory\/(.+)\?versionId=(.+)$/.exec(link);
    if (!match?.[1] || !match[2]) throw new Error('Not a link of this storage');
    return { key: match[1], version_id: match[2] };
  }
}
