import { createHash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { promiseDraft, rejectDraft } from '../firmware/draft-queries.ts';
import type { Log } from '../log.ts';
import { bytesOf, type ObjectWriter, type StoredBytes } from '../ports/object-writer.ts';
import type { Queue } from '../ports/queue.ts';
import type { ObjectVersion, Storage, StoredObject } from '../ports/storage.ts';
import { UnderWay, waitForCommit } from '../walk.ts';
import { partFilename } from './assembly.ts';
import {
  type ClaimedAssembly,
  claimAssembly,
  findAssembly,
  listPartsToAssemble,
  markPublished,
  noteTrouble,
  type PartToAssemble,
} from './assembly-queries.ts';
import { cpioHeader, cpioPadding, cpioTrailer } from './cpio.ts';
import type { AssembleMessage } from './messages.ts';
import type { SignPackage } from './package-signature.ts';
import { formatSwDescription } from './sw-description.ts';

export interface AssembleFirmwareDeps {
  db: Db;
  storage: Pick<Storage, 'findObject' | 'fromLink'>;
  writer: ObjectWriter;
  assemblies: Queue<AssembleMessage>;
  sign: SignPackage;
  log: Log;
  now: Clock;
}

/** The function's own timeout: if work began longer ago than this, nobody is doing it any more. */
const leaseSeconds = 300;
/** The function's last seconds are kept for ending the upload and noting why. */
const reservedMilliseconds = 15_000;

/** Ends an assembly for good. Its message names the part that is the cause. */
class PartRefused extends Error {
  override readonly name = 'PartRefused';

  constructor({ hardware_type, version, firmware_id }: PartToAssemble, why: string) {
    super(`Part ${hardware_type} ${version} (firmware ${firmware_id}) ${why}`);
  }
}

/** The package is no draft any more: it was registered, rejected or deleted meanwhile. */
class NoDraft extends Error {}

/**
 * Makes the package of an assembly: streams its parts out of S3, checks each on the way, and streams the package into S3, from where
 * register-firmware makes it available like any other file. The same parts make the same bytes. The package becomes visible only when all of
 * it is right. A part that is withdrawn, lost or not what was registered ends the assembly. While the storage is down, the assembly waits.
 *
 * @throws {@link UnderWay}, `queue.unavailable`, `database.unavailable`, and every unexpected error: the message has to come again.
 */
export async function assembleFirmware(
  deps: AssembleFirmwareDeps,
  message: AssembleMessage,
  remainingMilliseconds: () => number,
): Promise<void> {
  const { db, log, now } = deps;
  const { assembly_id } = message;
  const claimed = await claimAssembly(db, assembly_id, now(), leaseSeconds);
  if (!claimed) return standAside(deps, message);
  try {
    await publish(deps, claimed, remainingMilliseconds);
    await markPublished(db, assembly_id, now());
    log.info('package written', { assembly_id, firmware_id: claimed.firmware_id });
  } catch (error) {
    if (error instanceof NoDraft) return;
    if (error instanceof PartRefused) {
      await rejectDraft(db, { id: claimed.firmware_id, object_key: claimed.object_key }, error.message);
      log.warn('assembly failed', { assembly_id, firmware_id: claimed.firmware_id, error });
      return;
    }
    await noteTrouble(db, assembly_id, error instanceof Error ? error.message : String(error), now());
    throw error;
  }
}

const standAside = async ({ db, assemblies, log, now }: AssembleFirmwareDeps, message: AssembleMessage): Promise<void> => {
  const { assembly_id } = message;
  const assembly = await findAssembly(db, assembly_id, now());
  if (!assembly) {
    const isAwaited = await waitForCommit(assemblies, message, now());
    if (!isAwaited) log.warn('assembly was never committed', { assembly_id });
    return;
  }
  const isOpen = assembly.status === 'IN_PROGRESS' || assembly.status === 'STALLED';
  if (isOpen && assembly.published_dt === null) throw new UnderWay(`Assembly ${assembly_id} is being worked on`);
};

const publish = async (deps: AssembleFirmwareDeps, claimed: ClaimedAssembly, remainingMilliseconds: () => number): Promise<void> => {
  const { db, writer } = deps;
  const parts = await listPartsToAssemble(db, claimed.id);
  refuseWithdrawn(parts);
  const outcome = await writer.write(claimed.object_key, packageBytes());
  // The object is from an earlier try of ours, or somebody else has put it there; register-firmware takes only ours for the package.
  if (outcome === 'exists') deps.log.info('package exists', { assembly_id: claimed.id, firmware_id: claimed.firmware_id });

  async function* packageBytes(): AsyncGenerator<Uint8Array | StoredBytes> {
    const hash = createHash('sha256');
    let size_bytes = 0;
    for await (const piece of archiveOf(deps, claimed, parts)) {
      const chunk = bytesOf(piece);
      if (chunk.length === 0) continue;
      if (remainingMilliseconds() < reservedMilliseconds) throw new Error('The time of the function did not suffice');
      hash.update(chunk);
      size_bytes += chunk.length;
      yield piece;
    }
    // This comes before the last bytes are sent to the storage, and so before anybody can see the package.
    const ids = parts.map(({ firmware_id }) => firmware_id);
    if (await promiseDraft(db, claimed.firmware_id, { size_bytes, sha256: hash.digest('hex') }, ids)) return;
    refuseWithdrawn(await listPartsToAssemble(db, claimed.id));
    throw new NoDraft();
  }
};

const refuseWithdrawn = (parts: readonly PartToAssemble[]): void => {
  for (const part of parts) {
    if (part.status !== 'available') throw new PartRefused(part, `is ${part.status}${part.reason ? `: ${part.reason}` : ''}`);
  }
};

async function* archiveOf(
  { storage, sign }: AssembleFirmwareDeps,
  { version, hardware_compatibility, signed }: ClaimedAssembly,
  parts: readonly PartToAssemble[],
): AsyncGenerator<Uint8Array | StoredBytes> {
  const description = formatSwDescription({
    version,
    hardware_compatibility,
    parts: parts.map((part) => ({ ...part, filename: partFilename(part) })),
  });
  const texts = [
    { name: 'sw-description', bytes: Buffer.from(description) },
    ...(signed ? [{ name: 'sw-description.sig', bytes: await sign(description) }] : []),
  ];
  for (const [position, { name, bytes }] of texts.entries()) {
    yield Buffer.concat([cpioHeader({ name, size_bytes: bytes.length }, position), bytes, cpioPadding(bytes.length)]);
  }
  for (const [i, part] of parts.entries()) {
    yield cpioHeader({ name: partFilename(part), size_bytes: part.size_bytes }, texts.length + i);
    yield* checkedBytesOf(storage, part);
    yield cpioPadding(part.size_bytes);
  }
  yield cpioTrailer();
}

/** @throws PartRefused after the last byte when the bytes are not those that were registered. */
async function* checkedBytesOf(storage: AssembleFirmwareDeps['storage'], part: PartToAssemble): AsyncGenerator<StoredBytes> {
  const object = storage.fromLink(part.file_link);
  const found = await storage.findObject(object);
  if (!found) throw new PartRefused(part, 'is not in the storage any more');
  if (found.size_bytes !== part.size_bytes) {
    found.discard();
    throw new PartRefused(part, `has ${found.size_bytes} bytes in the storage; ${part.size_bytes} were registered`);
  }
  const sha256 = yield* hashed(object, found);
  if (sha256 !== part.sha256) throw new PartRefused(part, `has the SHA-256 ${sha256} in the storage; ${part.sha256} was registered`);
}

async function* hashed(object: ObjectVersion, { bytes, size_bytes }: StoredObject): AsyncGenerator<StoredBytes, string> {
  const hash = createHash('sha256');
  let length = 0;
  for await (const chunk of bytes) {
    hash.update(chunk);
    const offset = length;
    length += chunk.length;
    yield { bytes: chunk, object, offset, size_bytes };
  }
  if (length !== size_bytes) throw new Error(`An object was cut: ${length} of ${size_bytes} bytes came`);
  return hash.digest('hex');
}
