import { describe, expect, it } from 'vitest';
import { readVersions, toAttributes } from '../../../lib/ddi/config-data.ts';

const cabinet = { hardware_type: 'cabinet', attribute: 'cabinet_version' };
const told = (value: unknown) => readVersions([cabinet], { cabinet_version: value })[0]?.told;

describe('a version in configData', () => {
  it.each([
    // What a device has written as 1.10 comes as this.
    ['1.1', 1.1, '1.1', 'must be a text, not a number, which loses its last zeros and digits'],
    ['1e+21', 1e21, '1e+21', 'must be a text, not a number, which loses its last zeros and digits'],
    ['a boolean', true, 'true', 'must be a text, not a boolean'],
    ['null', null, 'null', 'must be a text, not null'],
    ['a list', ['1.0'], '["1.0"]', 'must be a text, not a list'],
    ['an object', { version: '1.0' }, '{"version":"1.0"}', 'must be a text, not an object'],
  ])('%s is none', (_, value, sent, problem) => {
    expect(told(value)).toEqual({ sent, problem });
  });

  it.each([[''], [' 1.0'], ['1.9.0\n'], ['a/b'], ['x'.repeat(65)], ['1\u0000'], ['\ud800']])('%j is none, with the reason', (value) => {
    expect(told(value)).toMatchObject({ problem: expect.stringMatching(/./) });
  });

  it('is kept as it was sent, cut to its limit, if it is no version', () => {
    expect(told({ token: `TargetToken ${'x'.repeat(1_000)}` })).toMatchObject({ sent: '{"token":"…"}' });
    expect((told('y'.repeat(5_000)) as { sent: string }).sent).toBe(`"${'y'.repeat(255)}`);
    expect(told('1.9.0\n')).toMatchObject({ sent: '"1.9.0\\n"' });
  });

  it('1.10 in quotes stays what it is', () => {
    expect(told('1.10')).toEqual({ version: '1.10' });
    expect(told('20240102030405680')).toEqual({ version: '20240102030405680' });
  });

  it.each(['toString', 'constructor', 'hasOwnProperty', '__proto__'])('an attribute called %s is not told by every object', (attribute) => {
    expect(readVersions([{ ...cabinet, attribute }], {})).toEqual([{ hardware_type: 'cabinet', attribute, told: undefined }]);
  });
});

describe('attributes', () => {
  const kept = (data: Record<string, unknown>) => toAttributes({ mode: 'merge', data }).attributes;

  it('are kept when they are text, a number or a boolean, and passed over when they are something else', () => {
    expect(kept({ serial: 'C-17', uptime: 5, is_open: false, nothing: null, list: [1], nested: { a: 1 } })).toEqual({
      serial: 'C-17',
      uptime: 5,
      is_open: false,
    });
  });

  it('are bounded: 100 of them, names of 128 characters, texts of 256', () => {
    const many = Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`n${i}`, 'v']));
    expect(Object.keys(kept(many))).toHaveLength(100);
    expect(kept({ ['n'.repeat(128)]: 'x'.repeat(300), ['m'.repeat(129)]: 'too long a name', '': 'none' })).toEqual({
      ['n'.repeat(128)]: 'x'.repeat(256),
    });
  });

  it('called __proto__ are passed over, also where it is the rest of a name; those called like what every object has are kept', () => {
    const data = JSON.parse('{"__proto__": "a", "__proto__\\u0000": "b", "constructor": "c", "toString": 1}') as Record<string, unknown>;
    const { attributes, names } = toAttributes({ mode: 'merge', data });
    expect([Object.entries(attributes), names]).toEqual([
      [
        ['constructor', 'c'],
        ['toString', 1],
      ],
      ['constructor', 'toString'],
    ]);
  });

  it('are stored without what PostgreSQL cannot store, and without secrets', () => {
    expect(kept({ 'a\u0000b': 'c\u0000d\ud800', header: 'TargetToken abc' })).toEqual({ ab: 'cd\ufffd', header: 'TargetToken …' });
  });
});
