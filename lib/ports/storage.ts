/** Where an object is: `version_id` pins its bytes for ever. */
export interface ObjectVersion {
  key: string;
  version_id: string;
}

/** Long enough to upload the largest file over a slow line, short enough that a leaked link soon becomes worthless. */
export const uploadSeconds = 3600;

export interface SignedRequest {
  method: 'PUT';
  url: string;
  /** The sender has to send exactly these, because they are part of the signature. */
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
  /** Finds out fast whether S3 answers: links are signed without asking S3, and are worth nothing while it is down. */
  probe(): Promise<void>;
  /**
   * A link that accepts exactly the bytes with this length and SHA-256 (hex), once: S3 refuses other bytes, and a second upload. It is valid for
   * `uploadSeconds`.
   */
  signUpload(upload: { key: string; size_bytes: number; sha256: string }): Promise<SignedRequest>;
  /** A link to the bytes of this version, valid for `seconds` (default: an hour; at most a week), and for this method only. */
  signDownload(object: ObjectVersion, method?: 'GET' | 'HEAD', seconds?: number): Promise<SignedLink>;
  /** Whether this version exists. As fast as `probe`; used instead of it where one object matters. */
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
