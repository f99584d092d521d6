import { sql } from 'kysely';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Trx } from '../../../lib/db/database.ts';
import type { ReportSource } from '../../../lib/fleet/device.ts';
import { registerFirmware } from '../../../lib/registration/register-firmware.ts';
import { recordReports } from '../../../lib/report/record-reports.ts';
import { linkDevices } from '../../../lib/report/report-queries.ts';
import { catalogueDeps, firmwareBytes, storedFirmwares } from '../../support/catalogue.ts';
import { createTestDatabase } from '../../support/database.ts';
import { confirmation, givenDevices, startOfTime } from '../../support/fixtures.ts';

const { db } = await createTestDatabase({ maxConnections: 30 });
const deps = catalogueDeps(db);

const report = (trx: Trx, external_id: string, version: string, hardware_type = 'vega_mcu') => {
  const source: ReportSource = 'confirmation';
  return recordReports(trx, [{ ...confirmation({ external_id, version, hardware_type }), source }], startOfTime);
};
const reportAlone = (...args: [external_id: string, version: string, hardware_type?: string]) =>
  db.transaction().execute((trx) => report(trx, ...args));
const register = (version: string, hardware_type = 'vega_mcu') =>
  registerFirmware(deps, deps.storage.put(`firmwares/${hardware_type}/${version}/firmware.bin`, firmwareBytes));
const idOf = async (version: string, hardware_type = 'vega_mcu') =>
  (await storedFirmwares(db)).find((row) => row.version === version && row.hardware_type === hardware_type)?.id;
const links = async () =>
  (await db.selectFrom('device_firmwares').select(['reported_version', 'firmware_id']).orderBy('device_id').execute()).map(
    ({ reported_version, firmware_id }) => [reported_version, firmware_id],
  );
const waitingForLocks = async () => {
  const { rows } = await sql<{ n: number }>`
    SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`.execute(db);
  return rows[0]?.n;
};

beforeEach(async () => {
  await db.deleteFrom('device_firmware_history').execute();
  await db.deleteFrom('device_firmwares').execute();
  await db.deleteFrom('firmwares').execute();
});

describe('a version that is in no catalogue', () => {
  it('is linked to its firmware when that is registered; others and those of other hardware types are not', async () => {
    const [a = '', b = '', c = '', d = ''] = await givenDevices(db, 4);
    await reportAlone(a, '1.4');
    await reportAlone(b, '1.4');
    await reportAlone(c, '1.4', 'vega_gsm');
    await reportAlone(d, '1.40');
    expect(await register('1.4')).toBe('available');
    const id = await idOf('1.4');
    expect(await links()).toEqual([
      ['1.4', id],
      ['1.4', id],
      ['1.4', null],
      ['1.40', null],
    ]);
  });

  it('is linked in no time when it was reported by nobody', async () => {
    expect(await register('1.4')).toBe('available');
    expect(await links()).toEqual([]);
  });

  it('is not linked to a firmware that was rejected', async () => {
    const [a = ''] = await givenDevices(db);
    await reportAlone(a, '1.4');
    await registerFirmware(deps, deps.storage.put('firmwares/vega_mcu/1.4/firmware.bin', Buffer.alloc(0)));
    expect(await links()).toEqual([['1.4', null]]);
  });

  it('is linked by the repetition of a registration that died before it had linked all', async () => {
    const [a = ''] = await givenDevices(db);
    const object = deps.storage.put('firmwares/vega_mcu/1.4/firmware.bin', firmwareBytes);
    await registerFirmware(deps, object);
    await reportAlone(a, '1.4');
    await db.updateTable('device_firmwares').set({ firmware_id: null }).execute();
    expect(await registerFirmware(deps, object)).toBe('registered_before');
    expect(await links()).toEqual([['1.4', await idOf('1.4')]]);
  });

  it('is linked so many at a time, so that reports get through between, and all of them in the end', async () => {
    await givenDevices(db, 25);
    await sql`
      INSERT INTO device_firmwares (device_id, hardware_type, reported_version, firmware_update_dt, observed_dt, source)
      SELECT id, 'audio_lock', '7', ${startOfTime}, ${startOfTime}, 'confirmation' FROM devices ORDER BY id DESC LIMIT 25`.execute(db);
    await register('other', 'audio_lock');
    const firmware = { id: (await idOf('other', 'audio_lock')) ?? 0, hardware_type: 'audio_lock', version: '7' };
    const link = () => db.transaction().execute((trx) => linkDevices(trx, firmware, 10));
    expect([await link(), await link(), await link(), await link()]).toEqual([10, 10, 5, 0]);
  });
});

