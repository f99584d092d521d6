import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chunkPace, ObservationRequest, waitAfterFailure } from '../../../lib/observation/observation.ts';

describe('the pace in chunks', () => {
  it.each([
    [1, 1, 60],
    [1_000, 1_000, 60],
    [1_001, 500, 30],
    [60_000, 1_000, 1],
    [1_000_000, 1_000, 0.06],
  ])('of %i a minute is %i every %d s', (maximumPerMinute, size, seconds) => {
    expect(chunkPace(maximumPerMinute)).toEqual({ size, seconds });
  });

  it('puts no more than was asked for into any minute, and never less than half of it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), (maximumPerMinute) => {
        const { size, seconds } = chunkPace(maximumPerMinute);
        const perMinute = Math.ceil(60 / seconds) * size;
        expect(size).toBeGreaterThanOrEqual(1);
        expect(size).toBeLessThanOrEqual(1_000);
        expect(perMinute).toBeLessThanOrEqual(maximumPerMinute);
        expect(perMinute).toBeGreaterThan(maximumPerMinute / 2);
      }),
    );
  });
});

describe('the wait for a backend that does not answer', () => {
  it('doubles up to the longest that SQS can delay a message, however often it fails', () => {
    expect([1, 2, 3, 8, 9, 10_000].map((failures) => waitAfterFailure(failures))).toEqual([5, 10, 20, 640, 900, 900]);
  });

  it('is at least what the backend asks for, as far as SQS can', () => {
    expect([waitAfterFailure(1, 60), waitAfterFailure(5, 60), waitAfterFailure(1, 3_600)]).toEqual([60, 80, 900]);
  });
});

describe('a request', () => {
  it('asks scooters that are named, adds nobody and takes 60,000 a minute, unless it says otherwise', () => {
    expect(ObservationRequest.parse({ targets: { external_ids: ['S-1'] } })).toEqual({
      targets: { kind: 'scooter', external_ids: ['S-1'] },
      add_unknown: false,
      maximum_per_minute: 60_000,
      comment: '',
    });
  });

  it.each([
    ['no targets', {}],
    ['nobody', { targets: { external_ids: [] } }],
    ['more than 10,000', { targets: { external_ids: Array.from({ length: 10_001 }, (_, n) => `S-${n}`) } }],
    ['ids and a filter', { targets: { external_ids: ['S-1'], filter: {} } }],
    ['a field that is none', { targets: { filter: { colour: 'red' } } }],
    ['a generation that is none', { targets: { filter: { version: 3 } } }],
    ['no pace', { targets: { filter: {} }, maximum_per_minute: 0 }],
    ['a comment that cannot be stored', { targets: { filter: {} }, comment: '\u0000' }],
  ])('is refused with %s', (_, body) => {
    expect(ObservationRequest.safeParse(body).success).toBe(false);
  });

  it('is refused when it would add devices by what they run', () => {
    const running = { hardware_type: 'vega_mcu', version: '1.0.0' };
    const { error } = ObservationRequest.safeParse({ targets: { filter: { running } }, add_unknown: true });
    expect(error?.issues.map(({ path }) => path.join('.'))).toEqual(['targets.filter.running']);
  });
});
