// A device that runs a package runs its parts: what its reports teach about them.
import { describe, expect, it } from 'vitest';
import { addSeconds } from '../../../lib/clock.ts';
import { confirmUpdate } from '../../../lib/report/confirm-update.ts';
import { recordReports } from '../../../lib/report/record-reports.ts';
import { createAssemblyService } from '../../support/assembly-service.ts';
import { createTestDatabase } from '../../support/database.ts';
import { confirmation, givenDevices, startOfTime } from '../../support/fixtures.ts';

const { db, takeStatements } = await createTestDatabase();
const assemblies = createAssemblyService(db);
const now = () => addSeconds(startOfTime, 3_600);
const at = (minute: number) => addSeconds(startOfTime, minute * 60);

const givenPackage = async () => {
  const parts = await assemblies.givenParts();
  const { firmware } = await assemblies.givenPackage({ parts });
  return { ...firmware, parts };
};

const says = (external_id: string, hardware_type: string, version: string, minute: number) =>
  confirmation({ kind: 'cabinet', external_id, hardware_type, version, occurred_dt: at(minute) });

const confirm = (...reports: ReturnType<typeof says>[]) => confirmUpdate({ db, now }, reports);

const running = async (external_id: string) => {
  const rows = await db
    .selectFrom('device_firmwares as r')
    .innerJoin('devices as d', 'd.id', 'r.device_id')
    .select(['r.hardware_type', 'r.firmware_id', 'r.reported_version', 'r.source', 'r.observed_dt', 'r.firmware_update_time'])
    .where('d.external_id', '=', external_id)
    .execute();
  return Object.fromEntries(rows.map(({ hardware_type, ...row }) => [hardware_type, row]));
};

const historyOf = async (external_id: string) => {
  const rows = await db
    .selectFrom('device_firmware_history as h')
    .innerJoin('devices as d', 'd.id', 'h.device_id')
    .select(['h.hardware_type', 'h.reported_version', 'h.source'])
    .where('d.external_id', '=', external_id)
    .orderBy('h.id')
    .execute();
  return rows.map(({ hardware_type, reported_version, source }) => `${hardware_type} ${reported_version} ${source}`);
};

const cabinet = async () => (await givenDevices(db, 1, { kind: 'cabinet' }))[0] ?? '';

/** What is counted must be what `recount_fleet()` finds. */
const countsOf = async (hardware_type: string, version: string) => {
  const { n } = await db
    .selectFrom('device_firmware_counts')
    .select(({ fn }) => fn.sum<number>('device_count').as('n'))
    .where('hardware_type', '=', hardware_type)
    .where('reported_version', '=', version)
    .executeTakeFirstOrThrow();
  return Number(n);
};

describe('the report of a package', () => {
  it('records its parts too, with history and counts, in the very statements of any other report', async () => {
    const swu = await givenPackage();
    const id = await cabinet();
    takeStatements();
    await confirm(says(id, 'cabinet', '0.9', 1));
    const plain = takeStatements().length;
    await confirm(says(id, 'cabinet', swu.version, 2));
    expect(takeStatements().length).toBe(plain);

    const [mcu, gsm, lock] = swu.parts;
    expect(await running(id)).toEqual({
      cabinet: {
        firmware_id: swu.id,
        reported_version: swu.version,
        source: 'confirmation',
        observed_dt: at(2),
        firmware_update_time: null,
      },
      vega_mcu: { firmware_id: mcu?.id, reported_version: mcu?.version, source: 'package', observed_dt: at(2), firmware_update_time: null },
      vega_gsm: { firmware_id: gsm?.id, reported_version: gsm?.version, source: 'package', observed_dt: at(2), firmware_update_time: null },
      audio_lock: {
        firmware_id: lock?.id,
        reported_version: lock?.version,
        source: 'package',
        observed_dt: at(2),
        firmware_update_time: null,
      },
    });
    expect(await historyOf(id)).toEqual([
      'cabinet 0.9 confirmation',
      `cabinet ${swu.version} confirmation`,
      `vega_mcu ${mcu?.version} package`,
      `vega_gsm ${gsm?.version} package`,
      `audio_lock ${lock?.version} package`,
    ]);
    expect(await countsOf('vega_gsm', gsm?.version ?? '')).toBe(1);
  });

  it('says it of each of many devices in one call, and of those without a package not', async () => {
    const swu = await givenPackage();
    const ids = await givenDevices(db, 200, { kind: 'cabinet' });
    await confirm(...ids.map((id, i) => says(id, 'cabinet', i % 2 ? swu.version : 'plain', 1)));
    expect(await countsOf('vega_mcu', swu.parts[0]?.version ?? '')).toBe(100);
    expect(Object.keys(await running(ids[0] ?? ''))).toEqual(['cabinet']);
    expect(Object.keys(await running(ids[1] ?? ''))).toHaveLength(4);
  });

  it('by an observation counts from when the package was installed', async () => {
    const swu = await givenPackage();
    const id = await cabinet();
    await confirm(says(id, 'vega_gsm', '3.0', 5));
    const observed = { ...says(id, 'cabinet', swu.version, 10), source: 'observation' as const, since_dt: at(2) };
    await db.transaction().execute((trx) => recordReports(trx, [observed], now()));
    expect(await running(id)).toMatchObject({
      vega_gsm: { reported_version: '3.0', source: 'confirmation' },
      vega_mcu: { reported_version: swu.parts[0]?.version, source: 'package', observed_dt: at(2) },
    });
  });

  it('refused, teaches nothing about parts', async () => {
    const swu = await givenPackage();
    const outcomes = await confirm(says('C-nobody', 'cabinet', swu.version, 1));
    expect(outcomes).toMatchObject([{ outcome: 'refused', code: 'device.not_found' }]);
  });

  it('that has not succeeded teaches nothing about parts', async () => {
    const swu = await givenPackage();
    const id = await cabinet();
    await confirm({ ...says(id, 'cabinet', swu.version, 1), status: 'FAILED' });
    expect(await running(id)).toEqual({});
  });
});

