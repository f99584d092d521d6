import { createHash, randomUUID } from 'node:crypto';
import { addSeconds, type Clock } from '../../lib/clock.ts';
import { DomainError } from '../../lib/errors.ts';
import type { ObjectVersion, SignedLink, SignedRequest, Storage, StoredObject } from '../../lib/ports/storage.ts';

interface Version {
  bytes: Buffer;
  hasChecksum: boolean;
}

interface Upload {
  key: string;
  size_bytes: number;
  sha256: string;
}

const linkSeconds = 3600;
const sha256Of = (bytes: Uint8Array, encoding: 'hex' | 'base64' = 'hex') => createHash('sha256').update(bytes).digest(encoding);

/** A versioned bucket in memory, that can be told to be down. test/contract/ holds it against the real one. */
export class InMemoryStorage implements Storage {
  readonly #versions = new Map<string, Version>();
  /** The latest version of each key that has ever had an object. */
  readonly #latest = new Map<string, ObjectVersion>();
  /** Signed links, without which nobody uploads or downloads. */
  readonly #uploads = new Map<string, Upload>();
  readonly #downloads = new Map<string, { object: ObjectVersion; method: 'GET' | 'HEAD' }>();
  readonly #now: Clock;
  isDown = false;
  /** How many times bytes were asked for. */
  reads = 0;
  /** How often it was asked whether it, or one object, is there. */
  probes = 0;
  /** How many objects were let go without their bytes. */
  discards = 0;

  constructor(now: Clock) {
    this.#now = now;
  }

  /** Puts an object as somebody with access to the bucket does. */
  put(key: string, bytes: Buffer, { hasChecksum = false } = {}): ObjectVersion {
    const object = { key, version_id: randomUUID() };
    this.#versions.set(this.toLink(object), { bytes, hasChecksum });
    this.#latest.set(key, object);
    return object;
  }

  has(key: string): boolean {
    return this.#latest.has(key);
  }

  /** All bytes of a version that is there. */
  async read(object: ObjectVersion): Promise<Buffer> {
    const version = this.#versions.get(this.toLink(object));
    if (!version) throw new Error('There is no such version');
    return version.bytes;
  }

  /** What can only go wrong below S3. */
  corrupt(object: ObjectVersion, bytes: Buffer): void {
    this.#versions.set(this.toLink(object), { bytes, hasChecksum: false });
  }

  /** Removes a version for ever. */
  remove(object: ObjectVersion): void {
    this.#versions.delete(this.toLink(object));
  }

  /** What S3 answers to a PUT by a signed link: the status, and the version when it took the bytes. */
  upload({ url, headers }: Pick<SignedRequest, 'url' | 'headers'>, bytes: Buffer): { status: number; object?: ObjectVersion } {
    const upload = this.#uploads.get(url);
    const promised = upload && Buffer.from(upload.sha256, 'hex').toString('base64');
    if (!upload || headers['x-amz-checksum-sha256'] !== promised || headers['if-none-match'] !== '*') return { status: 403 };
    if (bytes.length !== upload.size_bytes) return { status: 403 };
    if (sha256Of(bytes, 'base64') !== promised) return { status: 400 };
    if (this.#latest.has(upload.key)) return { status: 412 };
    return { status: 200, object: this.put(upload.key, bytes, { hasChecksum: true }) };
  }

  /** What S3 answers to a GET, or a HEAD, by a signed link. */
  download(url: string, method: 'GET' | 'HEAD' = 'GET'): { status: number; bytes?: Buffer } {
    const signed = this.#downloads.get(url);
    if (signed?.method !== method) return { status: 403 };
    const version = this.#versions.get(this.toLink(signed.object));
    if (!version) return { status: 404 };
    return method === 'GET' ? { status: 200, bytes: version.bytes } : { status: 200 };
  }

  async probe(): Promise<void> {
    this.probes += 1;
    if (this.isDown) throw new DomainError('storage.unavailable', 'The file storage does not answer');
  }

  async hasObject(object: ObjectVersion): Promise<boolean> {
    this.probes += 1;
    if (this.isDown) throw new DomainError('storage.unavailable', 'The file storage does not answer');
    return this.#versions.has(this.toLink(object));
  }

  async findLatest(key: string): Promise<ObjectVersion | undefined> {
    this.probes += 1;
    if (this.isDown) throw new DomainError('storage.unavailable', 'The file storage does not answer');
    const latest = this.#latest.get(key);
    return latest && this.#versions.has(this.toLink(latest)) ? latest : undefined;
  }

  async signUpload(upload: Upload): Promise<SignedRequest> {
    const { key, size_bytes, sha256 } = upload;
    const url = `https://storage.test/${encodeKey(key)}?signature=${randomUUID()}`;
    this.#uploads.set(url, upload);
    const checksum = Buffer.from(sha256, 'hex').toString('base64');
    const headers = { 'content-length': String(size_bytes), 'if-none-match': '*', 'x-amz-checksum-sha256': checksum };
    return { method: 'PUT', url, headers, expires_dt: addSeconds(this.#now(), linkSeconds) };
  }

  async signDownload(object: ObjectVersion, method: 'GET' | 'HEAD' = 'GET', seconds = linkSeconds): Promise<SignedLink> {
    const { key, version_id } = object;
    const url = `https://storage.test/${encodeKey(key)}?versionId=${encodeURIComponent(version_id)}&signature=${randomUUID()}`;
    this.#downloads.set(url, { object, method });
    return { url, expires_dt: addSeconds(this.#now(), seconds) };
  }

  async findObject(object: ObjectVersion): Promise<StoredObject | undefined> {
    this.reads += 1;
    if (this.isDown) throw new DomainError('storage.unavailable', 'The file storage does not answer');
    const version = this.#versions.get(this.toLink(object));
    if (!version) return undefined;
    const { bytes, hasChecksum } = version;
    return {
      size_bytes: bytes.length,
      sha256: hasChecksum ? sha256Of(bytes) : undefined,
      bytes: (async function* () {
        for (let at = 0; at < bytes.length; at += 1024) yield bytes.subarray(at, at + 1024);
      })(),
      discard: () => {
        this.discards += 1;
      },
    };
  }

  toLink({ key, version_id }: ObjectVersion): string {
    return `s3://memory/${key}?versionId=${encodeURIComponent(version_id)}`;
  }

  fromLink(link: string): ObjectVersion {
    const match = /^s3:\/\/memory\/(.+)\?versionId=(.+)$/s.exec(link);
    if (!match?.[1] || !match[2]) throw new Error('Not a link of this storage');
    return { key: match[1], version_id: decodeURIComponent(match[2]) };
  }
}

const encodeKey = (key: string) => key.split('/').map(encodeURIComponent).join('/');
