// The files behind dev/local-aws/s3-server.ts. In the directory of a bucket `<version id>.json` says that a version exists; `.bytes` that none of them
// names are left-overs of a killed process or of an unfinished upload. Keys never become file names.
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export type Headers = Record<string, string>;
/** `checksums` are the `x-amz-checksum-…` headers of the uploader that were verified. */
export type Content = { file: string; size: number; etag: string; checksums: Headers };
export type StoredObject = Content & { headers: Headers };
/** Without an object it is a delete marker. `sequencer` grows within a bucket, also over restarts. */
export type Version = { versionId: string; key: string; sequencer: number; lastModified: string; object?: StoredObject };
export type Upload = { uploadId: string; key: string; initiated: string; headers: Headers; parts: Map<number, Content> };
/** Versions of a key are in the order of their creation. Uploads do not outlive the process. */
export type Bucket = { name: string; directory: string; versions: Map<string, Version[]>; uploads: Map<string, Upload>; sequencer: number };

/** How much of a file is read at once. With less, large files would spend most of their time on single reads. */
export const highWaterMark = 1024 ** 2;

export function openBucket(parent: string, name: string): Bucket {
  const directory = join(parent, name);
  mkdirSync(directory, { recursive: true });
  const files = readdirSync(directory);
  const documents = files.filter((file) => file.endsWith('.json')).map((file) => readFileSync(join(directory, file), 'utf8'));
  const versions = documents.map((json): Version => JSON.parse(json)).sort((a, b) => a.sequencer - b.sequencer);
  const used = new Set(versions.map(({ object }) => object?.file));
  const bucket = { name, directory, versions: Map.groupBy(versions, ({ key }) => key), uploads: new Map() };
  removeFiles(bucket, ...files.filter((file) => /\.(bytes|temporary)$/.test(file) && !used.has(file)));
  return { ...bucket, sequencer: versions.at(-1)?.sequencer ?? 0 };
}

export const currentVersion = (bucket: Bucket, key: string) => bucket.versions.get(key)?.at(-1);
export const findVersion = (bucket: Bucket, key: string, versionId: string) =>
  bucket.versions.get(key)?.find((version) => version.versionId === versionId);

/** Synchronous, so that no other request can come between a look at the current version and this call in the same tick. */
export function addVersion(bucket: Bucket, key: string, object?: StoredObject): Version {
  bucket.sequencer = Math.max(bucket.sequencer + 1, Date.now() * 1000);
  const versionId = randomUUID().replaceAll('-', '');
  const version = { versionId, key, sequencer: bucket.sequencer, lastModified: new Date().toISOString(), ...(object && { object }) };
  const path = join(bucket.directory, versionId);
  writeFileSync(`${path}.temporary`, JSON.stringify(version));
  renameSync(`${path}.temporary`, `${path}.json`);
  bucket.versions.set(key, [...(bucket.versions.get(key) ?? []), version]);
  return version;
}

export function removeVersion(bucket: Bucket, { key, versionId, object }: Version): void {
  const others = bucket.versions.get(key)?.filter((version) => version.versionId !== versionId) ?? [];
  if (others.length > 0) bucket.versions.set(key, others);
  else bucket.versions.delete(key);
  removeFiles(bucket, `${versionId}.json`, ...(object ? [object.file] : []));
}

export function removeFiles({ directory }: Pick<Bucket, 'directory'>, ...files: string[]): void {
  for (const file of files) rmSync(join(directory, file), { force: true });
}
