import { describe, expect, it } from 'vitest';
import { HELP, parseStartOptions, UsageError } from '../../dev/start-options.ts';

describe('the command line of npm start', () => {
  it('may be empty', () => {
    expect(parseStartOptions([])).toMatchObject({
      fleet: undefined,
      cabinets: undefined,
      failureRate: 0.02,
      installSeconds: 4,
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
    ['--aws', 'localhost:4566'],
    ['--firmware', 'a.bin'],
    ['--hardware-type', 'vega_mcu'],
    ['--firmware-version', '1.0'],
  ])('%s %j is refused, and named', (name, value) => {
    expect(() => parseStartOptions([`${name}=${value}`])).toThrow(UsageError);
    expect(() => parseStartOptions([`${name}=${value}`])).toThrow(name);
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
