// What somebody who has taken over the service may try, with its database, its bucket and its signing keys in hand, against what a device does
// that was born with a root of author keys.
import { describe, expect, it } from 'vitest';
import type { SigningKey } from '../../../clients/cli/src/signing/signing-key.ts';
import { signDowngrade } from '../../../clients/cli/src/signing/statement.ts';
import { findFreeze, followRoots, openPackage, type Root } from '../../../dev/simulator/author-verifier.ts';
import { type Accepted, Refused, remember, verifyFile, verifyManifest, verifySigned } from '../../../dev/simulator/manifest-verifier.ts';
import { addAuthorKey } from '../../../lib/authors/edit-author-keys.ts';
import { addSeconds } from '../../../lib/clock.ts';
import { getManifest } from '../../../lib/firmware/get-manifest.ts';
import type { ManifestFacts } from '../../../lib/firmware/manifest.ts';
import { signFirmware } from '../../../lib/registration/sign-firmware.ts';
import { createAssemblyService } from '../../support/assembly-service.ts';
import { createAuthorKey, fileOf, release, rootOf, signedRoot } from '../../support/authors.ts';
import { createTestDatabase } from '../../support/database.ts';
import { silentLog, startOfTime } from '../../support/fixtures.ts';
import { manifestKeySet, manifestSigner } from '../../support/manifest-signer.ts';
import { startReportingFleet } from '../../support/reporting-fleet.ts';

const { db } = await createTestDatabase();
const assemblies = createAssemblyService(db);
/** The attacker has this key: it is the service's own. */
const signManifest = manifestSigner(() => startOfTime);

const [ada, bob, eve, rootKey, nextRootKey] = [
  createAuthorKey(),
  createAuthorKey('p256'),
  createAuthorKey(),
  createAuthorKey(),
  createAuthorKey(),
];
const root = rootOf({ ada, bob }, rootKey) as Root;

const genuine = Buffer.from('vega 1.5.0, as its authors made it');
const former = Buffer.from('vega 1.4.0, which has a hole');
const malware = Buffer.from('malware');

const signatures = (file: ReturnType<typeof fileOf>, number: number, ...keys: SigningKey[]) =>
  Promise.all(keys.map((key) => release(file, key, number)));
const newFile = fileOf('vega_mcu', '1.5.0', genuine);
const oldFile = fileOf('vega_mcu', '1.4.0', former);
const newSigned = await signatures(newFile, 5, ada, bob);
const oldSigned = await signatures(oldFile, 4, ada, bob);

let counter = 1_000;
/** A manifest as the service signs it: about whatever the attacker likes. */
const manifestOf = async (facts: Partial<ManifestFacts>): Promise<string> => {
  counter += 1;
  const nothing = { requires: [], minimum_from_version_num: null, allow_downgrade: true, parts: [], author_signatures: [], version_num: 1 };
  return (await signManifest({ ...newFile, ...nothing, counter, ...facts })).manifest;
};

interface Device {
  accepted?: ReadonlyMap<string, Accepted>;
  now?: Date;
  root?: Root;
}
/** As a device does it: signatures first, then the bytes; what it remembers afterwards. */
const install = async (manifest: string, bytes: Buffer, { accepted = new Map(), now = startOfTime, root: trusted = root }: Device = {}) => {
  const hardware_type = JSON.parse(Buffer.from(manifest.split('.')[1] ?? '', 'base64url').toString()).hardware_type as string;
  const verified = await verifyManifest(manifest, { keys: manifestKeySet, hardware_type, accepted, now, root: trusted });
  await verifyFile(
    verified,
    (async function* () {
      yield bytes;
    })(),
  );
  const { parts, authors } = await verifySigned(verified, { root: trusted, accepted, now });
  if (parts) openPackage(bytes, parts);
  const memory = new Map(accepted);
  remember(memory, verified, authors);
  return memory;
};
/** It runs the newer version. */
const ranNew = await install(await manifestOf({ author_signatures: newSigned }), genuine);

