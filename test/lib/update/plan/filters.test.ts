import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import { addSeconds } from '../../../../lib/clock.ts';
import { insertExecutions } from '../../../../lib/update/plan/plan-queries.ts';
import { toWanted } from '../../../../lib/update/plan/wanted-firmware.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { confirmation, givenDevices, givenFirmware, startOfTime } from '../../../support/fixtures.ts';
import { untilWaiting } from '../../../support/locks.ts';
import { createUpdateService, type UpdateService } from '../../../support/update-service.ts';

const { db, takeStatements } = await createTestDatabase();
let service: UpdateService;
beforeEach(async () => {
  service = createUpdateService(db);
  await sql`TRUNCATE devices, updates, update_executions CASCADE`.execute(db);
});

const runs = (external_ids: readonly string[], version: string, hardware_type = 'vega_mcu', kind: 'scooter' | 'cabinet' = 'scooter') =>
  service.confirm(...external_ids.map((external_id) => confirmation({ external_id, version, hardware_type, kind })));

const takingPart = async (update_id: number) =>
  (await service.executions(update_id)).filter(({ status }) => status === 'QUEUED').map(({ external_id }) => external_id);
const exclusions = async (update_id: number) =>
  Object.fromEntries(
    (await db.selectFrom('update_exclusions').select(['external_id', 'reason']).where('update_id', '=', update_id).execute()).map(
      ({ external_id, reason }) => [external_id, reason],
    ),
  );
/** Whom an update by this filter would take. */
const chosenBy = async (filter: object, firmware_id: number) => {
  const { id } = await service.request({ firmware_id, targets: { filter } });
  const chosen = (await takingPart(id)).toSorted();
  await sql`TRUNCATE updates, update_executions CASCADE`.execute(db);
  return chosen;
};

