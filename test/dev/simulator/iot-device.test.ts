// A simulated cabinet that polls, against somebody in the place of the service who has its signing key.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Root } from '../../../dev/simulator/author-verifier.ts';
import { startIotFleet } from '../../../dev/simulator/iot-fleet.ts';
import { addSeconds } from '../../../lib/clock.ts';
import { createManifestSigner, type ManifestFacts, parseManifestKeys } from '../../../lib/firmware/manifest.ts';
import { createManifestKeys } from '../../../ops/signing-keys.ts';
import { createAuthorKey, fileOf, release, rootOf, signedRoot } from '../../support/authors.ts';
import { startOfTime } from '../../support/fixtures.ts';
import { type Offer, startImpostor } from '../../support/impostor.ts';
import { manifestClaimsOf, manifestKeySet, manifestSigner } from '../../support/manifest-signer.ts';

const signManifest = manifestSigner(() => startOfTime);
const [ada, bob, eve, rootKey] = [createAuthorKey(), createAuthorKey('p256'), createAuthorKey(), createAuthorKey()];
const root = rootOf({ ada }, rootKey, { signatures_required: { cabinet: 1 } }) as Root;

const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0).reverse()) close();
});

let counter = 0;
const offerOf = async (
  version: string,
  signers: (typeof ada)[],
  { number = 1, ...facts }: Partial<ManifestFacts> & { number?: number } = {},
): Promise<Offer> => {
  const bytes = Buffer.from(`cabinet ${version}`);
  const file = fileOf('cabinet', version, bytes);
  const author_signatures = await Promise.all(signers.map((key) => release(file, key, number)));
  counter += 1;
  const rest = { version_num: counter, requires: [], minimum_from_version_num: null, allow_downgrade: true, parts: [], counter };
  return { bytes, manifest: (await signManifest({ ...file, ...rest, author_signatures, ...facts })).manifest };
};

/** A cabinet whose every request goes to the impostor; `runs` is what it keeps in its memory, and `told` what it tells its owner. */
const startCabinet = async (
  impostor: { url: string },
  { author_root = root, now = startOfTime, folder = '' }: { author_root?: Root | null; now?: Date; folder?: string } = {},
) => {
  const place = folder || mkdtempSync(join(tmpdir(), 'cabinet-'));
  const file = join(place, 'iot-fleet.json');
  const told: unknown[] = [];
  const fleet = await startIotFleet({
    ...{ cabinets: 1, scooters: 0, install_seconds: 0.001, file, url: impostor.url, tenant: 'default', manifestKeys: manifestKeySet },
    author_roots: author_root ? { cabinet: author_root } : {},
    now: () => now,
    issueToken: async () => 'token',
    log: ({ msg, text }) => msg === 'iot_device.tells_owner' && told.push(text),
  });
  opened.push(() => rmSync(place, { recursive: true, force: true }), fleet.close);
  const kept = (): { version: string; author_root?: Root } => JSON.parse(readFileSync(file, 'utf8'))[0];
  return { told, folder: place, stop: fleet.close, runs: () => kept().version, rootVersion: () => kept().author_root?.version };
};

const meet = async (...args: Parameters<typeof startImpostor>) => {
  const impostor = await startImpostor(...args);
  opened.push(impostor.close);
  return impostor;
};
type Impostor = Awaited<ReturnType<typeof startImpostor>>;
const endsOf = ({ heard }: Impostor) =>
  heard
    .filter(({ execution }) => execution !== 'proceeding')
    .map(({ execution, result, details }) => [execution, result.finished, ...details]);
const hasEnded = (impostor: Impostor, times: number) => expect.poll(() => endsOf(impostor), { timeout: 20_000 }).toHaveLength(times);

