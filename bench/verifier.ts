// `npm run bench:verifier`: what the check of a manifest and its authors' signatures costs a device, against one plain check of a signature.
// Processor time, so that other work on the machine does not show.
import { createHash, generateKeyPairSync, sign, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { SigningKey } from '../clients/cli/src/signing/signing-key.ts';
import { followRoots, type Root } from '../dev/simulator/author-verifier.ts';
import { verifyManifest } from '../dev/simulator/manifest-verifier.ts';
import { createManifestSigner, parseManifestKeys, toPublicKeys } from '../lib/firmware/manifest.ts';
import { createManifestKeys } from '../ops/signing-keys.ts';
import { createAuthorKey, fileOf, release, rootOf, signedRoot } from '../test/support/authors.ts';
import { printRow } from './measure.ts';

const rounds = 15;
const callsPerRound = 200;

/** Microseconds of processor time for each call, the median of the rounds. */
async function cost(work: () => unknown): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const before = process.cpuUsage();
    for (let i = 0; i < callsPerRound; i += 1) await work();
    const { user, system } = process.cpuUsage(before);
    // The first round compiles.
    if (round > 0) times.push((user + system) / callsPerRound);
  }
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? Number.NaN;
}

const keys = parseManifestKeys(createManifestKeys().MANIFEST_SIGNING_KEYS);
const now = new Date();
const signManifest = createManifestSigner(
  async () => keys,
  () => now,
);
const bytes = Buffer.alloc(1024 * 1024, 'firmware');
const file = fileOf('vega_mcu', '1.5.0', bytes);
const rest = { version_num: 1, requires: [], minimum_from_version_num: null, allow_downgrade: false, parts: [], counter: 1 };
const [ada, bob, carl, rootKey] = [createAuthorKey(), createAuthorKey(), createAuthorKey('p256'), createAuthorKey()];

const check = async (authors: Record<string, SigningKey>) => {
  const signers = Object.values(authors);
  const author_signatures = await Promise.all(signers.map((key) => release(file, key)));
  const { manifest } = await signManifest({ ...file, ...rest, author_signatures });
  const claims = rootOf(authors, rootKey, { signatures_required: { vega_mcu: signers.length } });
  const document = await signedRoot(claims, rootKey);
  const root = signers.length > 0 ? (claims as Root) : undefined;
  const [accepted, set] = [new Map(), toPublicKeys(keys, '')];
  const verification = { keys: set, hardware_type: 'vega_mcu', accepted, now, root };
  return { manifest, root: document, work: () => verifyManifest(manifest, verification) };
};

const plain = generateKeyPairSync('ed25519');
const message = Buffer.alloc(700, 'm');
const signature = sign(null, message, plain.privateKey);
const one = await cost(() => verify(null, message, plain.publicKey, signature));
const hashing = await cost(() => createHash('sha256').update(bytes).digest());

const cases: [name: string, authors: Record<string, SigningKey>, signatures: string][] = [
  ['the service alone', {}, '1 Ed25519'],
  ['one author', { ada }, '2 Ed25519'],
  ['two authors, Ed25519', { ada, bob }, '3 Ed25519'],
  ['two authors, Ed25519 and P-256', { ada, carl }, '2 Ed25519, 1 P-256'],
];
printRow('what is checked', 'bytes of the manifest', 'bytes of the root', 'signatures', 'ms', 'times one plain Ed25519');
printRow('---', '---', '---', '---', '---', '---');
for (const [name, authors, signatures] of cases) {
  const { manifest, root, work } = await check(authors);
  const microseconds = await cost(work);
  const rootBytes = Object.keys(authors).length > 0 ? JSON.stringify(root).length : '';
  printRow(name, manifest.length, rootBytes, signatures, (microseconds / 1_000).toFixed(2), (microseconds / one).toFixed(1));
}
const former = rootOf({ ada, bob }, rootKey) as Root;
const next = await signedRoot({ ...former, version: 2 }, rootKey);
const following = await cost(() => followRoots(former, [next]));
printRow('the next root', '', JSON.stringify(next).length, '2 Ed25519', (following / 1_000).toFixed(2), (following / one).toFixed(1));

const linesOf = (name: string) =>
  readFileSync(new URL(`../dev/simulator/${name}`, import.meta.url), 'utf8')
    .trimEnd()
    .split('\n').length;
console.log(`\nOne plain check of Ed25519: ${(one / 1_000).toFixed(3)} ms. SHA-256 of 1 MiB: ${(hashing / 1_000).toFixed(1)} ms.`);
console.log(`Lines: ${['manifest-verifier.ts', 'author-verifier.ts'].map((name) => `${name} ${linesOf(name)}`).join(', ')}.`);
