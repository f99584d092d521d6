// What a device that polls believes, and what it remembers of what it has run.
import type { JSONWebKeySet } from 'jose';
import { findFreeze, followRoots, openPackage, type Root, type SignedRoot } from './author-verifier.ts';
import {
  type Accepted,
  type Manifest,
  Refused,
  remember,
  type SignedContent,
  serviceKeysOf,
  verifyFile,
  verifyManifest,
  verifySigned,
} from './manifest-verifier.ts';

/** What a device keeps through a restart, in memory that no update writes. */
export interface Kept {
  /** Whom it believes besides the service. It was made with one; the later ones come from the service. Without a root it believes the service alone. */
  author_root?: Root | undefined;
  memory?: KeptMemory;
}

type KeptMemory = (Omit<Accepted, 'author_versions'> & { hardware_type: string; author_versions: Record<string, number> })[];

export interface TrustDeps {
  /** The service's keys, put into the device when it was made. */
  manifestKeys: JSONWebKeySet;
  now: () => Date;
  /** The roots after a version, as the service has them. */
  fetchRoots(afterVersion: number): Promise<SignedRoot[]>;
  /** Tells the owner what nobody who controls the service must be able to hide. */
  tellOwner(text: string): void;
  /** Stores the device, whose kept state has changed. */
  store(): void;
}

/** What may be downloaded and installed. */
export interface Trusted {
  manifest: Manifest;
  /** Undefined: the device believes the service alone. */
  signed: SignedContent | undefined;
}

export const createTrust = (device: Kept, hardware_type: string, deps: TrustDeps) => ({
  /**
   * Follows the roots that the service has. Where they cannot be had or believed, the device keeps the root that it has: it asks again before
   * its next installation.
   */
  async renewRoot(): Promise<void> {
    if (!device.author_root) return;
    try {
      for (const document of await deps.fetchRoots(device.author_root.version)) {
        device.author_root = await followRoots(device.author_root, [document]);
        deps.store();
      }
    } catch (error) {
      if (error instanceof Refused) deps.tellOwner(`the author roots of the service cannot be followed: ${error.message}`);
    }
  },

  /** Whether it is time to ask for a new root; tells the owner when there is none. */
  async watchRoot(): Promise<void> {
    if (!device.author_root || !findFreeze(device.author_root, deps.now())) return;
    await this.renewRoot();
    const freeze = findFreeze(device.author_root, deps.now());
    if (freeze) deps.tellOwner(freeze);
  },

  /** @throws {@link Refused} */
  async verify(jws: string | undefined): Promise<Trusted> {
    if (jws === undefined) throw new Refused('it came without a manifest');
    const [root, accepted, now] = [device.author_root, fromKept(device.memory), deps.now()];
    const manifest = await verifyManifest(jws, { keys: serviceKeysOf(root, deps.manifestKeys), hardware_type, accepted, now });
    return { manifest, signed: root && (await verifySigned(manifest, { root, accepted, now })) };
  },

  /**
   * Checks that a file is the one that was verified, while it comes.
   *
   * @throws {@link Refused}
   */
  async verifyBytes({ manifest, signed }: Trusted, bytes: AsyncIterable<Uint8Array>): Promise<void> {
    const kept: Uint8Array[] = [];
    await verifyFile(manifest, keeping(bytes, kept));
    if (signed?.parts) openPackage(Buffer.concat(kept), signed.parts);
  },

  /** It runs now. */
  remember({ manifest, signed }: Trusted): void {
    const memory = fromKept(device.memory);
    remember(memory, manifest, signed?.authors);
    device.memory = toKept(memory);
    deps.store();
  },
});

export async function* keeping(bytes: AsyncIterable<Uint8Array>, kept: Uint8Array[] | undefined): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    kept?.push(chunk);
    yield chunk;
  }
}

export async function* noBytes(): AsyncGenerator<Uint8Array> {}

const toKept = (memory: ReadonlyMap<string, Accepted>): KeptMemory =>
  [...memory].map(([hardware_type, { author_versions = new Map(), ...accepted }]) => ({
    ...{ hardware_type, ...accepted },
    author_versions: Object.fromEntries(author_versions),
  }));

const fromKept = (kept: KeptMemory = []): Map<string, Accepted> =>
  new Map(
    kept.map(({ hardware_type, author_versions, ...accepted }) => [
      hardware_type,
      { ...accepted, author_versions: new Map(Object.entries(author_versions)) },
    ]),
  );