describe('the truth about a part is the latest that is known', () => {
  it('an older report of the package overwrites no newer report of a part', async () => {
    const swu = await givenPackage();
    const id = await cabinet();
    await confirm(says(id, 'vega_gsm', '9.9', 7));
    await confirm(says(id, 'cabinet', swu.version, 6));
    expect(await running(id)).toMatchObject({ vega_gsm: { reported_version: '9.9' }, vega_mcu: { source: 'package' } });
  });

  it('a part that was changed by itself stays so while the package is reported again and again', async () => {
    const swu = await givenPackage();
    const id = await cabinet();
    await confirm(says(id, 'cabinet', swu.version, 1));
    await confirm(says(id, 'vega_gsm', '9.9', 2));
    for (const minute of [3, 4, 5]) await confirm(says(id, 'cabinet', swu.version, minute));
    expect(await running(id)).toMatchObject({ cabinet: { observed_dt: at(5) }, vega_gsm: { reported_version: '9.9' } });
  });

  it('the package installed again after something else brings its parts back', async () => {
    const swu = await givenPackage();
    const id = await cabinet();
    await confirm(says(id, 'cabinet', swu.version, 1));
    await confirm(says(id, 'vega_gsm', '9.9', 2));
    await confirm(says(id, 'cabinet', 'something else', 3));
    await confirm(says(id, 'cabinet', swu.version, 4));
    expect(await running(id)).toMatchObject({ vega_gsm: { reported_version: swu.parts[1]?.version, observed_dt: at(4) } });
  });

  it('what a device says of a part wins over its package at the same moment, in whatever order they come', async () => {
    for (const order of [0, 1]) {
      const swu = await givenPackage();
      const id = await cabinet();
      const reports = [says(id, 'cabinet', swu.version, 1), says(id, 'vega_gsm', '0.0.1', 1)];
      await confirm(...(order ? reports.toReversed() : reports));
      expect(await running(id)).toMatchObject({ vega_gsm: { reported_version: '0.0.1', source: 'confirmation' } });
    }
  });

  it('a package that is replaced by a newer one has the parts of the newer one', async () => {
    const [older, newer] = [await givenPackage(), await givenPackage()];
    const id = await cabinet();
    await confirm(says(id, 'cabinet', newer.version, 2), says(id, 'cabinet', older.version, 1));
    expect(await running(id)).toMatchObject({
      cabinet: { firmware_id: newer.id },
      vega_mcu: { firmware_id: newer.parts[0]?.id },
      audio_lock: { firmware_id: newer.parts[2]?.id },
    });
    expect(await countsOf('vega_mcu', older.parts[0]?.version ?? '')).toBe(0);
  });

  it('a withdrawn package still tells what a device runs', async () => {
    const swu = await givenPackage();
    await db.updateTable('firmwares').set({ status: 'withdrawn', reason: 'bad' }).where('id', '=', swu.id).execute();
    const id = await cabinet();
    await confirm(says(id, 'cabinet', swu.version, 1));
    expect(await running(id)).toMatchObject({ vega_mcu: { firmware_id: swu.parts[0]?.id } });
  });
});
