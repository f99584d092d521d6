import { beforeEach, describe, expect, it } from 'vitest';
import { addSeconds } from '../../../lib/clock.ts';
import { listHistory } from '../../../lib/fleet/device-queries.ts';
import { getDevice } from '../../../lib/fleet/get-devices.ts';
import type { Confirmation } from '../../../lib/report/confirmation.ts';
import { recordReports } from '../../../lib/report/record-reports.ts';
import { createTestDatabase } from '../../support/database.ts';
import { confirmation, givenDevices, givenFirmware, startOfTime } from '../../support/fixtures.ts';
import { createUpdateService, type UpdateService } from '../../support/update-service.ts';

const { db } = await createTestDatabase();
let service: UpdateService;
beforeEach(() => {
  service = createUpdateService(db);
});

const at = (seconds: number) => addSeconds(startOfTime, seconds);
const epoch = new Date('1970-01-01T00:00:00Z');
/** What it runs; the API's texts of times as times. */
const runs = async (external_id: string) => {
  const [firmware] = (await getDevice(db, 'scooter', external_id)).firmwares;
  if (!firmware) throw new Error(`It is not known what ${external_id} runs`);
  const { observed_dt, firmware_update_dt } = firmware;
  return { ...firmware, observed_dt: new Date(observed_dt), firmware_update_dt: new Date(firmware_update_dt) };
};
const historyOf = async (external_id: string) => (await listHistory(db, { kind: 'scooter', external_id, limit: 10 })).items;

/** A device that ran 1.0.0 two minutes ago and was asked at 8:00:00. */
const givenAsked = async () => {
  const given = await service.given();
  const [external_id = ''] = given.external_ids;
  const tell = async (seconds: number, report: Partial<Confirmation>) => {
    service.clock.advance((at(seconds).getTime() - service.clock.now().getTime()) / 1_000);
    const [outcome] = await service.confirm(confirmation({ external_id, version: given.firmware.version, ...report }));
    return outcome;
  };
  await service.confirm(confirmation({ external_id, version: '1.0.0', occurred_dt: at(-120) }));
  await service.advance(given.message);
  for (const message of service.deps.dispatches.take()) await service.dispatch(message);
  const stored = async () => (await service.executions(given.update.id))[0];
  const execution_id = (await stored())?.id ?? 0;
  return { ...given, external_id, tell, stored, execution_id };
};

