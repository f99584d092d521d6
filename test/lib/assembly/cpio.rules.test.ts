import { describe, expect, it } from 'vitest';
import { cpioHeader, cpioPadding, cpioTrailer } from '../../../lib/assembly/cpio.ts';

const text = (bytes: Buffer) => bytes.toString('latin1');

describe('an archive in the new ASCII format of cpio', () => {
  it('has headers without time and owner, filled up to four bytes', () => {
    // magic, ino, mode 0100644, uid, gid, nlink, mtime, filesize 16, two devices, namesize 4, check; then the name.
    expect(text(cpioHeader({ name: 'a.b', size_bytes: 16 }, 0))).toBe(
      '070701' +
        '00000001' +
        '000081A4' +
        '00000000' +
        '00000000' +
        '00000001' +
        '00000000' +
        '00000010' +
        '00000000000000000000000000000000' +
        '00000004' +
        '00000000' +
        'a.b\0' +
        '\0\0',
    );
  });

  it('ends as cpio expects it', () => {
    expect(text(cpioTrailer())).toBe(
      '070701' +
        '00000000' +
        '00000000' +
        '00000000' +
        '00000000' +
        '00000001' +
        '00000000'.repeat(6) +
        '0000000B' +
        '00000000' +
        'TRAILER!!!\0\0\0\0',
    );
  });

  it.each([
    [0, 0],
    [1, 3],
    [2, 2],
    [3, 1],
    [4, 0],
    [100_001, 3],
  ])('fills %s bytes up with %s', (length, padding) => {
    expect(cpioPadding(length)).toEqual(Buffer.alloc(padding));
  });

  it('writes sizes up to 4 GiB - 1, and none above', () => {
    expect(text(cpioHeader({ name: 'x', size_bytes: 4_294_967_295 }, 1)).slice(54, 62)).toBe('FFFFFFFF');
    expect(() => cpioHeader({ name: 'x', size_bytes: 4_294_967_296 }, 1)).toThrow(RangeError);
    expect(() => cpioHeader({ name: 'x', size_bytes: -1 }, 1)).toThrow(RangeError);
    expect(() => cpioHeader({ name: 'x', size_bytes: 0.5 }, 1)).toThrow(RangeError);
  });
});