/** A package as the service makes it, its parts signed by these authors. */
const givenPackage = async (...keys: SigningKey[]) => {
  for (const [owner, key] of [
    ['ada', ada],
    ['bob', bob],
  ] as const) {
    const hardware_types = ['vega_mcu', 'vega_gsm', 'audio_lock'];
    await addAuthorKey(
      { db, now: () => startOfTime },
      { owner, public_key: key.publicKey as never, hardware_types, valid_until_dt: null },
      { subject: 'keeper', request_id: 'request-1' },
    );
  }
  const parts = await Promise.all(['vega_mcu', 'vega_gsm'].map((type) => assemblies.givenPart(type)));
  for (const { id, hardware_type, version, bytes } of parts) {
    const statements = await signatures(fileOf(hardware_type, version, bytes), id, ...keys);
    if (statements.length > 0)
      await signFirmware({ db, log: silentLog, now: () => startOfTime }, id, statements, { subject: 'keeper', request_id: 'request-1' });
  }
  const made = await assemblies.givenPackage({ parts });
  return { ...made, manifest: (await getManifest({ db, signManifest }, made.firmware.id)).manifest };
};

describe('what its authors have signed', () => {
  it('is installed, and the device remembers its authors’ numbers', () => {
    expect(ranNew.get('vega_mcu')?.author_versions).toEqual(
      new Map([
        ['ada', 5],
        ['bob', 5],
      ]),
    );
  });

  it('is installed again, and over an older one', async () => {
    const old = await install(await manifestOf({ ...oldFile, author_signatures: oldSigned }), former);
    await expect(install(await manifestOf({ author_signatures: newSigned }), genuine, { accepted: old })).resolves.toBeDefined();
    await expect(install(await manifestOf({ author_signatures: newSigned }), genuine, { accepted: ranNew })).resolves.toBeDefined();
  });

  it('is a package that the service has made of parts that they have signed', async () => {
    const { manifest, bytes } = await givenPackage(ada, bob);
    await expect(install(manifest, bytes)).resolves.toBeDefined();
  });

  it('is an older version while both authors say that devices may go back to it', async () => {
    const until = addSeconds(startOfTime, 3_600);
    const downgrades = await Promise.all([ada, bob].map((key) => signDowngrade(oldFile, key, startOfTime, { until, author_version: 4 })));
    const manifest = await manifestOf({ ...oldFile, author_signatures: [...oldSigned, ...downgrades] });
    await expect(install(manifest, former, { accepted: ranNew })).resolves.toBeDefined();
    await expect(install(manifest, former, { accepted: ranNew, now: addSeconds(until, 1) })).rejects.toThrow(
      /signed number 4, and 5 has run/,
    );
  });
});

/** The same, but one author of two suffices. */
const either = rootOf({ ada, bob }, rootKey, { signatures_required: { vega_mcu: 1, vega_gsm: 1, cabinet: 1 } }) as Root;

