import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  Comment,
  FileName,
  FirmwareId,
  findFileRefusal,
  formatFirmwareKey,
  HardwareTypeName,
  parseFirmwareKey,
  Sha256,
} from '../../../lib/firmware/firmware.ts';
import { FirmwareVersion } from '../../../lib/firmware/version.ts';

const accepts = (schema: { safeParse(value: unknown): { success: boolean } }, value: unknown) => schema.safeParse(value).success;

describe('the key of a firmware file', () => {
  it('names hardware type, version and file, as the makers wrote them', () => {
    expect(formatFirmwareKey({ hardware_type: 'vega_mcu', version: '1.4.2+b7', filename: 'Vega MCU.bin' })).toBe(
      'firmwares/vega_mcu/1.4.2+b7/Vega MCU.bin',
    );
    expect(parseFirmwareKey('firmwares/vega_mcu/1.4.2+b7/Vega MCU.bin')).toEqual({
      hardware_type: 'vega_mcu',
      version: '1.4.2+b7',
      filename: 'Vega MCU.bin',
    });
  });

  it.each([
    '',
    'firmwares',
    'firmwares/',
    'firmwares/vega_mcu/1.0',
    'firmwares/vega_mcu/1.0/',
    'firmwares//1.0/a.bin',
    'firmwares/vega_mcu//a.bin',
    'firmwares/vega_mcu/1.0/a/b.bin',
    '/firmwares/vega_mcu/1.0/a.bin',
    'Firmwares/vega_mcu/1.0/a.bin',
    'other/vega_mcu/1.0/a.bin',
    'firmwares/VEGA_MCU/1.0/a.bin',
    'firmwares/1vega/1.0/a.bin',
    'firmwares/vega-mcu/1.0/a.bin',
    "firmwares/vega_mcu'; DROP TABLE firmwares; --/1.0/a.bin",
    'firmwares/vega_mcu/../a.bin',
    'firmwares/vega_mcu/./a.bin',
    'firmwares/vega_mcu/1.0/..',
    'firmwares/vega_mcu/ 1.0/a.bin',
    'firmwares/vega_mcu/1.0 /a.bin',
    'firmwares/vega_mcu/1.0/a.bin ',
    'firmwares/vega_mcu/1\u00000/a.bin',
    'firmwares/vega_mcu/1.0/a\nb.bin',
    'firmwares/vega_mcu/1.0/a\u2028b.bin',
    'firmwares/vega_mcu/1.0/a\u0085b.bin',
    'firmwares/vega_mcu/1.0/a\ud800.bin',
    `firmwares/vega_mcu/${'1'.repeat(65)}/a.bin`,
    `firmwares/vega_mcu/1.0/${'a'.repeat(129)}`,
    `firmwares/${'v'.repeat(64)}/1.0/a.bin`,
  ])('is nobody’s when it reads %j', (key) => {
    expect(parseFirmwareKey(key)).toBeUndefined();
  });

  it('is the same after writing and reading it, whatever texts are valid', () => {
    const valid = (schema: typeof FirmwareVersion, unit: 'binary' | 'grapheme') =>
      fc.string({ unit, maxLength: 64 }).filter((text) => accepts(schema, text));
    fc.assert(
      fc.property(valid(FirmwareVersion, 'grapheme'), valid(FileName, 'binary'), (version, filename) => {
        const firmware = { hardware_type: 'vega_mcu', version: version.normalize('NFC'), filename };
        expect(parseFirmwareKey(formatFirmwareKey(firmware))).toEqual(firmware);
      }),
    );
  });

  it('never exceeds the 1,024 bytes that S3 takes', () => {
    const key = { hardware_type: 'v'.repeat(63), version: '€'.repeat(64), filename: '€'.repeat(128) };
    expect(parseFirmwareKey(formatFirmwareKey(key))).toEqual(key);
    expect(Buffer.byteLength(formatFirmwareKey(key))).toBeLessThanOrEqual(1024);
  });
});

