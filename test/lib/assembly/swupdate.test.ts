// The proof by the program that devices run: Debian's swupdate.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createPackageKeys } from '../../../ops/signing-keys.ts';
import { createAssemblyService, packageKeys } from '../../support/assembly-service.ts';
import { createTestDatabase } from '../../support/database.ts';
import { createSwupdate, hasSwupdate } from '../../support/swupdate-check.ts';

const { db } = await createTestDatabase();
const service = createAssemblyService(db);

// Sizes that need no padding, and each kind of it.
const contents = [
  ['vega_mcu', randomBytes(100_001)],
  ['vega_gsm', randomBytes(4_096)],
  ['audio_lock', randomBytes(2)],
] as const;
const parts = await Promise.all(contents.map(([type, bytes]) => service.givenPart(type, bytes)));

/** A package of the three parts, installed into a folder of the test's own. */
const givenPackageInto = async (folder: string, request: Record<string, unknown> = {}) => {
  const names = ['mcu "1" \\ é.bin', 'gsm.bin', 'sounds/lock.wav'];
  return service.givenPackage({
    parts: parts.map(({ id }, i) => ({ id, install: { path: join(folder, names[i] ?? '') } })),
    ...request,
  });
};

describe.skipIf(!hasSwupdate)('a package of three parts and the real swupdate', async () => {
  const swupdate = hasSwupdate ? await createSwupdate(packageKeys.PACKAGE_CERTIFICATES) : undefined;
  if (!swupdate) return;
  const stranger = await createSwupdate(createPackageKeys().PACKAGE_CERTIFICATES);
  const target = join(swupdate.directory, 'target');
  const { bytes, firmware } = await givenPackageInto(target, { version: '1.2.0 "beta" \\ ä' });

  it('passes its check of signature and hashes', async () => {
    const { isTaken, output } = await swupdate.check(bytes);
    expect({ isTaken, output }).toMatchObject({ isTaken: true });
  });

  it('installs every part, to the byte, where the request said', async () => {
    const { isTaken, output } = await swupdate.install(bytes);
    expect({ isTaken, output }).toMatchObject({ isTaken: true });
    expect(await readFile(join(target, 'mcu "1" \\ é.bin'))).toEqual(contents[0][1]);
    expect(await readFile(join(target, 'gsm.bin'))).toEqual(contents[1][1]);
    expect(await readFile(join(target, 'sounds', 'lock.wav'))).toEqual(contents[2][1]);
  });

  it('is what the catalogue says it is', () => {
    expect(firmware).toMatchObject({ status: 'available', hardware_type: 'cabinet', size_bytes: bytes.length });
  });

  it('is refused when it was signed by somebody else', async () => {
    expect(await stranger.check(bytes)).toMatchObject({ isTaken: false, isRefused: true });
  });

  it('is refused when it was not signed', async () => {
    const unsigned = await givenPackageInto(target, { signed: false });
    expect(await swupdate.check(unsigned.bytes)).toMatchObject({ isTaken: false, isRefused: true });
  });

  it('is refused by hardware of another revision', async () => {
    const other = await givenPackageInto(target, { hardware_compatibility: ['2.0'] });
    expect(await swupdate.check(other.bytes)).toMatchObject({ isTaken: false, isRefused: true });
  });

  const positionOf = (text: string | Uint8Array) => bytes.indexOf(text);
  /** After its name, filled up to four bytes. */
  const signature = positionOf('sw-description.sig\0') + 22;
  const withFlippedBit = (position: number) => {
    if (position < 0) throw new Error('not found in the package');
    const flipped = Buffer.from(bytes);
    flipped.writeUInt8((flipped[position] ?? 0) ^ 1, position);
    return flipped;
  };

  it('is refused with one flipped bit in any of its regions', async () => {
    const positions = {
      'the magic of the first header': 0,
      'the size of the first file': positionOf('sw-description\0') - 51,
      'the description, its first byte': positionOf('software ='),
      'the description, a path': positionOf('gsm.bin";\n\t\t\tsha256'),
      'the description, a hash': positionOf(parts[1]?.sha256 ?? ''),
      'the signature, its first byte': signature,
      'the signature, its certificate': signature + 200,
      'the signature, its last bytes': positionOf('vega_mcu.bin\0') - 110 - 8,
      'the magic of a part': positionOf('vega_gsm.bin\0') - 110,
      'the name of a part': positionOf('vega_gsm.bin\0'),
      'the size of a part': positionOf('vega_gsm.bin\0') - 110 + 61,
      'the first part, its first byte': positionOf(contents[0][1]),
      'the first part, its middle': positionOf(contents[0][1]) + 50_000,
      'the first part, its last byte': positionOf(contents[0][1]) + 100_000,
      'the second part': positionOf(contents[1][1]) + 2_000,
      'the third part': positionOf(contents[2][1]) + 1,
    };
    const notRefused: string[] = [];
    for (const [name, position] of Object.entries(positions)) {
      const { isRefused } = await swupdate.check(withFlippedBit(position));
      if (!isRefused) notRefused.push(name);
    }
    expect(notRefused).toEqual([]);
  });

  it('is refused when only a beginning of it has come', async () => {
    for (const length of [0, 1, 600, 5_000, 100_000, bytes.length - 200]) {
      const { isTaken, output } = await swupdate.check(bytes.subarray(0, length));
      expect({ length, isTaken, output }).toMatchObject({ isTaken: false });
    }
  });

  it('is refused when it has the description of one package and a part of another', async () => {
    const swapped = Buffer.from(bytes);
    randomBytes(4_096).copy(swapped, positionOf(contents[1][1]));
    expect(await swupdate.check(swapped)).toMatchObject({ isTaken: false, isRefused: true });
  });

  it('is listed by the system’s cpio: the description first, its signature second, nothing about time and owner', async () => {
    const file = join(swupdate.directory, 'listed.swu');
    await writeFile(file, bytes);
    const listed = execFileSync('cpio', ['-itv', '--numeric-uid-gid', '--quiet'], {
      input: await readFile(file),
      env: { ...process.env, TZ: 'UTC', LC_ALL: 'C' },
    }).toString();
    const rows = listed
      .trim()
      .split('\n')
      .map((line) => line.split(/\s+/));
    expect(rows.map(([mode, links, uid, gid]) => [mode, links, uid, gid])).toEqual(rows.map(() => ['-rw-r--r--', '1', '0', '0']));
    expect(rows.map((row) => row.slice(5).join(' '))).toEqual([
      'Jan 1 1970 sw-description',
      'Jan 1 1970 sw-description.sig',
      'Jan 1 1970 vega_mcu.bin',
      'Jan 1 1970 vega_gsm.bin',
      'Jan 1 1970 audio_lock.bin',
    ]);
    expect(rows.slice(2).map((row) => row[4])).toEqual(['100001', '4096', '2']);
  });

  it('leaves nothing of the system changed by the refused ones', async () => {
    expect((await readdir(target)).toSorted()).toEqual(['gsm.bin', 'mcu "1" \\ é.bin', 'sounds']);
  });
});