describe('who takes part and who does not', () => {
  it('every device has exactly one answer, and all of them add up', async () => {
    const older = await givenFirmware(db);
    const wanted = await givenFirmware(db);
    const newer = await givenFirmware(db);
    const [fresh = '', behind = '', onTarget = '', ahead = '', strange = '', inFlight = ''] = await givenDevices(db, 6);
    const [ownIot = ''] = await givenDevices(db, 1, { version: null });
    await runs([behind], older.version);
    await runs([onTarget], wanted.version);
    await runs([ahead], newer.version);
    await runs([strange], 'in no catalogue');
    await service.request({ firmware_id: newer.id, targets: { external_ids: [inFlight] } });

    const update = await service.request({
      firmware_id: wanted.id,
      targets: { external_ids: [fresh, behind, onTarget, ahead, strange, inFlight, ownIot, 'nobody', fresh, fresh, 'nobody'] },
    });
    expect(update.not_eligible).toEqual({ DOWNGRADE: 1, UPDATE_IN_FLIGHT: 1, HARDWARE_MISMATCH: 1, UNKNOWN_DEVICE: 1 });
    expect(update.counts).toMatchObject({ QUEUED: 3, SUCCEEDED: 1 });
    expect((await takingPart(update.id)).toSorted()).toEqual([fresh, behind, strange].toSorted());
    expect(await exclusions(update.id)).toEqual({
      [ahead]: 'DOWNGRADE',
      [inFlight]: 'UPDATE_IN_FLIGHT',
      [ownIot]: 'HARDWARE_MISMATCH',
      nobody: 'UNKNOWN_DEVICE',
    });
    const done = (await service.executions(update.id)).filter(({ external_id }) => external_id === onTarget);
    expect(done).toMatchObject([{ status: 'SUCCEEDED', reason: 'ALREADY_ON_TARGET', finished_dt: startOfTime, sent_dt: null }]);
    expect(await service.find(update.id)).toMatchObject({ not_eligible: update.not_eligible, counts: update.counts });
  });

  it('of several reasons the first counts: hardware, then in flight, then on target, then downgrade', async () => {
    const wanted = await givenFirmware(db);
    const newer = await givenFirmware(db);
    const [onTargetInFlight = '', aheadInFlight = ''] = await givenDevices(db, 2);
    const [misfit = ''] = await givenDevices(db, 1, { version: null });
    await runs([onTargetInFlight], wanted.version);
    await runs([aheadInFlight, misfit], newer.version);
    const other = await givenFirmware(db);
    await service.request({ firmware_id: other.id, targets: { external_ids: [onTargetInFlight, aheadInFlight] } });
    await expect(
      service.request({ firmware_id: wanted.id, targets: { external_ids: [onTargetInFlight, aheadInFlight, misfit] } }),
    ).rejects.toMatchObject({
      code: 'update.nothing_eligible',
      options: { answer: { not_eligible: { UPDATE_IN_FLIGHT: 2, HARDWARE_MISMATCH: 1 } } },
    });
  });

  it('newer means a higher ordinal, not a higher text', async () => {
    const nine = await givenFirmware(db, { hardware_type: 'audio_lock', version: '9.0' });
    const ten = await givenFirmware(db, { hardware_type: 'audio_lock', version: '10.0' });
    const [a = '', b = ''] = await givenDevices(db, 2);
    await runs([a], '9.0', 'audio_lock');
    await runs([b], '10.0', 'audio_lock');
    expect(await takingPart((await service.request({ firmware_id: ten.id, targets: { external_ids: [a] } })).id)).toEqual([a]);
    await expect(service.request({ firmware_id: nine.id, targets: { external_ids: [b] } })).rejects.toMatchObject({
      options: { answer: { not_eligible: { DOWNGRADE: 1 } } },
    });
  });

  it('a downgrade is done when it is allowed', async () => {
    const older = await givenFirmware(db);
    const newer = await givenFirmware(db);
    const external_ids = await givenDevices(db, 2);
    await runs(external_ids, newer.version);
    const update = await service.request({
      firmware_id: older.id,
      targets: { external_ids },
      allow_downgrade: true,
      comment: 'the newer one is bad',
    });
    expect(update).toMatchObject({ counts: { QUEUED: 2 }, not_eligible: {}, allow_downgrade: true });
  });

  it.each([
    ['vega_mcu', 'scooter', 1, true],
    ['vega_mcu', 'scooter', 2, true],
    ['vega_mcu', 'scooter', null, false],
    ['vega_mcu', 'cabinet', null, false],
    ['yandex_iot', 'scooter', null, true],
    ['yandex_iot', 'scooter', 1, false],
    ['yandex_iot', 'cabinet', null, false],
    ['cabinet', 'cabinet', null, true],
    ['cabinet', 'scooter', null, false],
    ['cabinet', 'scooter', 2, false],
  ] as const)('%s on a %s of generation %s: fits %s', async (hardware_type, kind, version, fits) => {
    const firmware = await givenFirmware(db, { hardware_type });
    const external_ids = await givenDevices(db, 1, { kind, version });
    const requested = service.request({ firmware_id: firmware.id, targets: { kind, external_ids } });
    if (fits) expect((await requested).counts['QUEUED']).toBe(1);
    else await expect(requested).rejects.toMatchObject({ options: { answer: { not_eligible: { HARDWARE_MISMATCH: 1 } } } });
  });

  it('a hardware type that fits only one generation leaves out the other', async () => {
    await sql`
      INSERT INTO hardware_types (name, device_kind, channel, scooter_versions, max_size_bytes)
      VALUES ('second_only', 'scooter', 'telematics', '{2}', 1000)`.execute(db);
    const firmware = await givenFirmware(db, { hardware_type: 'second_only' });
    const first = await givenDevices(db, 2, { version: 1 });
    const second = await givenDevices(db, 3, { version: 2 });
    const update = await service.request({ firmware_id: firmware.id, targets: { filter: {} } });
    expect(update).toMatchObject({ counts: { QUEUED: 3 }, not_eligible: { HARDWARE_MISMATCH: 2 } });
    expect((await takingPart(update.id)).toSorted()).toEqual(second.toSorted());
    expect(Object.keys(await exclusions(update.id)).toSorted()).toEqual(first.toSorted());
  });

  it('an update that has ended is in flight no more', async () => {
    const { external_ids } = await service.givenSent({ devices: 2 });
    const next = await givenFirmware(db);
    const again = () => service.request({ firmware_id: next.id, targets: { external_ids } });
    await expect(again()).rejects.toMatchObject({ options: { answer: { not_eligible: { UPDATE_IN_FLIGHT: 2 } } } });
    const [first = ''] = external_ids;
    await service.confirm(confirmation({ external_id: first, version: 'x', status: 'FAILED', occurred_dt: addSeconds(startOfTime, 1) }));
    expect(await again()).toMatchObject({ counts: { QUEUED: 1 }, not_eligible: { UPDATE_IN_FLIGHT: 1 } });
  });
});

