import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { reportSources } from '../../../lib/fleet/device.ts';
import { applyReport, type KnownVersion, type VersionReport } from '../../../lib/report/report.ts';

const at = (second: number) => new Date(Date.UTC(2026, 10, 24, 8, 0, second));
const firmwareIds: Record<string, number | null> = { '1.0': 1, '1.1': 2, '2.0': 3, homemade: null };
const reportOf = (version: string, second: number, source: VersionReport['source'] = 'confirmation'): VersionReport => ({
  version,
  firmware_id: firmwareIds[version] ?? null,
  occurred_dt: at(second),
  received_dt: at(59),
  registered_dt: at(0),
  source,
});

/** Few versions and few moments, so that ties are frequent. */
const anyReport = fc
  .record({
    version: fc.constantFrom(...Object.keys(firmwareIds)),
    second: fc.integer({ min: 0, max: 4 }),
    source: fc.constantFrom(...reportSources),
  })
  .map(({ version, second, source }) => reportOf(version, second, source));
const anyReports = fc.array(anyReport, { minLength: 1, maxLength: 12 });
const anyReportsInTwoOrders = anyReports.chain((reports) =>
  fc.tuple(fc.constant(reports), fc.shuffledSubarray(reports, { minLength: reports.length, maxLength: reports.length })),
);

const learn = (reports: readonly VersionReport[]): KnownVersion => {
  let known: KnownVersion | undefined;
  for (const report of reports) known = applyReport(known, report).known;
  if (!known) throw new Error('no reports');
  return known;
};
const truthOf = ({ reported_version, firmware_id, observed_dt, source }: KnownVersion) => ({
  reported_version,
  firmware_id,
  observed_dt,
  source,
});

describe('reports about one device', () => {
  it('lead to the same truth in whatever order they arrive', () => {
    fc.assert(
      fc.property(anyReportsInTwoOrders, ([one, other]) => {
        expect(truthOf(learn(one))).toEqual(truthOf(learn(other)));
      }),
      { numRuns: 2_000 },
    );
  });

  it('lead to the same truth when some arrive twice', () => {
    const some = anyReports.chain((reports) => fc.tuple(fc.constant(reports), fc.subarray(reports)));
    fc.assert(
      fc.property(some, ([reports, again]) => {
        expect(truthOf(learn([...reports, ...again]))).toEqual(truthOf(learn(reports)));
      }),
    );
  });

  it('the latest of them is the truth, and one older never overwrites it', () => {
    fc.assert(
      fc.property(anyReports, (reports) => {
        const latest = Math.max(...reports.map(({ occurred_dt }) => occurred_dt.getTime()));
        const known = learn(reports);
        expect(known.observed_dt.getTime()).toBe(latest);
        expect(reports.filter((r) => r.occurred_dt.getTime() === latest).map(({ version }) => version)).toContain(known.reported_version);
      }),
    );
  });

  it('the same one twice changes nothing the second time, not even dates', () => {
    fc.assert(
      fc.property(anyReports, anyReport, (reports, report) => {
        const once = applyReport(learn(reports), report);
        const twice = applyReport(once.known, report);
        expect(twice.known).toEqual(once.known);
        expect(['repeated', 'outdated']).toContain(twice.effect);
      }),
    );
  });

  it('the effect says truly whether anything changed', () => {
    fc.assert(
      fc.property(anyReports, anyReport, (reports, report) => {
        const before = learn(reports);
        const { effect, known } = applyReport(before, report);
        const isOtherVersion = known.reported_version !== before.reported_version;
        expect(effect === 'changed').toBe(isOtherVersion);
        if (effect === 'repeated' || effect === 'outdated') expect(known).toEqual(before);
        if (effect === 'seen') expect(truthOf(known)).not.toEqual(truthOf(before));
      }),
    );
  });

  it('change nothing in what they are given', () => {
    const known = Object.freeze(learn([reportOf('1.0', 1)]));
    applyReport(known, Object.freeze(reportOf('2.0', 2)));
    applyReport(known, Object.freeze(reportOf('1.0', 2)));
    expect(known).toEqual(learn([reportOf('1.0', 1)]));
  });
});

describe('a report', () => {
  it('about a device of which nothing is known is what it runs, since then', () => {
    expect(applyReport(undefined, reportOf('1.0', 5))).toEqual({
      effect: 'changed',
      known: {
        firmware_id: 1,
        reported_version: '1.0',
        firmware_update_dt: at(5),
        firmware_update_time: null,
        observed_dt: at(5),
        occurred_dt: at(5),
        source: 'confirmation',
      },
    });
  });

  it('of another version, later: it runs that since then, and how long that took is not known', () => {
    const before = { ...learn([reportOf('1.0', 1)]), firmware_update_time: 42 };
    expect(applyReport(before, reportOf('1.1', 2))).toEqual({
      effect: 'changed',
      known: {
        firmware_id: 2,
        reported_version: '1.1',
        firmware_update_dt: at(2),
        firmware_update_time: null,
        observed_dt: at(2),
        occurred_dt: at(2),
        source: 'confirmation',
      },
    });
  });

  it('of the same version, later: it was seen again; since when it runs it and how long that took stay', () => {
    const before = { ...learn([reportOf('1.0', 1)]), firmware_update_time: 42 };
    expect(applyReport(before, reportOf('1.0', 9, 'observation'))).toEqual({
      effect: 'seen',
      known: { ...before, observed_dt: at(9), occurred_dt: at(9), source: 'observation' },
    });
  });

  it('of another version, earlier, is outdated, also when it comes from the device itself', () => {
    const before = learn([reportOf('1.1', 5, 'observation')]);
    expect(applyReport(before, reportOf('2.0', 4))).toEqual({ effect: 'outdated', known: before });
  });

  it('of another version at the same moment that is the answer to a command: it runs that, whatever the texts of the versions', () => {
    const before = learn([reportOf('2.0', 1)]);
    expect(applyReport(before, { ...reportOf('1.1', 1), isAnswer: true })).toMatchObject({
      effect: 'changed',
      known: { reported_version: '1.1', observed_dt: at(59), occurred_dt: at(1) },
    });
    expect(applyReport(before, reportOf('1.1', 1))).toEqual({ effect: 'outdated', known: before });
  });

  it('of the same moment: the device’s own word wins over a poll, in both orders', () => {
    const own = reportOf('1.0', 5, 'confirmation');
    const poll = reportOf('2.0', 5, 'observation');
    expect(truthOf(learn([own, poll]))).toEqual({ reported_version: '1.0', firmware_id: 1, observed_dt: at(5), source: 'confirmation' });
    expect(truthOf(learn([poll, own]))).toEqual({ reported_version: '1.0', firmware_id: 1, observed_dt: at(5), source: 'confirmation' });
  });

  it('of a version that has come into the catalogue since makes its id known', () => {
    const before = learn([{ ...reportOf('1.0', 1), firmware_id: null }]);
    expect(applyReport(before, reportOf('1.0', 2)).known.firmware_id).toBe(1);
  });

  it('with a millisecond between them: the later one counts', () => {
    const later = { ...reportOf('1.0', 5), occurred_dt: new Date(at(5).getTime() + 1) };
    expect(learn([later, reportOf('2.0', 5)]).reported_version).toBe('1.0');
  });
});
