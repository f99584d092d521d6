/** Where an object is: `version_id` pins its bytes for ever. */
export interface ObjectVersion {
  key: string;
  version_id: string;
}

/** Long enough for the largest file on a slow line, short enough that a leaked link is soon worthless. */
export const uploadSeconds = 3600;

export interface SignedRequest {
  method: 'PUT';
  url: string;
  /** To be sent exactly so: they are part of the signature. */
  headers: Record<string, string>;
  expires_dt: Date;
}

export interface SignedLink {
  url: string;
  expires_dt: Date;
}

export interface StoredObject {
  size_bytes: number;
  /** Hex, where S3 itself computed one at upload. */
  sha256: string | undefined;
  bytes: AsyncIterable<Uint8Array>;
  /** Ends the connection without reading the bytes. */
  discard(): void;
}

/** The bucket of firmware files. Every method but the signing ones throws `storage.unavailable` when S3 does not answer. */
export interface Storage {
  /** Whether S3 answers at all, found out fast: a link is signed without asking S3, and is worth nothing while it is down. */
  probe(): Promise<void>;
  /**
   * A link that takes exactly the bytes with this length and SHA-256 (hex), once: S3 refuses others, and a second upload. Good for
   * `uploadSeconds`.
   */
  signUpload(upload: { key: string; size_bytes: number; sha256: string }): Promise<SignedRequest>;
  /** A link that yields the bytes of this version for so long (default: an hour; a week at most); S3 takes it for this method only. */
  signDownload(object: ObjectVersion, method?: 'GET' | 'HEAD', seconds?: number): Promise<SignedLink>;
  /** Whether there is this version. As fast as `probe`, which it is in place of where one object matters. */
  hasObject(object: ObjectVersion): Promise<boolean>;
  /** The version that a key yields now; undefined when it yields none. As fast as `probe`. */
  findLatest(key: string): Promise<ObjectVersion | undefined>;
  /** The bytes as a stream in constant memory; undefined when there is no such version. */
  findObject(object: ObjectVersion): Promise<StoredObject | undefined>;
  /** `s3://bucket/key?versionId=…` */
  toLink(object: ObjectVersion): string;
  /** @throws when the link is not of this bucket's form: links are written by `toLink` only. */
  fromLink(link: string): ObjectVersion;
}