describe('somebody who has taken over the service', () => {
  const attacks: [what: string, attack: () => Promise<unknown>, why: RegExp][] = [
    [
      'database and signing key: other bytes without signatures',
      async () => install(await manifestOf(fileOf('vega_mcu', '1.6.0', malware)), malware),
      /2 authors have to sign vega_mcu 1.6.0; 0 did/,
    ],
    [
      'database and signing key: other bytes under the signatures of a genuine version',
      async () => install(await manifestOf({ ...fileOf('vega_mcu', '1.5.0', malware), author_signatures: newSigned }), malware),
      /0 did/,
    ],
    [
      'bucket: other bytes under a genuine manifest',
      async () => install(await manifestOf({ author_signatures: newSigned }), malware),
      /mismatch/,
    ],
    [
      'database: keys of their own as author keys, and bytes that these sign',
      async () => {
        const file = fileOf('vega_mcu', '1.6.0', malware);
        return install(await manifestOf({ ...file, author_signatures: await signatures(file, 9, eve, createAuthorKey()) }), malware);
      },
      /0 did/,
    ],
    [
      'one author’s key of two',
      async () => {
        const file = fileOf('vega_mcu', '1.6.0', malware);
        return install(await manifestOf({ ...file, author_signatures: await signatures(file, 9, ada) }), malware);
      },
      /2 authors have to sign vega_mcu 1.6.0; 1 did/,
    ],
    [
      'one author’s key of two, used twice',
      async () => {
        const file = fileOf('vega_mcu', '1.6.0', malware);
        return install(
          await manifestOf({ ...file, author_signatures: [await release(file, ada, 9), await release(file, ada, 10)] }),
          malware,
        );
      },
      /1 did/,
    ],
    [
      'signing key: a version of old, signed by both authors, that has a hole (rollback)',
      async () => install(await manifestOf({ ...oldFile, version_num: 99, author_signatures: oldSigned }), former, { accepted: ranNew }),
      /signed number 4, and 5 has run/,
    ],
    [
      'signing key: a rollback by a downgrade that only one author has signed',
      async () => {
        const downgrade = await signDowngrade(oldFile, ada, startOfTime, { until: addSeconds(startOfTime, 60), author_version: 4 });
        const manifest = await manifestOf({ ...oldFile, author_signatures: [...oldSigned, downgrade] });
        return install(manifest, former, { accepted: ranNew });
      },
      /1 did/,
    ],
    [
      'signing key: a rollback by a downgrade of another version',
      async () => {
        const downgrades = await Promise.all(
          [ada, bob].map((key) => signDowngrade(newFile, key, startOfTime, { until: addSeconds(startOfTime, 60), author_version: 4 })),
        );
        const manifest = await manifestOf({ ...oldFile, author_signatures: [...oldSigned, ...downgrades] });
        return install(manifest, former, { accepted: ranNew });
      },
      /signed number 4, and 5 has run/,
    ],
    [
      'signing key: after a downgrade that both authors permitted, a version in between that they had signed',
      async () => {
        const until = addSeconds(startOfTime, 3_600);
        const downgrades = await Promise.all(
          [ada, bob].map((key) => signDowngrade(oldFile, key, startOfTime, { until, author_version: 3 })),
        );
        const old = await signatures(oldFile, 3, ada, bob);
        const permitted = await manifestOf({ ...oldFile, author_signatures: [...old, ...downgrades] });
        const accepted = await install(permitted, former, { accepted: ranNew });
        const between = fileOf('vega_mcu', '1.4.5', malware);
        return install(await manifestOf({ ...between, author_signatures: await signatures(between, 4, ada, bob) }), malware, { accepted });
      },
      /signed number 4, and 5 has run/,
    ],
    [
      'signing key: where one author suffices, an old version of an author after a new one of another',
      async () => {
        const accepted = await install(await manifestOf({ author_signatures: [newSigned[0] ?? ''] }), genuine, { root: either });
        const next = fileOf('vega_mcu', '1.6.0', genuine);
        const ofBob = await manifestOf({ ...next, author_signatures: await signatures(next, 6, bob) });
        const after = await install(ofBob, genuine, { root: either, accepted });
        return install(await manifestOf({ ...oldFile, author_signatures: [oldSigned[0] ?? ''] }), former, {
          root: either,
          accepted: after,
        });
      },
      /ada signed number 4, and 5 has run/,
    ],
    [
      'signing key: an old file for the cabinet itself, after a package of parts has run on it',
      async () => {
        const [older, newer] = [fileOf('cabinet', '1.0', former), fileOf('cabinet', '1.1', genuine)];
        const ofNewer = await manifestOf({ ...newer, author_signatures: await signatures(newer, 2, ada, bob) });
        const ran = await install(ofNewer, genuine);
        const { bytes, manifest } = await givenPackage(ada, bob);
        const accepted = await install(manifest, bytes, {
          accepted: new Map([...ran].map(([type, one]) => [type, { ...one, counter: null }])),
        });
        return install(await manifestOf({ ...older, author_signatures: await signatures(older, 1, ada, bob) }), former, { accepted });
      },
      /ada signed number 1, and 2 has run/,
    ],
    [
      'signing key: firmware of another hardware type, signed by its authors',
      async () => install(await manifestOf({ ...newFile, hardware_type: 'vega_gsm', author_signatures: newSigned }), genuine),
      /2 authors have to sign vega_gsm 1.5.0; 0 did/,
    ],
    [
      'a role that assembles: a package with a file that nobody has signed',
      async () => {
        const { bytes, manifest } = await givenPackage(ada, bob);
        const facts = JSON.parse(Buffer.from(manifest.split('.')[1] ?? '', 'base64url').toString()) as ManifestFacts;
        const more = withMember(bytes, 'post-install.sh', Buffer.from('#!/bin/sh\nrm -rf /\n'));
        return install(await manifestOf({ ...facts, ...fileOf('cabinet', facts.version, more) }), more);
      },
      /holds post-install.sh, which no author has signed/,
    ],
    [
      'a role that assembles: a part with other bytes',
      async () => {
        const { bytes, manifest } = await givenPackage(ada, bob);
        const facts = JSON.parse(Buffer.from(manifest.split('.')[1] ?? '', 'base64url').toString()) as ManifestFacts;
        const changed = Buffer.from(bytes);
        changed.write('evil', changed.lastIndexOf('the vega_gsm'));
        return install(await manifestOf({ ...facts, ...fileOf('cabinet', facts.version, changed) }), changed);
      },
      /vega_gsm.bin is not the file that its authors have signed/,
    ],
    [
      'a role that assembles: a package of parts that one author has signed',
      async () => {
        const { bytes, manifest } = await givenPackage(ada);
        return install(manifest, bytes);
      },
      /2 authors have to sign vega_mcu/,
    ],
    [
      'a role that assembles: a package of genuine parts, one of them older than what has run (mix)',
      async () => {
        const { bytes, manifest } = await givenPackage(ada, bob);
        const newer = fileOf('vega_gsm', '9.0', genuine);
        const accepted = await install(
          await manifestOf({ ...newer, author_signatures: await signatures(newer, 9_000, ada, bob) }),
          genuine,
        );
        return install(manifest, bytes, { accepted });
      },
      /2 authors have to sign vega_gsm .*; 0 did: ada signed number \d+, and 9000 has run; bob/,
    ],
    [
      'an old root: the author it names was taken out since',
      async () => {
        const file = fileOf('vega_mcu', '1.6.0', malware);
        const next = await signedRoot(rootOf({ ada, carl: createAuthorKey() }, rootKey, { version: 2 }), rootKey);
        const trusted = await followRoots(root, [next]);
        return install(await manifestOf({ ...file, author_signatures: await signatures(file, 9, ada, bob) }), malware, { root: trusted });
      },
      /1 did/,
    ],
    [
      'an old root: a device that has a newer one is given it again',
      async () => {
        const next = await followRoots(root, [await signedRoot(rootOf({ ada, bob }, rootKey, { version: 2 }), rootKey)]);
        return followRoots(next, [await signedRoot(root, rootKey)]);
      },
      /root 2 is not followed by 1/,
    ],
    [
      'database: a root of their own, signed by keys of their own',
      async () => followRoots(root, [await signedRoot(rootOf({ eve }, eve, { version: 2 }), eve)]),
      /not signed by enough keys of root 1/,
    ],
    [
      'one root key of two',
      async () => {
        const two = { ...root, root_keys: [rootKey.publicKey, nextRootKey.publicKey], root_threshold: 2 } as Root;
        return followRoots(two, [await signedRoot(rootOf({ eve }, eve, { version: 2 }), rootKey, eve)]);
      },
      /not signed by enough keys of root 1/,
    ],
    [
      'an author’s key used as a root key',
      async () => followRoots(root, [await signedRoot(rootOf({ eve }, ada, { version: 2 }), ada)]),
      /not signed by enough keys of root 1/,
    ],
    [
      'a frozen service: new firmware and new roots are kept away until the root ends',
      async () => {
        const ended = { ...root, exp: startOfTime.getTime() / 1_000 - 1 };
        return install(await manifestOf({ author_signatures: newSigned }), genuine, { root: ended });
      },
      /expired: the service may be frozen; tell the owner/,
    ],
    [
      'signing key: a manifest that was signed long ago, of a version that both authors have signed',
      async () => install(await manifestOf({ author_signatures: newSigned }), genuine, { now: addSeconds(startOfTime, 8 * 24 * 3_600) }),
      /the manifest has expired/,
    ],
    [
      'signing key: a genuine version under the highest counter, so that no later manifest is ever newer',
      async () => install(await manifestOf({ author_signatures: newSigned, counter: Number.MAX_SAFE_INTEGER }), genuine),
      /higher than any service can have counted/,
    ],
    [
      'signing key that was stolen, and that a later root has taken from the service: a genuine version',
      async () => {
        const manifest_keys = [{ ...rootKey.publicKey, kid: 'new' }];
        const trusted = await followRoots(root, [await signedRoot(rootOf({ ada, bob }, rootKey, { version: 2, manifest_keys }), rootKey)]);
        return install(await manifestOf({ author_signatures: newSigned }), genuine, { root: trusted });
      },
      /not one of the updater/,
    ],
    [
      'all of it together, and one author’s key: a root, an author and a manifest of their own',
      async () => {
        const file = fileOf('vega_mcu', '1.6.0', malware);
        const author_signatures = [...(await signatures(file, 9, ada, eve)), ...newSigned];
        const own = await signedRoot(rootOf({ ada, eve }, eve, { version: 2 }), eve, ada);
        const trusted = await followRoots(root, [own]).catch(() => root);
        return install(await manifestOf({ ...file, version_num: 99, author_signatures }), malware, { root: trusted });
      },
      /2 authors have to sign vega_mcu 1.6.0; 1 did/,
    ],
    [
      'the service’s own word that nothing has to be signed',
      async () => install(await manifestOf({ ...fileOf('vega_mcu', '1.6.0', malware), parts: [] }), malware),
      /2 authors have to sign/,
    ],
    [
      'parts of a signed package as a cover for another file',
      async () => {
        const parts = [{ ...newFile, author_signatures: newSigned }];
        return install(await manifestOf({ ...fileOf('cabinet', '9.9', malware), parts }), malware);
      },
      /the package/,
    ],
  ];

  it.each(attacks)('%s', async (_, attack, why) => {
    const outcome = attack();
    await expect(outcome).rejects.toThrow(Refused);
    await expect(outcome).rejects.toThrow(why);
  });
});