describe('the clock of a device that was asked', () => {
  it.each([
    ['1970', epoch],
    ['before it was registered', new Date('2023-12-31T00:00:00Z')],
    ['two days behind', at(-2 * 86_400)],
    ['three hours behind', at(-3 * 3_600)],
    ['a second before the command', at(-1)],
    ['a second ahead', at(61)],
    ['six minutes ahead', at(420)],
    ['ten years ahead', at(315_360_000)],
  ])('says %s: its success is its success', async (_, occurred_dt) => {
    const { external_id, firmware, tell, stored, execution_id } = await givenAsked();
    expect(await tell(60, { occurred_dt, execution_id })).toMatchObject({ outcome: 'stored', execution: { status: 'SUCCEEDED' } });
    expect(await stored()).toMatchObject({ status: 'SUCCEEDED' });
    expect(await runs(external_id)).toMatchObject({ version: firmware.version, observed_dt: at(60), firmware_update_time: 60 });
    // What it said is kept beside.
    expect(await historyOf(external_id)).toMatchObject([{ version: firmware.version, occurred_dt }, { version: '1.0.0' }]);
  });

  it.each([epoch, at(420)])('without naming the execution, at %o: its success is its success', async (occurred_dt) => {
    const { tell, stored } = await givenAsked();
    expect(await tell(60, { occurred_dt })).toMatchObject({ outcome: 'stored', execution: { status: 'SUCCEEDED' } });
    expect(await stored()).toMatchObject({ status: 'SUCCEEDED' });
  });

  it('was ahead and is put right by the restart: the true success is not outdated', async () => {
    const { external_id, firmware, tell, stored, execution_id } = await givenAsked();
    expect(await tell(10, { version: '1.0.0', status: 'IN_PROGRESS', occurred_dt: at(300), execution_id })).toMatchObject({
      outcome: 'stored',
    });
    expect(await runs(external_id)).toMatchObject({ version: '1.0.0', observed_dt: at(10) });
    expect(await tell(120, { occurred_dt: at(119), execution_id })).toMatchObject({
      outcome: 'stored',
      execution: { status: 'SUCCEEDED' },
    });
    expect(await stored()).toMatchObject({ status: 'SUCCEEDED' });
    expect(await runs(external_id)).toMatchObject({ version: firmware.version, observed_dt: at(119) });
  });

  it('was ahead and is put right, both told in one call: the true success is not outdated', async () => {
    const { external_id, firmware, execution_id } = await givenAsked();
    service.clock.advance(120);
    const started = confirmation({ external_id, version: '1.0.0', status: 'IN_PROGRESS', occurred_dt: at(300), execution_id });
    const done = confirmation({ external_id, version: firmware.version, occurred_dt: at(119), execution_id });
    expect(await service.confirm(started, done)).toMatchObject([
      { outcome: 'stored' },
      { outcome: 'stored', execution: { status: 'SUCCEEDED' } },
    ]);
    expect(await runs(external_id)).toMatchObject({ version: firmware.version });
  });

  it('is a minute behind that of the backend, which saw the old version meanwhile: the success is not outdated', async () => {
    const { external_id, firmware, tell, stored, execution_id } = await givenAsked();
    service.clock.advance(90);
    const seen = {
      kind: 'scooter',
      external_id,
      hardware_type: 'vega_mcu',
      version: '1.0.0',
      status: 'SUCCEEDED',
      source: 'observation',
    } as const;
    await db.transaction().execute((trx) => recordReports(trx, [{ ...seen, occurred_dt: at(90) }], service.clock.now()));
    expect(await tell(100, { occurred_dt: at(40), execution_id })).toMatchObject({ outcome: 'stored', execution: { status: 'SUCCEEDED' } });
    expect(await stored()).toMatchObject({ status: 'SUCCEEDED' });
    expect(await runs(external_id)).toMatchObject({ version: firmware.version, observed_dt: at(100) });
    // What comes again, or late, changes nothing any more.
    expect(await tell(110, { version: '1.0.0', status: 'IN_PROGRESS', occurred_dt: at(30), execution_id })).toMatchObject({
      outcome: 'outdated',
    });
    expect(await runs(external_id)).toMatchObject({ version: firmware.version, observed_dt: at(100) });
  });

  it.each([
    ['first', 0],
    ['last', 1],
  ])(
    'is an hour behind; it tells its success in one call with an older report, the success %s: it runs what was wanted',
    async (_, place) => {
      const { external_id, firmware, stored, execution_id } = await givenAsked();
      service.clock.advance(60);
      const done = confirmation({ external_id, version: firmware.version, occurred_dt: at(-3_550), execution_id });
      const started = confirmation({ external_id, version: '1.0.0', status: 'IN_PROGRESS', occurred_dt: at(-3_590), execution_id });
      await service.confirm(...[started].toSpliced(place, 0, done));
      expect(await stored()).toMatchObject({ status: 'SUCCEEDED' });
      expect(await runs(external_id)).toMatchObject({ version: firmware.version, observed_dt: at(60) });
    },
  );

  const givenBehind = async () => {
    const given = await givenAsked();
    const { execution_id } = given;
    const started = { version: '0.9.0', status: 'IN_PROGRESS', occurred_dt: at(-3_590), execution_id } as const;
    expect(await given.tell(10, started)).toMatchObject({ outcome: 'stored' });
    return { ...given, started };
  };
  const givenObserved = async (external_id: string, version: string, seconds: number) => {
    const seen = { kind: 'scooter', external_id, hardware_type: 'vega_mcu', version, status: 'SUCCEEDED', source: 'observation' } as const;
    await db.transaction().execute((trx) => recordReports(trx, [{ ...seen, occurred_dt: at(seconds) }], at(seconds)));
  };

  it('is an hour behind, and what it told first comes again after other news: it is told again', async () => {
    const { external_id, tell, started } = await givenBehind();
    await givenObserved(external_id, '1.1.0', 20);
    expect(await tell(30, started)).toMatchObject({ outcome: 'outdated' });
    expect(await runs(external_id)).toMatchObject({ version: '1.1.0', observed_dt: at(20) });
  });

  it('is an hour behind and stands still: what it tells last counts, also if it has told the same before', async () => {
    const { external_id, tell, started } = await givenBehind();
    expect(await tell(20, { ...started, version: '0.9.1' })).toMatchObject({ outcome: 'stored' });
    expect(await tell(30, started)).toMatchObject({ outcome: 'stored' });
    expect(await runs(external_id)).toMatchObject({ version: '0.9.0', observed_dt: at(30) });
  });

  it('begins anew with each start: what it told before the command, and tells again about the command, is new', async () => {
    const { external_id, tell, started } = await givenBehind();
    expect(await tell(20, { ...started, version: '1.0.0', occurred_dt: at(-120) })).toMatchObject({ outcome: 'stored' });
    expect(await runs(external_id)).toMatchObject({ version: '1.0.0', observed_dt: at(20) });
  });

  it('says 1970 to the backend, which says it to us: what it is seen to run counts', async () => {
    const { external_id, firmware, stored } = await givenAsked();
    service.clock.advance(60);
    const seen = { kind: 'scooter', external_id, hardware_type: 'vega_mcu', status: 'SUCCEEDED', source: 'observation' } as const;
    const report = { ...seen, version: firmware.version, occurred_dt: epoch, since_dt: epoch };
    await db.transaction().execute((trx) => recordReports(trx, [report], service.clock.now()));
    expect(await stored()).toMatchObject({ status: 'SUCCEEDED' });
    expect(await runs(external_id)).toMatchObject({ version: firmware.version, observed_dt: at(60), firmware_update_dt: at(60) });
  });

  it.each(['0.1', '9.9'])(
    'counts whole seconds, and the device is done within the one in which it began with %s: it succeeds',
    async (old) => {
      const { update, firmware, external_ids, executions } = await service.givenSent();
      const said = { external_id: external_ids[0] ?? '', occurred_dt: at(5), execution_id: executions[0]?.id };
      service.clock.advance(5);
      await service.confirm(confirmation({ ...said, version: old, status: 'IN_PROGRESS' }));
      const [outcome] = await service.confirm(confirmation({ ...said, version: firmware.version }));
      expect(outcome).toMatchObject({ outcome: 'stored', execution: { status: 'SUCCEEDED' } });
      expect(await service.executions(update.id)).toMatchObject([{ status: 'SUCCEEDED' }]);
      expect(await runs(said.external_id)).toMatchObject({ version: firmware.version });
    },
  );

  it('says 1970: its failure is a failure', async () => {
    const { tell, stored, execution_id } = await givenAsked();
    expect(await tell(60, { version: '1.0.0', status: 'FAILED', occurred_dt: epoch, execution_id })).toMatchObject({
      execution: { status: 'FAILED' },
    });
    expect(await stored()).toMatchObject({ status: 'FAILED', reason: 'DEVICE_FAILED' });
  });
});

