import { describe, expect, it } from 'vitest';
import { describeDifference, differencesOf, FirmwareVersion, isConfusable } from '../../../lib/firmware/version.ts';

const messagesOf = (version: unknown) => FirmwareVersion.safeParse(version).error?.issues.map(({ message }) => message) ?? [];

describe('the text of a version', () => {
  it('is one text, whether its accents came composed or decomposed', () => {
    expect(FirmwareVersion.parse('1.0-e\u0301')).toBe('1.0-\u00e9');
    expect(FirmwareVersion.parse('1.0-\u00e9')).toBe('1.0-\u00e9');
    expect(FirmwareVersion.parse(`${'e\u0301'.repeat(64)}`)).toBe('\u00e9'.repeat(64));
  });

  it.each(['1.4.2-rc.1+build', '1.0-бета', '1.0 + β', '版本 1', 'тест-rc1', 'Ausführung 2', '1.0°'])('may be %j', (version) => {
    expect(FirmwareVersion.parse(version)).toBe(version);
  });

  it.each([
    ['a zero-width space', '1.0\u200b', 'must not have U+200B, which cannot be seen'],
    ['a joiner', '1.0\u200d', 'must not have U+200D, which cannot be seen'],
    ['a byte order mark inside', '1\ufeff.0', 'must not have U+FEFF, which cannot be seen'],
    ['a soft hyphen', '1.0\u00ad', 'must not have U+00AD, which cannot be seen'],
    ['a mark of direction', '1.0\u202e', 'must not have U+202E, which cannot be seen'],
    ['a variation selector', '1.0\ufe0f', 'must not have U+FE0F, which cannot be seen'],
    ['a space that does not break', '1.0\u00a0b', 'must not have U+00A0, which cannot be seen'],
    ['a blank of Braille', '1.0\u2800b', 'must not have U+2800, which cannot be seen'],
    ['a character for private use', '1.0\ue000', 'must not have U+E000, which cannot be seen'],
    ['a full-width digit', '\uff11.0', 'must not have U+FF11, which is mistaken for "1"'],
    ['a full-width stop', '1\uff0e0', 'must not have U+FF0E, which is mistaken for "."'],
    ['a ligature', '\ufb01x', 'must not have U+FB01, which is mistaken for "fi"'],
    ['a raised digit', '1.0\u00b2', 'must not have U+00B2, which is mistaken for "2"'],
    ['a digit of another script', '1.\u0660', 'must not have U+0660 (\u0660), which is mistaken for another character'],
    ['a dash', '1.0\u2013rc1', 'must not have U+2013 (\u2013), which is mistaken for another character'],
    ['a minus', '1.0\u2212rc1', 'must not have U+2212 (\u2212), which is mistaken for another character'],
    ['a slash of mathematics', '1\u22152', 'must not have U+2215 (\u2215), which is mistaken for another character'],
    [
      'a Cyrillic letter in a Latin word',
      '1.0-r\u0441',
      'must not have U+0441 (\u0441) in "r\u0441", where it is mistaken for a Latin letter',
    ],
    [
      'a Cyrillic letter that stands alone',
      '1.0-\u0430',
      'must not have U+0430 (\u0430) in "\u0430", where it is mistaken for a Latin letter',
    ],
    ['a Greek capital', '1.0-\u0391', 'must not have U+0391 (\u0391) in "\u0391", where it is mistaken for a Latin letter'],
  ])('is refused by name with %s', (_, version, message) => {
    expect(messagesOf(version)).toEqual([message]);
  });

  it('is refused with what no text may have', () => {
    for (const version of ['', ' 1', '1\u0000', '1\n', '1.0\u2028', 'a/b', '\ud83d', '..', 'x'.repeat(65), 1.1, null]) {
      expect(messagesOf(version), JSON.stringify(version)).not.toEqual([]);
    }
  });
});

describe('two versions that differ', () => {
  it.each([
    ['v1.4.0', '1.4.0', 'differs only by a leading v'],
    ['V.2', '2', 'differs only by a leading v'],
    ['1.0-RC1', '1.0-rc1', 'differs only by case'],
    ['1.4', '1.4.0', 'differs only by zeros'],
    ['1.0.0', '1', 'differs only by zeros'],
    ['1.04', '1.4', 'differs only by zeros'],
    ['1.4.0+b5', '1.4.0+b6', 'differs only by build metadata'],
    ['1.4.0+b5', '1.4.0', 'differs only by build metadata'],
    ['v1.4.0-RC1', '1.4-rc1', 'differs only by a leading v and case and zeros'],
    ['1.4.2-rc1', '1.4.2', 'differs only by a cut end'],
    ['20240102030405680', '2024010203040568', 'differs only by a cut end'],
  ])('%s and %s say in what alone, in both directions', (one, other, description) => {
    expect(describeDifference(one, other)).toBe(description);
    expect(describeDifference(other, one)).toBe(description);
  });

  it.each([
    ['1.4', '1.5'],
    ['1.10', '1.1'],
    ['1.4.1', '1.4.10'],
    ['1.4.0', '2.4.0'],
    ['1.4.0', '1.4.0'],
    ['vega', 'ega'],
    ['100', '1'],
  ])('%s and %s say nothing when they are really two, or one', (one, other) => {
    expect(differencesOf(one, other)).toBeUndefined();
    expect(describeDifference(other, one)).toBeUndefined();
  });

  it('are mistaken for each other when they differ by case or a leading v alone', () => {
    for (const [one, other] of [
      ['1.0-RC1', '1.0-rc1'],
      ['v1.0', '1.0'],
      ['V1.0-RC1', '1.0-rc1'],
    ] as const) {
      expect(isConfusable(one, other), `${one} ${other}`).toBe(true);
    }
    for (const [one, other] of [
      ['1.0', '1.0.0'],
      ['1.0+1', '1.0+2'],
      ['1.0-rc1', '1.0'],
      ['1.0', '1.0'],
      ['1.0', '1.1'],
    ] as const) {
      expect(isConfusable(one, other), `${one} ${other}`).toBe(false);
    }
  });
});