describe('a report and the registration of its version at one moment', () => {
  it('the report came first: the registration waits for it, and links it', async () => {
    const [a = ''] = await givenDevices(db);
    const registration = await db.transaction().execute(async (trx) => {
      await report(trx, a, '1.4');
      const promise = register('1.4');
      await vi.waitFor(async () => expect(await waitingForLocks()).toBe(1));
      return { promise };
    });
    expect(await registration.promise).toBe('available');
    expect(await links()).toEqual([['1.4', await idOf('1.4')]]);
  });

  it('the registration came first: the report waits for it, and finds the firmware', async () => {
    const [a = ''] = await givenDevices(db);
    const both = await db.transaction().execute(async (trx) => {
      // Holds the registration up in the middle, when it has locked the catalogue.
      await sql`SELECT FROM hardware_types WHERE name = 'vega_mcu' FOR UPDATE`.execute(trx);
      const registered = register('1.4');
      await vi.waitFor(async () => expect(await waitingForLocks()).toBe(1));
      const reported = reportAlone(a, '1.4');
      await vi.waitFor(async () => expect(await waitingForLocks()).toBe(2));
      return { registered, reported };
    });
    await Promise.all([both.registered, both.reported]);
    expect(await links()).toEqual([['1.4', await idOf('1.4')]]);
  });

  it('a report about another hardware type does not wait', async () => {
    const [a = '', b = ''] = await givenDevices(db, 2);
    // Seen on that day already: the counts of devices by day, of which two connections in eight may share a row, stay as they are.
    for (const external_id of [a, b]) await reportAlone(external_id, '1.0', 'vega_gsm');
    const { registration } = await db.transaction().execute(async (trx) => {
      await report(trx, a, '1.4');
      const registration = register('1.4');
      await vi.waitFor(async () => expect(await waitingForLocks()).toBe(1));
      await reportAlone(b, '1.4', 'vega_gsm');
      return { registration };
    });
    expect(await registration).toBe('available');
  });

  it('whatever comes first, no device is left without its link: 20 times 20 reports and a registration', async () => {
    const external_ids = await givenDevices(db, 20);
    for (let round = 0; round < 20; round += 1) {
      const version = `round ${round}`;
      const at = new Date(startOfTime.getTime() - (100 - round) * 1_000);
      const reports = external_ids.map((external_id) => ({
        ...confirmation({ external_id, version, occurred_dt: at }),
        source: 'confirmation' as const,
      }));
      const batches = [reports.slice(0, 10), reports.slice(5, 15).reverse(), reports.slice(10)];
      await Promise.all([
        ...batches.map((batch) => db.transaction().execute((trx) => recordReports(trx, batch, startOfTime))),
        register(version),
        ...batches.map((batch) => db.transaction().execute((trx) => recordReports(trx, batch.toReversed(), startOfTime))),
      ]);
      const id = await idOf(version);
      expect(new Set((await links()).map(([reported, firmware_id]) => `${reported} ${firmware_id}`))).toEqual(
        new Set([`${version} ${id}`]),
      );
    }
  });

  it('reports of many hardware types and registrations of all of them never wait for each other in a circle', async () => {
    const types = ['vega_mcu', 'vega_gsm', 'audio_lock', 'audio_locate', 'audio_unlock'];
    const external_ids = await givenDevices(db, 10);
    const reports = types.flatMap((hardware_type) =>
      external_ids.map((external_id) => ({
        ...confirmation({ external_id, version: '5', hardware_type }),
        source: 'confirmation' as const,
      })),
    );
    await Promise.all([
      ...Array.from({ length: 8 }, (_, i) => {
        const batch = i % 2 === 0 ? reports : reports.toReversed();
        return db.transaction().execute((trx) => recordReports(trx, batch, startOfTime));
      }),
      ...types.map((hardware_type) => register('5', hardware_type)),
    ]);
    expect((await links()).filter(([, firmware_id]) => firmware_id === null)).toEqual([]);
    expect(await links()).toHaveLength(50);
  });
});