describe('a device whose service may be frozen', () => {
  const day = 86_400;
  const begin = startOfTime.getTime() / 1_000;
  const year = rootOf({ ada, bob }, rootKey, { iat: begin, exp: begin + 400 * day }) as Root;

  it.each([
    ['is quiet while its root is young', 299, undefined],
    [
      'tells its owner when no root has followed for three quarters of its life',
      300,
      'no author root has followed 1, which expires in 100 days',
    ],
    ['goes on telling', 399.5, 'no author root has followed 1, which expires in 1 day'],
    ['says so when its root has expired', 400, 'author root 1 has expired'],
  ])('%s', (_, days, told) => {
    expect(findFreeze(year, addSeconds(startOfTime, days * day))).toBe(told && `${told}: the service may be frozen`);
  });

  it('is quiet again with the next root, which the root keys have signed', async () => {
    const next = rootOf({ ada, bob }, rootKey, { version: 2, iat: begin + 350 * day, exp: begin + 750 * day });
    const followed = await followRoots(year, [await signedRoot(next, rootKey)]);
    expect(findFreeze(followed, addSeconds(startOfTime, 399 * day))).toBeUndefined();
  });
});

it('a service that was won back raises its counter to the time of day, and devices take its manifests again', async () => {
  const at = (seconds: number) => startOfTime.getTime() / 1_000 + seconds;
  const accepted = await install(await manifestOf({ author_signatures: newSigned, counter: at(0) }), genuine);
  const next = fileOf('vega_mcu', '1.6.0', genuine);
  const author_signatures = await signatures(next, 6, ada, bob);
  const refused = install(await manifestOf({ ...next, author_signatures }), genuine, { accepted });
  await expect(refused).rejects.toThrow(/older than one that was taken before/);
  const anHourLater = addSeconds(startOfTime, 3_600);
  const facts = {
    ...next,
    author_signatures,
    requires: [],
    minimum_from_version_num: null,
    allow_downgrade: true,
    parts: [],
    version_num: 1,
  };
  const { manifest } = await manifestSigner(() => anHourLater)({ ...facts, counter: at(1_800) });
  await expect(install(manifest, genuine, { accepted, now: anHourLater })).resolves.toBeDefined();
});