describe('a cabinet that was born with a root', () => {
  it('takes what its author has signed, and asks for no byte of anything else', async () => {
    const offers = [await offerOf('1.1.0', [ada]), await offerOf('6.6.6', []), await offerOf('6.6.7', [eve])];
    const impostor = await meet({ offers });
    const cabinet = await startCabinet(impostor);
    await hasEnded(impostor, 3);
    expect(endsOf(impostor)).toEqual([
      ['closed', 'success'],
      ['rejected', 'none', 'not trusted: 1 author has to sign cabinet 6.6.6; 0 did'],
      ['rejected', 'none', 'not trusted: 1 author has to sign cabinet 6.6.7; 0 did'],
    ]);
    expect(impostor.downloads).toBe(1);
    expect(cabinet.runs()).toBe('1.1.0');
  });

  it('does not run other bytes under a genuine manifest', async () => {
    const genuine = await offerOf('1.1.0', [ada]);
    const impostor = await meet({ offers: [{ ...genuine, bytes: Buffer.from('cabinet 6.6.6') }] });
    const cabinet = await startCabinet(impostor);
    await hasEnded(impostor, 1);
    expect(endsOf(impostor)).toEqual([['closed', 'failure', expect.stringContaining('not trusted: sha256 mismatch')]]);
    expect(cabinet.runs()).toBe('1.0.0');
  });

  it('does not go back to an older version of its author, also after a restart', async () => {
    const first = await meet({ offers: [await offerOf('1.5.0', [ada], { number: 5 })] });
    const { folder, stop, runs } = await startCabinet(first);
    await hasEnded(first, 1);
    stop();
    const impostor = await meet({ offers: [await offerOf('1.4.0', [ada], { number: 4 })] });
    await startCabinet(impostor, { folder });
    await hasEnded(impostor, 1);
    expect(endsOf(impostor)).toEqual([['rejected', 'none', expect.stringContaining('ada signed number 4, and 5 has run')]]);
    expect(runs()).toBe('1.5.0');
  });

  it('follows the roots that its root keys have signed, and then believes the new author', async () => {
    const next = await signedRoot(rootOf({ bob }, rootKey, { version: 2, signatures_required: { cabinet: 1 } }), rootKey);
    const impostor = await meet({ offers: [await offerOf('1.1.0', [bob]), await offerOf('1.2.0', [ada])], roots: [next] });
    const cabinet = await startCabinet(impostor);
    await hasEnded(impostor, 2);
    expect(endsOf(impostor).map(([execution]) => execution)).toEqual(['closed', 'rejected']);
    expect([cabinet.runs(), cabinet.rootVersion()]).toEqual(['1.1.0', 2]);
  });

  it('believes the new key of the service that a root names, and no longer the one that it was made with', async () => {
    const renewed = parseManifestKeys(createManifestKeys().MANIFEST_SIGNING_KEYS);
    const [{ kty, crv, kid, x }] = renewed.keys;
    const manifest_keys = [{ kty, crv, kid, x }];
    const next = await signedRoot(rootOf({ ada }, rootKey, { version: 2, signatures_required: { cabinet: 1 }, manifest_keys }), rootKey);
    const [stolen, genuine] = [await offerOf('1.1.0', [ada], { number: 1 }), await offerOf('1.2.0', [ada], { number: 2 })];
    const facts = manifestClaimsOf(genuine.manifest) as unknown as ManifestFacts;
    const { manifest } = await createManifestSigner(
      async () => renewed,
      () => startOfTime,
    )(facts);
    const impostor = await meet({ offers: [stolen, { ...genuine, manifest }], roots: [next] });
    const cabinet = await startCabinet(impostor);
    await hasEnded(impostor, 2);
    expect(endsOf(impostor)).toEqual([
      ['rejected', 'none', 'not trusted: the manifest is not one of the updater'],
      ['closed', 'success'],
    ]);
    expect(cabinet.runs()).toBe('1.2.0');
  });

  it('keeps its root when it is offered one that its root keys have not signed, and tells its owner', async () => {
    const own = await signedRoot(rootOf({ eve }, eve, { version: 2, signatures_required: { cabinet: 0 } }), eve);
    const impostor = await meet({ offers: [await offerOf('6.6.6', [eve])], roots: [own] });
    const cabinet = await startCabinet(impostor);
    await hasEnded(impostor, 1);
    expect(endsOf(impostor)).toEqual([['rejected', 'none', expect.stringContaining('0 did')]]);
    expect(cabinet.told).toEqual([
      'the author roots of the service cannot be followed: not trusted: author root 2 is not signed by enough keys of root 1',
    ]);
    expect([cabinet.runs(), cabinet.rootVersion()]).toEqual(['1.0.0', 1]);
  });

  it('tells its owner that the service may be frozen, and installs nothing once its root has expired', async () => {
    const begin = startOfTime.getTime() / 1_000;
    const ending = { ...root, iat: begin, exp: begin + 86_400 };
    const quiet = await meet();
    const cabinet = await startCabinet(quiet, { author_root: ending, now: addSeconds(startOfTime, 80_000) });
    await expect
      .poll(() => cabinet.told, { timeout: 20_000 })
      .toEqual(['no author root has followed 1, which expires in 1 day: the service may be frozen']);
    cabinet.stop();
    const impostor = await meet({ offers: [await offerOf('1.1.0', [ada])] });
    const late = await startCabinet(impostor, { folder: cabinet.folder, now: addSeconds(startOfTime, 90_000) });
    await hasEnded(impostor, 1);
    expect(endsOf(impostor)).toEqual([['rejected', 'none', expect.stringContaining('author root 1 has expired')]]);
    expect(late.told).toEqual(['author root 1 has expired: the service may be frozen']);
  });
});

it('a cabinet that was born without a root believes the service, and nobody without its key', async () => {
  const foreign = (await offerOf('6.6.6', [])).manifest.replace(/[^.]+$/, (await offerOf('6.6.7', [])).manifest.split('.')[2] ?? '');
  const impostor = await meet({ offers: [await offerOf('1.1.0', []), { manifest: foreign, bytes: Buffer.from('x') }] });
  const cabinet = await startCabinet(impostor, { author_root: null });
  await hasEnded(impostor, 2);
  expect(endsOf(impostor)).toEqual([
    ['closed', 'success'],
    ['rejected', 'none', 'not trusted: the manifest is not one of the updater'],
  ]);
  expect(cabinet.runs()).toBe('1.1.0');
});
