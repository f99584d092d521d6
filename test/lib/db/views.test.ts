import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { confirmUpdate } from '../../../lib/report/confirm-update.ts';
import { createTestDatabase } from '../../support/database.ts';
import { confirmation, givenDevices, givenFirmware, startOfTime, TestClock } from '../../support/fixtures.ts';

const { db } = await createTestDatabase();
const later = new Date(startOfTime.getTime() + 60_000);
const report = (...reports: Parameters<typeof confirmation>[0][]) =>
  confirmUpdate({ db, now: new TestClock(later).now }, reports.map(confirmation));

const columnsOf = async (view: string) => {
  const { rows } = await sql<{ column_name: string }>`
    SELECT column_name FROM information_schema.columns WHERE table_name = ${view} ORDER BY ordinal_position`.execute(db);
  return rows.map(({ column_name }) => column_name);
};

describe.each(['scooters', 'cabinets'] as const)('the view %s', (view) => {
  it('begins with the columns that others query', async () => {
    expect((await columnsOf(view)).slice(0, 12)).toEqual([
      'id',
      'external_id',
      'version',
      'vega_mcu_firmware_id',
      'vega_gsm_firmware_id',
      'audio_lock_firmware_id',
      'audio_locate_firmware_id',
      'audio_unlock_firmware_id',
      'audio_battery_low_firmware_id',
      'iot',
      'firmware_update_dt',
      'firmware_update_time',
    ]);
  });

  it('finds a device by its external_id through an index, whatever the size of the fleet', async () => {
    const kind = view === 'scooters' ? 'scooter' : 'cabinet';
    const [external_id = ''] = await givenDevices(db, 5_000, { kind });
    await sql`
      INSERT INTO device_firmwares (device_id, hardware_type, reported_version, firmware_update_dt, observed_dt, source)
      SELECT d.id, h.name, '1', ${startOfTime}, ${startOfTime}, 'confirmation' FROM devices d, hardware_types h WHERE d.kind = ${kind}`.execute(
      db,
    );
    await sql`ANALYZE`.execute(db);
    const { rows } = await sql<{
      'QUERY PLAN': string;
    }>`EXPLAIN SELECT * FROM ${sql.table(view)} WHERE external_id = ${external_id}`.execute(db);
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
    expect(plan).toContain('devices_kind_external_id_key');
    expect(plan).toContain('device_firmwares_pkey');
    expect(plan).not.toContain('Seq Scan');
  });
});

describe('a row of a view', () => {
  it('has what a scooter runs, when that was last changed, and how long the last change took', async () => {
    const mcu = await givenFirmware(db, { hardware_type: 'vega_mcu' });
    const lock = await givenFirmware(db, { hardware_type: 'audio_lock' });
    const [external_id = ''] = await givenDevices(db, 1, { version: 2 });
    await report(
      { external_id, hardware_type: 'audio_lock', version: lock.version, occurred_dt: later },
      { external_id, hardware_type: 'vega_mcu', version: mcu.version },
      { external_id, hardware_type: 'vega_gsm', version: 'in no catalogue' },
    );
    await sql`UPDATE device_firmwares SET firmware_update_time = CASE hardware_type WHEN 'audio_lock' THEN 42 ELSE 7 END`.execute(db);
    expect(await db.selectFrom('scooters').selectAll().where('external_id', '=', external_id).execute()).toEqual([
      {
        id: expect.any(Number),
        external_id,
        version: 2,
        vega_mcu_firmware_id: mcu.id,
        vega_gsm_firmware_id: null,
        audio_lock_firmware_id: lock.id,
        audio_locate_firmware_id: null,
        audio_unlock_firmware_id: null,
        audio_battery_low_firmware_id: null,
        yandex_iot_firmware_id: null,
        iot: null,
        channel: 'telematics',
        firmware_update_dt: later,
        firmware_update_time: 42,
      },
    ]);
    expect(await db.selectFrom('cabinets').selectAll().where('external_id', '=', external_id).execute()).toEqual([]);
  });

  it('has in iot the id of the yandex_iot firmware that a scooter runs, and null where it runs none that is known', async () => {
    const iot = await givenFirmware(db, { hardware_type: 'yandex_iot' });
    const [knows = '', knowsNot = ''] = await givenDevices(db, 2, { version: null });
    const [old = ''] = await givenDevices(db, 1, { version: 1 });
    await report(
      { external_id: knows, hardware_type: 'yandex_iot', version: iot.version },
      { external_id: knowsNot, hardware_type: 'yandex_iot', version: 'in no catalogue' },
    );
    const rows = await db.selectFrom('scooters').select(['external_id', 'iot', 'yandex_iot_firmware_id', 'channel']).execute();
    const ofEach = new Map(rows.map(({ external_id, ...row }) => [external_id, row]));
    expect(ofEach.get(knows)).toEqual({ iot: iot.id, yandex_iot_firmware_id: iot.id, channel: 'iot' });
    expect(ofEach.get(knowsNot)).toEqual({ iot: null, yandex_iot_firmware_id: null, channel: 'iot' });
    expect(ofEach.get(old)).toEqual({ iot: null, yandex_iot_firmware_id: null, channel: 'telematics' });
  });

  it('is there for a device of which nothing is known', async () => {
    const [scooter = ''] = await givenDevices(db, 1, { version: null });
    const [cabinet = ''] = await givenDevices(db, 1, { kind: 'cabinet' });
    const unknown = {
      version: null,
      vega_mcu_firmware_id: null,
      iot: null,
      channel: 'iot',
      firmware_update_dt: null,
      firmware_update_time: null,
    };
    expect(await db.selectFrom('scooters').selectAll().where('external_id', '=', scooter).executeTakeFirst()).toMatchObject(unknown);
    expect(await db.selectFrom('cabinets').selectAll().where('external_id', '=', cabinet).executeTakeFirst()).toMatchObject({
      ...unknown,
      cabinet_firmware_id: null,
    });
  });
});
