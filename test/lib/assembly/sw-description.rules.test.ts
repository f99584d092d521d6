import { describe, expect, it } from 'vitest';
import type { Install } from '../../../lib/assembly/assembly.ts';
import { type DescribedPart, formatSwDescription } from '../../../lib/assembly/sw-description.ts';

const part = (fields: Partial<DescribedPart> & { install?: Install } = {}): DescribedPart => ({
  filename: 'vega_gsm.bin',
  hardware_type: 'vega_gsm',
  version: '2.0.1',
  sha256: 'ab'.repeat(32),
  install: { handler: 'rawfile', path: '/lib/firmware/vega_gsm.bin', device: null },
  ...fields,
});

const format = (fields: { version?: string; hardware_compatibility?: string[]; parts?: DescribedPart[] } = {}) =>
  formatSwDescription({ version: '1.0.0', hardware_compatibility: ['1.0'], parts: [part()], ...fields });

describe('sw-description', () => {
  it('of one part', () => {
    expect(format()).toBe(`software =
{
\tversion = "1.0.0";
\thardware-compatibility: [ "1.0" ];
\tfiles: (
\t\t{
\t\t\tfilename = "vega_gsm.bin";
\t\t\tname = "vega_gsm";
\t\t\tversion = "2.0.1";
\t\t\ttype = "rawfile";
\t\t\tpath = "/lib/firmware/vega_gsm.bin";
\t\t\tsha256 = "abababababababababababababababababababababababababababababababab";
\t\t\tproperties: {
\t\t\t\tatomic-install = "true";
\t\t\t\tcreate-destination = "true";
\t\t\t};
\t\t}
\t);
};
`);
  });

  it('of three parts: block devices are images, the others files, each in the order of the request', () => {
    const parts = [
      part(),
      part({ filename: 'cabinet_os.bin', hardware_type: 'cabinet_os', install: { handler: 'raw', path: null, device: '/dev/mmcblk0p2' } }),
      part({
        filename: 'audio_lock.bin',
        hardware_type: 'audio_lock',
        install: { handler: 'archive', path: '/usr/share/audio', device: null },
      }),
    ];
    expect(format({ version: '7', hardware_compatibility: ['1.0', '#RE:^1[.]'], parts })).toBe(`software =
{
\tversion = "7";
\thardware-compatibility: [ "1.0", "#RE:^1[.]" ];
\timages: (
\t\t{
\t\t\tfilename = "cabinet_os.bin";
\t\t\tname = "cabinet_os";
\t\t\tversion = "2.0.1";
\t\t\ttype = "raw";
\t\t\tdevice = "/dev/mmcblk0p2";
\t\t\tsha256 = "abababababababababababababababababababababababababababababababab";
\t\t}
\t);
\tfiles: (
\t\t{
\t\t\tfilename = "vega_gsm.bin";
\t\t\tname = "vega_gsm";
\t\t\tversion = "2.0.1";
\t\t\ttype = "rawfile";
\t\t\tpath = "/lib/firmware/vega_gsm.bin";
\t\t\tsha256 = "abababababababababababababababababababababababababababababababab";
\t\t\tproperties: {
\t\t\t\tatomic-install = "true";
\t\t\t\tcreate-destination = "true";
\t\t\t};
\t\t},
\t\t{
\t\t\tfilename = "audio_lock.bin";
\t\t\tname = "audio_lock";
\t\t\tversion = "2.0.1";
\t\t\ttype = "archive";
\t\t\tpath = "/usr/share/audio";
\t\t\tsha256 = "abababababababababababababababababababababababababababababababab";
\t\t\tproperties: {
\t\t\t\tcreate-destination = "true";
\t\t\t};
\t\t}
\t);
};
`);
  });
});

describe('what users write stays inside its quotes', () => {
  it.each([
    [
      'a quote that would end the string',
      '1.0"; scripts: ( { filename = "x.sh"; } ); a = "',
      '"1.0\\"; scripts: ( { filename = \\"x.sh\\"; } ); a = \\""',
    ],
    ['a backslash that would take the closing quote along', '1.0\\', '"1.0\\\\"'],
    ['an escape of libconfig', '\\x41\\n', '"\\\\x41\\\\n"'],
    ['a line that would be a directive', '1\n@include "/etc/passwd"\n', '"1\\x0a@include \\"/etc/passwd\\"\\x0a"'],
    ['comments', '/* # // */', '"/* # // */"'],
    ['Unicode, as its bytes', 'é🚲\u2028', '"\\xc3\\xa9\\xf0\\x9f\\x9a\\xb2\\xe2\\x80\\xa8"'],
    ['DEL and other control characters', '\u007f\t\u0001', '"\\x7f\\x09\\x01"'],
  ])('%s', (_, written, quoted) => {
    expect(format({ version: written })).toContain(`\n\tversion = ${quoted};\n`);
    expect(format({ hardware_compatibility: [written] })).toContain(`: [ ${quoted} ];\n`);
    expect(format({ parts: [part({ version: written })] })).toContain(`\n\t\t\tversion = ${quoted};\n`);
    const install: Install = { handler: 'rawfile', path: written, device: null };
    expect(format({ parts: [part({ install })] })).toContain(`\n\t\t\tpath = ${quoted};\n`);
  });
});