describe('a filter', () => {
  it('chooses by kind; a scooter and a cabinet may have the same id', async () => {
    const scooters = await givenDevices(db, 2);
    await givenDevices(db, 1, { kind: 'cabinet', external_id: scooters[0] ?? '' });
    const firmware = await givenFirmware(db);
    expect(await chosenBy({}, firmware.id)).toEqual(scooters.toSorted());
    const forCabinets = await givenFirmware(db, { hardware_type: 'cabinet' });
    expect(await chosenBy({ kind: 'cabinet' }, forCabinets.id)).toEqual([scooters[0]]);
  });

  it('chooses by generation', async () => {
    await givenDevices(db, 2, { version: 1 });
    const second = await givenDevices(db, 3, { version: 2 });
    const firmware = await givenFirmware(db);
    expect(await chosenBy({ version: 2 }, firmware.id)).toEqual(second.toSorted());
  });

  it('chooses by what a device runs now, as text or as firmware, of any hardware type', async () => {
    const old = await givenFirmware(db, { hardware_type: 'vega_gsm' });
    const [a = '', b = '', c = '', d = ''] = await givenDevices(db, 4);
    await runs([a, b], old.version, 'vega_gsm');
    await runs([c], 'home-made', 'vega_gsm');
    await runs([d], old.version, 'audio_lock');
    const firmware = await givenFirmware(db);
    const running = (what: object) => chosenBy({ running: { hardware_type: 'vega_gsm', ...what } }, firmware.id);
    expect(await running({ version: old.version })).toEqual([a, b].toSorted());
    expect(await running({ firmware_id: old.id })).toEqual([a, b].toSorted());
    expect(await running({ version: 'home-made' })).toEqual([c]);
    // What it ran once does not count.
    await service.confirm(
      confirmation({ external_id: a, version: 'left', hardware_type: 'vega_gsm', occurred_dt: addSeconds(startOfTime, 1) }),
    );
    expect(await running({ version: old.version })).toEqual([b]);
    await expect(running({ version: "' OR true --" })).rejects.toMatchObject({ code: 'update.nothing_eligible' });
  });

  it('that chooses nobody is told so', async () => {
    const firmware = await givenFirmware(db);
    await expect(service.request({ firmware_id: firmware.id, targets: { filter: { version: 2 } } })).rejects.toMatchObject({
      code: 'update.nothing_eligible',
      options: { answer: { not_eligible: {} } },
    });
  });

  it('takes a sample that is always the same, contains every smaller one, and is about as large as asked for', async () => {
    const firmware = await givenFirmware(db);
    await sql`
      INSERT INTO devices (kind, external_id, version, channel, created_dt)
      SELECT 'scooter', 'P-' || lpad(n::text, 5, '0'), 1, 'telematics', ${startOfTime} FROM generate_series(1, 2000) n`.execute(db);
    const sample = async (percentage: number) => new Set(await chosenBy({ percentage }, firmware.id));
    const five = await sample(5);
    const twenty = await sample(20);
    const half = await sample(50);
    expect(await sample(5)).toEqual(five);
    expect([...five].filter((id) => !twenty.has(id))).toEqual([]);
    expect([...twenty].filter((id) => !half.has(id))).toEqual([]);
    expect((await sample(100)).size).toBe(2_000);
    expect(five.size).toBeGreaterThan(60);
    expect(five.size).toBeLessThan(140);
    expect(half.size).toBeGreaterThan(900);
    expect(half.size).toBeLessThan(1_100);

    // Other devices come and go, other conditions are added: who is in stays in.
    await givenDevices(db, 50, { version: 2 });
    const later = await sample(5);
    expect([...five].filter((id) => !later.has(id))).toEqual([]);
    expect(new Set(await chosenBy({ percentage: 5, version: 1 }, firmware.id))).toEqual(five);
  });
});