describe('the clock of any device', () => {
  const given = async () => (await givenDevices(db))[0] ?? '';
  const tell = async (seconds: number, external_id: string, version: string, occurred_dt: Date) => {
    service.clock.advance((at(seconds).getTime() - service.clock.now().getTime()) / 1_000);
    return (await service.confirm(confirmation({ external_id, version, occurred_dt })))[0];
  };

  it('says 1970 at first: it was seen when the report came', async () => {
    const external_id = await given();
    expect(await tell(5, external_id, '1.0', epoch)).toMatchObject({ outcome: 'stored' });
    expect(await getDevice(db, 'scooter', external_id)).toMatchObject({
      last_seen_dt: at(5),
      firmwares: [{ firmware_update_dt: at(5).toISOString() }],
    });
  });

  it('is six minutes ahead: the version is not lost', async () => {
    const external_id = await given();
    expect(await tell(0, external_id, '1.0', at(360))).toMatchObject({ outcome: 'stored' });
    expect(await runs(external_id)).toMatchObject({ version: '1.0', observed_dt: at(0) });
    expect(await tell(60, external_id, '1.1', at(420))).toMatchObject({ outcome: 'stored' });
    expect(await runs(external_id)).toMatchObject({ version: '1.1', observed_dt: at(60) });
  });

  it('always says 1970: what came last is what it runs, there and back', async () => {
    const external_id = await given();
    for (const [seconds, version] of ['1.0', '2.0', '1.0'].entries()) {
      expect(await tell(seconds, external_id, version, epoch)).toMatchObject({ outcome: 'stored' });
      expect(await runs(external_id)).toMatchObject({ version, observed_dt: at(seconds) });
    }
    expect(await historyOf(external_id)).toHaveLength(3);
  });

  it('cannot be right, and the same report comes again: it changes nothing', async () => {
    const external_id = await given();
    for (const occurred_dt of [epoch, at(360)]) {
      await tell(0, external_id, `${occurred_dt.getTime()}`, occurred_dt);
      const before = await getDevice(db, 'scooter', external_id);
      service.clock.advance(30);
      const again = confirmation({ external_id, version: `${occurred_dt.getTime()}`, occurred_dt });
      expect(await service.confirm(again, again)).toMatchObject([{ outcome: 'unchanged' }, { outcome: 'unchanged' }]);
      expect(await getDevice(db, 'scooter', external_id)).toEqual(before);
      service.clock.advance(-30);
    }
  });

  it('was wrong, and is right now: what is true now counts, and an hour later what is older does not', async () => {
    const external_id = await given();
    await tell(0, external_id, '1.0', at(-3_600));
    await tell(10, external_id, '2.0', epoch);
    // Which of the two was first cannot be known by their times.
    expect(await tell(20, external_id, '3.0', at(5))).toMatchObject({ outcome: 'stored' });
    await tell(3_600, external_id, '4.0', at(3_600));
    expect(await tell(3_601, external_id, '3.0', at(5))).toMatchObject({ outcome: 'outdated' });
    expect(await runs(external_id)).toMatchObject({ version: '4.0', observed_dt: at(3_600) });
  });

  it('is right, and a report was under way for hours: it is outdated', async () => {
    const external_id = await given();
    await tell(0, external_id, '2.0', at(0));
    expect(await tell(7_200, external_id, '1.0', at(-70_000))).toMatchObject({ outcome: 'outdated' });
    expect(await runs(external_id)).toMatchObject({ version: '2.0' });
  });

  it('is right, and what it said long ago comes again: that is no news, and proves nothing', async () => {
    const firmware = await givenFirmware(db);
    const [external_id = ''] = await givenDevices(db);
    const old = confirmation({ external_id, version: firmware.version, occurred_dt: at(-5 * 86_400) });
    await service.confirm(old);
    await service.confirm(confirmation({ external_id, version: '2.0.0', occurred_dt: at(-3 * 86_400) }));
    await service.request({ firmware_id: firmware.id, targets: { external_ids: [external_id] } });
    expect(await service.confirm(old)).toMatchObject([{ outcome: 'outdated', execution: { status: 'QUEUED' } }]);
    expect(await runs(external_id)).toMatchObject({ version: '2.0.0', observed_dt: at(-3 * 86_400) });
    // The same version at another time of long ago is no repetition: the clock was put back.
    const anew = { ...old, occurred_dt: at(-5 * 86_400 + 1) };
    expect(await service.confirm(anew)).toMatchObject([{ outcome: 'stored', execution: { status: 'SUCCEEDED' } }]);
  });

  it('was put back by more than a day: what it says now is not taken for a late report', async () => {
    const external_id = await given();
    await tell(0, external_id, '1.0', at(0));
    expect(await tell(3_600, external_id, '2.0', at(-86_401))).toMatchObject({ outcome: 'stored' });
    expect(await runs(external_id)).toMatchObject({ version: '2.0', observed_dt: at(3_600) });
  });
});