describe('what an engineer may write', () => {
  it('a version of 1 to 64 characters, of any script', () => {
    for (const version of ['1', '1.4.2-rc.1+build', "'; DROP TABLE firmwares; --", '..%2fx', '版本 1', 'x'.repeat(64)]) {
      expect(accepts(FirmwareVersion, version), version).toBe(true);
    }
    for (const version of ['', ' ', ' 1', '1 ', '.', '..', 'a/b', 'a\tb', 'a\u0000', '\ud83d', 'x'.repeat(65), 1, null, ['1']]) {
      expect(accepts(FirmwareVersion, version), JSON.stringify(version)).toBe(false);
    }
  });

  it('a SHA-256 in hexadecimal digits of either case, kept in small ones', () => {
    expect(Sha256.parse('AB'.repeat(32))).toBe('ab'.repeat(32));
    for (const sha256 of [
      '',
      'ab',
      'g'.repeat(64),
      'a'.repeat(63),
      'a'.repeat(65),
      `${'a'.repeat(64)}\n`,
      'ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=',
    ]) {
      expect(accepts(Sha256, sha256), sha256).toBe(false);
    }
  });

  it('a comment of several lines, which the database can store', () => {
    expect(accepts(Comment, 'fixes the brake\n\twas: 1.4.1 💡')).toBe(true);
    expect(accepts(Comment, 'x'.repeat(2_000))).toBe(true);
    for (const comment of ['x'.repeat(2_001), 'a\u0000b', 'a\udc00b', 5]) expect(accepts(Comment, comment)).toBe(false);
  });

  it('a hardware type of small letters, digits and underscores', () => {
    for (const name of ['vega_mcu', 'a', 'constructor', 'v'.repeat(63)]) expect(accepts(HardwareTypeName, name), name).toBe(true);
    for (const name of ['', '__proto__', 'Vega', '1a', 'a-b', 'a b', 'vega_mcu\n', 'v'.repeat(64)]) {
      expect(accepts(HardwareTypeName, name), name).toBe(false);
    }
  });

  it('an id that the database can hold', () => {
    expect(accepts(FirmwareId, 2_147_483_647)).toBe(true);
    for (const id of [0, -1, 1.5, 2_147_483_648, '1', Number.NaN]) expect(accepts(FirmwareId, id), String(id)).toBe(false);
  });
});

describe('an object is refused', () => {
  const sha256 = 'a'.repeat(64);
  const other = 'b'.repeat(64);
  const nothing = { size_bytes: null, sha256: null };

  it('never when it is what was promised, or nothing was promised', () => {
    expect(findFileRefusal({ size_bytes: 5, sha256 }, { size_bytes: 5, sha256 }, 5)).toBeUndefined();
    expect(findFileRefusal({ size_bytes: 5, sha256 }, nothing, 5)).toBeUndefined();
  });

  it.each([
    ['it is empty', { size_bytes: 0, sha256 }, nothing, 'The file is empty'],
    ['it is empty, also when nothing else was wrong', { size_bytes: 0, sha256 }, { size_bytes: 0, sha256 }, 'The file is empty'],
    ['it is a byte too large', { size_bytes: 11, sha256 }, nothing, 'The file has 11 bytes; this hardware type takes 10 at most'],
    ['it is shorter than promised', { size_bytes: 4, sha256 }, { size_bytes: 5, sha256 }, 'The file has 4 bytes; 5 were announced'],
    [
      'it has other bytes',
      { size_bytes: 5, sha256: other },
      { size_bytes: 5, sha256 },
      `The SHA-256 of the file is ${other}; ${sha256} was announced`,
    ],
    [
      'only the length was promised and differs',
      { size_bytes: 4, sha256 },
      { size_bytes: 5, sha256: null },
      'The file has 4 bytes; 5 were announced',
    ],
  ])('when %s', (_, object, promised, reason) => {
    expect(findFileRefusal(object, promised, 10)).toBe(reason);
  });
});