describe('a filter that means more devices than one statement plans', () => {
  const cabinets = { kind: 'cabinet', version: null } as const;

  /** Plans devices of a filter for an update that was requested for another device. */
  const planned = async (
    wanted: Awaited<ReturnType<typeof givenFirmware>>,
    filter: { kind: 'cabinet'; percentage?: number },
    atOnce: number,
  ) => {
    const [other = ''] = await givenDevices(db, 1, cabinets);
    const { id } = await service.request({ firmware_id: wanted.id, targets: { kind: 'cabinet', external_ids: [other] } });
    await sql`DELETE FROM update_executions WHERE update_id = ${id}`.execute(db);
    await sql`DELETE FROM devices WHERE external_id = ${other}`.execute(db);
    const choice = {
      allow_downgrade: false,
      force: false,
      unknown_version: 'INCLUDE',
      firmware: toWanted(wanted),
      now: startOfTime,
    } as const;
    const plan = await db.transaction().execute((trx) => insertExecutions(trx, id, { ...choice, targets: { filter } }, { atOnce }));
    const { rows } = await sql<{ external_id: string; device_id: number; outcome: string }>`
      SELECT d.external_id, e.device_id, coalesce(e.reason, e.status) AS outcome
      FROM update_executions e JOIN devices d ON d.id = e.device_id
      WHERE e.update_id = ${id}
      ORDER BY e.id`.execute(db);
    const outcomes = rows.map(({ external_id, outcome }) => [external_id, outcome] as const);
    return { plan, device_ids: rows.map(({ device_id }) => device_id), outcomes, excluded: await exclusions(id) };
  };

  it.each([1, 3, 6, 12, 13])('has them planned in the order of their ids, each once, with the same answers: %i at once', async (atOnce) => {
    const wanted = await givenFirmware(db, { hardware_type: 'cabinet' });
    const newer = await givenFirmware(db, { hardware_type: 'cabinet' });
    const eligible = await givenDevices(db, 6, cabinets);
    const [onTarget = '', ahead = ''] = await givenDevices(db, 2, cabinets);
    const inFlight = await givenDevices(db, 3, cabinets);
    const [polling = ''] = await givenDevices(db, 1, { ...cabinets, channel: 'iot' });
    await runs([onTarget], wanted.version, 'cabinet', 'cabinet');
    await runs([ahead], newer.version, 'cabinet', 'cabinet');
    await service.request({ firmware_id: newer.id, targets: { kind: 'cabinet', external_ids: inFlight } });

    const { plan, device_ids, outcomes, excluded } = await planned(wanted, { kind: 'cabinet' }, atOnce);
    expect(plan).toEqual({
      planned: { ELIGIBLE: 7, ALREADY_ON_TARGET: 1, DOWNGRADE: 1, UPDATE_IN_FLIGHT: 3 },
      already_on_target: 1,
      // Only the last one polls.
      includes_iot: true,
      superseded: [],
    });
    expect(device_ids).toEqual(device_ids.toSorted((a, b) => a - b));
    expect(outcomes).toHaveLength(8);
    expect(Object.fromEntries(outcomes)).toEqual({
      ...Object.fromEntries([...eligible, polling].map((external_id) => [external_id, 'QUEUED'])),
      [onTarget]: 'ALREADY_ON_TARGET',
    });
    expect(excluded).toEqual({ [ahead]: 'DOWNGRADE', ...Object.fromEntries(inFlight.map((id) => [id, 'UPDATE_IN_FLIGHT'])) });
  });

  it('has the same sample of them, whatever the size of the parts; a sample is never empty', async () => {
    const wanted = await givenFirmware(db, { hardware_type: 'cabinet' });
    await givenDevices(db, 40, cabinets);
    const sample = async (percentage: number, atOnce: number) => {
      const { outcomes } = await planned(wanted, { kind: 'cabinet', percentage }, atOnce);
      await sql`TRUNCATE updates, update_executions CASCADE`.execute(db);
      return outcomes.map(([external_id]) => external_id);
    };
    const half = await sample(50, 1_000);
    expect(half.length).toBeGreaterThan(5);
    expect(half.length).toBeLessThan(35);
    for (const atOnce of [1, 4]) expect(await sample(50, atOnce)).toEqual(half);
    expect(await sample(0.001, 1)).toHaveLength(1);
  });

  it('is planned in one transaction by a statement for each 50,000 of them: when one of them cannot be stored, none is', async () => {
    const wanted = await givenFirmware(db);
    await sql`
      INSERT INTO devices (kind, external_id, version, channel, created_dt)
      SELECT 'scooter', 'many-' || n, 1, 'telematics', ${startOfTime} FROM generate_series(1, 50001) n`.execute(db);
    takeStatements();
    let racing: ReturnType<UpdateService['request']> | undefined;
    // Another request takes the last device when the first ones are planned already.
    await db.transaction().execute(async (trx) => {
      await sql`
        INSERT INTO update_executions (update_id, device_id, hardware_type, channel, phase, status, queued_dt)
        SELECT 0, id, 'vega_mcu', 'telematics', 'waiting', 'QUEUED', now() FROM devices WHERE external_id = 'many-50001'`.execute(trx);
      racing = service.request({ firmware_id: wanted.id, targets: { filter: { kind: 'scooter' } } });
      await untilWaiting(db, 1);
    });
    // So the plan begins anew, with nothing left of its first beginning.
    expect(await racing).toMatchObject({ counts: { QUEUED: 50_000 }, not_eligible: { UPDATE_IN_FLIGHT: 1 } });
    const plans = takeStatements().filter((statement) => statement.includes('classified AS MATERIALIZED'));
    expect(plans).toHaveLength(4);
    const { rows } = await sql<{ executions: number; devices: number }>`
      SELECT count(*) AS executions, count(DISTINCT device_id) AS devices FROM update_executions WHERE update_id <> 0`.execute(db);
    expect(rows).toEqual([{ executions: 50_000, devices: 50_000 }]);
  });
});