it('a package whose parts are all signed is taken by its parts, also when too few have signed the whole', async () => {
  const { bytes, manifest } = await givenPackage(ada, bob);
  const facts = JSON.parse(Buffer.from(manifest.split('.')[1] ?? '', 'base64url').toString()) as ManifestFacts;
  const whole = await signatures(fileOf('cabinet', facts.version, bytes), 1, ada);
  await expect(install(await manifestOf({ ...facts, author_signatures: whole }), bytes)).resolves.toBeDefined();
});

it('keys change without anybody touching a device: it follows the roots from the one that it was born with', async () => {
  const carl = createAuthorKey();
  const roots = [
    await signedRoot(rootOf({ ada, bob }, nextRootKey, { version: 2 }), rootKey, nextRootKey),
    await signedRoot(rootOf({ bob, carl }, nextRootKey, { version: 3 }), nextRootKey),
  ];
  const trusted = await followRoots(root, roots);
  const file = fileOf('vega_mcu', '1.7.0', genuine);
  const manifest = await manifestOf({ ...file, author_signatures: await signatures(file, 7, bob, carl) });
  await expect(install(manifest, genuine, { root: trusted })).resolves.toBeDefined();
  await expect(install(manifest, genuine)).rejects.toThrow(/1 did/);
});

it('devices of the simulated fleet that were born with a root download nothing that its authors have not signed', async () => {
  const fleet = await startReportingFleet(genuine, { author_root: root });
  try {
    const command = async (n: number, author_signatures: string[]) => ({
      ...{ execution_id: n, attempt: 1, kind: 'scooter', external_id: `S-0000${n}` },
      ...{ ...newFile, url: `${fleet.fileUrl}/${n}`, expires_dt: '2099-01-01T00:00:00.000Z' },
      manifest: await manifestOf({ author_signatures }),
    });
    const commands = [await command(1, newSigned), await command(2, newSigned.slice(0, 1)), await command(3, [])];
    const response = await fleet.command(commands);
    expect(response.status).toBe(200);
    await expect.poll(() => fleet.reports.length, { timeout: 10_000 }).toBe(3);
    expect(fleet.reports.map(({ external_id, status, detail }) => [external_id, status, detail]).toSorted()).toEqual([
      ['S-00001', 'SUCCEEDED', undefined],
      ['S-00002', 'REJECTED', 'not trusted: 2 authors have to sign vega_mcu 1.5.0; 1 did'],
      ['S-00003', 'REJECTED', 'not trusted: 2 authors have to sign vega_mcu 1.5.0; 0 did'],
    ]);
    expect(fleet.downloads).toEqual(['/1']);
  } finally {
    await fleet.close();
  }
});

/** One more file in front of the end of a cpio archive, and a hash for whoever signs it. */
function withMember(archive: Buffer, name: string, bytes: Buffer): Buffer {
  const hex = (value: number) => value.toString(16).padStart(8, '0');
  const fields = [0, 0o100755, 0, 0, 1, 0, bytes.length, 0, 0, 0, 0, name.length + 1, 0];
  const pad = (buffer: Buffer) => Buffer.concat([buffer, Buffer.alloc((4 - (buffer.length % 4)) % 4)]);
  const member = Buffer.concat([pad(Buffer.from(`070701${fields.map(hex).join('')}${name}\0`)), pad(bytes)]);
  const end = archive.lastIndexOf('TRAILER!!!') - 110;
  return Buffer.concat([archive.subarray(0, end), member, archive.subarray(end)]);
}

it('the size of a manifest with two authors, and what a device has to do for it, are what docs/devices.md says', async () => {
  const alone = await manifestOf({});
  const signed = await manifestOf({ author_signatures: newSigned });
  expect(Math.round(alone.length / 100) * 100).toBe(600);
  expect(Math.round(signed.length / 100) * 100).toBe(1_800);
});
