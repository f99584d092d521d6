import { describe, expect, it } from 'vitest';
import { HELP, parseStartOptions, UsageError, versionFor } from '../../dev/start-options.ts';
import { FirmwareVersion } from '../../lib/firmware/version.ts';

describe('the command line of npm start', () => {
  it('may be empty', () => {
    expect(parseStartOptions([])).toMatchObject({
      fleet: undefined,
      cabinets: undefined,
      failureRate: 0.02,
      installSeconds: 1,
      once: false,
    });
  });

  it('says how many scooters and cabinets there are', () => {
    expect(parseStartOptions(['--fleet', '5000', '--cabinets', '50'])).toMatchObject({ fleet: 5_000, cabinets: 50 });
  });

  it.each([
    ['--fleet', '0'],
    ['--fleet', 'many'],
    ['--fleet', '1.5'],
    ['--cabinets', '0'],
    ['--cabinets', '1001'],
    ['--cabinets', ''],
    ['--failure-rate', '1.1'],
    ['--install-seconds', '-1'],
    ['--port', '65536'],
    ['--port', '0'],
    ['--port', '1e3'],
    ['--port', '0x50'],
    ['--port', ' 80'],
    ['--port', '+80'],
    ['--port', '8080.5'],
    ['--fleet', '1e3'],
    ['--failure-rate', '1e-3'],
    ['--install-seconds', ''],
    ['--aws', 'localhost:4566'],
    ['--firmware', 'a.bin'],
    ['--hardware-type', 'vega_mcu'],
    ['--firmware-version', '1.0'],
  ])('%s %j is refused, and named', (name, value) => {
    expect(() => parseStartOptions([`${name}=${value}`])).toThrow(UsageError);
    expect(() => parseStartOptions([`${name}=${value}`])).toThrow(name);
  });

  it.each([
    [['--firmware', '/builds/ mcu.bin', '--hardware-type', 'vega_mcu'], '--firmware: the name " mcu.bin" of the file: must not begin'],
    [['--firmware', `${'m'.repeat(129)}.bin`, '--hardware-type', 'vega_mcu'], 'expected string to have <=128 characters'],
    [['--firmware', 'mcu\u0007.bin', '--hardware-type', 'vega_mcu'], 'must not have control characters'],
    [['--firmware', '..', '--hardware-type', 'vega_mcu'], '--firmware: the name ".." of the file'],
    [['--firmware', 'mcu.bin', '--hardware-type', 'toString'], '--hardware-type must be one that the simulated fleet has (vega_mcu, '],
    [['--firmware', 'mcu.bin', '--hardware-type', 'vega_mcu', '--firmware-version', ' 1.0'], '--firmware-version " 1.0": must not begin'],
    [['--firmware', 'mcu.bin', '--hardware-type', 'vega_mcu', '--firmware-version', '1'.repeat(65)], '--firmware-version "1111'],
    [['--firmware', 'mcu.bin', '--hardware-type', 'vega_mcu', '--firmware-version', '1.0-\ud83d'], 'must be well-formed Unicode'],
  ])('what the service would refuse is refused before anything starts: %j', (args, message) => {
    expect(() => parseStartOptions(args)).toThrow(UsageError);
    expect(() => parseStartOptions(args)).toThrow(message);
  });

  it.each(['vega_mcu', 'vega_gsm', 'audio_lock', 'audio_locate', 'audio_unlock', 'audio_battery_low', 'cabinet', 'yandex_iot'])(
    'takes a file for %s, whatever letters its name has',
    (hardwareType) => {
      const file = '/builds/прошивка 🛴.bin';
      expect(parseStartOptions(['--firmware', file, '--hardware-type', hardwareType])).toMatchObject({ firmware: { file, hardwareType } });
      expect(HELP).toContain(hardwareType);
    },
  );

  it.each([
    ['/builds/mcu-1.5.bin', 'mcu-1.5.bin-20261126T035900'],
    // Were it cut as it is, the last letter would be half a scooter.
    [`${'m'.repeat(43)}🛴.bin`, `${'m'.repeat(43)}_-20261126T035900`],
    ['прошивка 2.bin', '_2.bin-20261126T035900'],
  ])('makes a version of %s that the service takes', (file, version) => {
    expect(versionFor(file, new Date('2026-11-26T03:59:00.123Z'))).toBe(version);
    expect(FirmwareVersion.parse(version)).toBe(version);
  });

  it('is refused with an option that there is not', () => {
    expect(() => parseStartOptions(['--cabinet', '5'])).toThrow(UsageError);
  });

  it('has a help that names every option', () => {
    const options = [
      'firmware',
      'hardware-type',
      'firmware-version',
      'fleet',
      'cabinets',
      'failure-rate',
      'install-seconds',
      'port',
      'aws',
    ];
    for (const name of [...options, 'once', 'quiet', 'help']) expect(HELP).toContain(`  --${name} `);
  });
});
