import { beforeEach, describe, expect, it } from 'vitest';
import { DomainError } from '../../../../lib/errors.ts';
import { confirmUpdate } from '../../../../lib/report/confirm-update.ts';
import type { DryRun, DryRunDevices } from '../../../../lib/update/plan/dry-run.ts';
import { dryRunUpdate } from '../../../../lib/update/plan/dry-run-update.ts';
import { requestUpdate } from '../../../../lib/update/plan/request-update.ts';
import type { Eligibility } from '../../../../lib/update/update.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { confirmation, givenDevices, givenFirmware, startOfTime, TestClock, updateRequest } from '../../../support/fixtures.ts';
import { InMemoryQueue } from '../../../support/in-memory-queue.ts';

const { db, takeStatements } = await createTestDatabase();
const clock = new TestClock();
const deps = { db, now: clock.now, advances: new InMemoryQueue<never>() };

beforeEach(() => {
  deps.advances.take();
});

const request = (body: Record<string, unknown>) => requestUpdate(deps, updateRequest({ canary: null, ...body }));
const dryRun = (body: Record<string, unknown>) =>
  dryRunUpdate({ db, now: () => startOfTime }, updateRequest(body), undefined) as Promise<DryRun>;
const page = (body: Record<string, unknown>, reason: Eligibility, limit: number, cursor?: string) =>
  dryRunUpdate({ db, now: () => startOfTime }, updateRequest(body), { reason, limit, cursor }) as Promise<DryRunDevices>;

/** The one reason of one device. */
const reasonOf = async (firmware_id: number, external_id: string, more: Record<string, unknown> = {}): Promise<string | undefined> => {
  const { reasons } = await dryRun({ firmware_id, targets: { external_ids: [external_id] }, ...more });
  expect(reasons).toHaveLength(1);
  expect(reasons[0]?.count).toBe(1);
  expect(reasons[0]?.devices.map((device) => device.external_id)).toEqual([external_id]);
  return reasons[0]?.reason;
};

const runs = async (external_id: string, version: string, hardware_type = 'vega_mcu'): Promise<void> => {
  clock.advance(1);
  const [outcome] = await confirmUpdate(deps, [confirmation({ external_id, version, hardware_type, occurred_dt: clock.now() })]);
  expect(outcome?.outcome).toBe('stored');
};

/** Fails a firmware on a device once more. */
const fail = async (firmware: { id: number; version: string }, external_id: string, more: Record<string, unknown> = {}): Promise<void> => {
  const { id } = await request({ firmware_id: firmware.id, targets: { external_ids: [external_id] }, ...more });
  const { id: execution_id } = await db.selectFrom('update_executions').select('id').where('update_id', '=', id).executeTakeFirstOrThrow();
  await confirmUpdate(deps, [
    confirmation({ external_id, version: firmware.version, status: 'FAILED', execution_id, occurred_dt: clock.now() }),
  ]);
};

const oneDevice = async (device = {}): Promise<string> => {
  const [external_id] = await givenDevices(db, 1, device);
  if (!external_id) throw new Error('no device');
  return external_id;
};

describe('a device', () => {
  it('is ELIGIBLE when it runs something older, or nothing that is known', async () => {
    const [older, firmware] = [await givenFirmware(db), await givenFirmware(db)];
    const [a, b] = [await oneDevice(), await oneDevice()];
    await runs(b, older.version);
    for (const device of [a, b]) expect(await reasonOf(firmware.id, device)).toBe('ELIGIBLE');
  });

  it('is ELIGIBLE_UNKNOWN_VERSION when it runs what is in no catalogue, and UNKNOWN_VERSION when the request leaves those out', async () => {
    const firmware = await givenFirmware(db);
    const device = await oneDevice();
    await runs(device, 'built by hand');
    expect(await reasonOf(firmware.id, device)).toBe('ELIGIBLE_UNKNOWN_VERSION');
    expect(await reasonOf(firmware.id, device, { unknown_version: 'INCLUDE' })).toBe('ELIGIBLE_UNKNOWN_VERSION');
    expect(await reasonOf(firmware.id, device, { unknown_version: 'EXCLUDE' })).toBe('UNKNOWN_VERSION');
  });

  it('is ALREADY_ON_TARGET when it runs the version wanted', async () => {
    const firmware = await givenFirmware(db);
    const device = await oneDevice();
    await runs(device, firmware.version);
    expect(await reasonOf(firmware.id, device)).toBe('ALREADY_ON_TARGET');
  });

  it('is UNKNOWN_DEVICE when nobody has registered it, also when a device of another kind has its id', async () => {
    const firmware = await givenFirmware(db);
    const cabinet = await oneDevice({ kind: 'cabinet' });
    expect(await reasonOf(firmware.id, 'nobody')).toBe('UNKNOWN_DEVICE');
    expect(await reasonOf(firmware.id, cabinet)).toBe('UNKNOWN_DEVICE');
  });

  it('is a HARDWARE_MISMATCH when the hardware type is not for its kind', async () => {
    const cabinetFirmware = await givenFirmware(db, { hardware_type: 'cabinet' });
    expect(await reasonOf(cabinetFirmware.id, await oneDevice())).toBe('HARDWARE_MISMATCH');
  });

  it('is a DOWNGRADE when it runs a higher version_num, unless that is allowed with a comment', async () => {
    const [firmware, newer] = [await givenFirmware(db), await givenFirmware(db)];
    const device = await oneDevice();
    await runs(device, newer.version);
    expect(await reasonOf(firmware.id, device)).toBe('DOWNGRADE');
    expect(await reasonOf(firmware.id, device, { allow_downgrade: true, comment: 'the new one drains batteries' })).toBe('ELIGIBLE');
    expect(() => updateRequest({ firmware_id: firmware.id, targets: { external_ids: [device] }, allow_downgrade: true })).toThrow();
    expect(() =>
      updateRequest({ firmware_id: firmware.id, targets: { external_ids: [device] }, allow_downgrade: true, comment: ' ' }),
    ).toThrow();
  });

  it('is UPDATE_IN_FLIGHT, with that update’s id, while another update has it, and only then', async () => {
    const [first, second] = [await givenFirmware(db), await givenFirmware(db)];
    const device = await oneDevice();
    const { id } = await request({ firmware_id: first.id, targets: { external_ids: [device] } });
    const body = { firmware_id: second.id, targets: { external_ids: [device] } };
    const inFlight = [{ external_id: device, other_update_id: id, detail: null }];
    expect((await dryRun(body)).reasons).toEqual([{ reason: 'UPDATE_IN_FLIGHT', count: 1, devices: inFlight }]);
    expect(await page(body, 'UPDATE_IN_FLIGHT', 10)).toEqual({ items: inFlight, next_cursor: null });
    await runs(device, first.version);
    expect((await dryRun(body)).reasons).toEqual([
      { reason: 'ELIGIBLE', count: 1, devices: [{ external_id: device, other_update_id: null, detail: null }] },
    ]);
  });

  it('is not in flight for another hardware type', async () => {
    const [mcu, gsm] = [await givenFirmware(db), await givenFirmware(db, { hardware_type: 'vega_gsm' })];
    const device = await oneDevice();
    await request({ firmware_id: mcu.id, targets: { external_ids: [device] } });
    expect(await reasonOf(gsm.id, device)).toBe('ELIGIBLE');
  });

  it('is REQUIRES_NEWER until another of its parts runs what the firmware needs', async () => {
    const [oldGsm, newGsm] = [
      await givenFirmware(db, { hardware_type: 'vega_gsm' }),
      await givenFirmware(db, { hardware_type: 'vega_gsm' }),
    ];
    const requires = [{ hardware_type: 'vega_gsm', minimum_version_num: newGsm.version_num }];
    const firmware = await givenFirmware(db, { requires });
    const device = await oneDevice();
    expect(await reasonOf(firmware.id, device)).toBe('REQUIRES_NEWER');
    await runs(device, oldGsm.version, 'vega_gsm');
    expect(await reasonOf(firmware.id, device)).toBe('REQUIRES_NEWER');
    await runs(device, newGsm.version, 'vega_gsm');
    expect(await reasonOf(firmware.id, device)).toBe('ELIGIBLE');
    const newestGsm = await givenFirmware(db, { hardware_type: 'vega_gsm' });
    await runs(device, newestGsm.version, 'vega_gsm');
    expect(await reasonOf(firmware.id, device)).toBe('ELIGIBLE');
  });

  it('is REQUIRES_NEWER while any of several parts is too old', async () => {
    const gsm = await givenFirmware(db, { hardware_type: 'vega_gsm' });
    const lock = await givenFirmware(db, { hardware_type: 'audio_lock' });
    const requires = [gsm, lock].map(({ hardware_type, version_num }) => ({ hardware_type, minimum_version_num: version_num }));
    const firmware = await givenFirmware(db, { requires });
    const device = await oneDevice();
    await runs(device, gsm.version, 'vega_gsm');
    expect(await reasonOf(firmware.id, device)).toBe('REQUIRES_NEWER');
    await runs(device, lock.version, 'audio_lock');
    expect(await reasonOf(firmware.id, device)).toBe('ELIGIBLE');
  });

  it('is REQUIRES_NEWER until it runs the stepping stone', async () => {
    const [old, stone] = [await givenFirmware(db), await givenFirmware(db)];
    const firmware = await givenFirmware(db, { minimum_from_version_num: stone.version_num });
    const device = await oneDevice();
    expect(await reasonOf(firmware.id, device)).toBe('REQUIRES_NEWER');
    await runs(device, old.version);
    expect(await reasonOf(firmware.id, device)).toBe('REQUIRES_NEWER');
    await runs(device, stone.version);
    expect(await reasonOf(firmware.id, device)).toBe('ELIGIBLE');
  });

  it('is not BLOCKED by failures after which it was seen to run the firmware', async () => {
    const firmware = await givenFirmware(db);
    const device = await oneDevice();
    for (let i = 0; i < 3; i += 1) await fail(firmware, device);
    expect(await reasonOf(firmware.id, device)).toBe('BLOCKED');
    await db.updateTable('update_executions').set({ sent_dt: clock.now() }).execute();
    await runs(device, firmware.version);
    await runs(device, 'something else');
    expect(await reasonOf(firmware.id, device)).toBe('ELIGIBLE_UNKNOWN_VERSION');
  });

  it('is BLOCKED when it has failed this same firmware three times; force lifts that', async () => {
    const [firmware, other] = [await givenFirmware(db), await givenFirmware(db)];
    const device = await oneDevice();
    await fail(firmware, device);
    await fail(firmware, device);
    expect(await reasonOf(firmware.id, device)).toBe('ELIGIBLE');
    await fail(firmware, device);
    expect(await reasonOf(firmware.id, device)).toBe('BLOCKED');
    expect(await reasonOf(other.id, device)).toBe('ELIGIBLE');
    expect(await reasonOf(firmware.id, device, { force: true })).toBe('ELIGIBLE');
    await fail(firmware, device, { force: true });
    expect(await reasonOf(firmware.id, device)).toBe('BLOCKED');
  });

  it('is not BLOCKED by failures of others, or by ends that are no failure of the firmware', async () => {
    const firmware = await givenFirmware(db);
    const [device, other] = [await oneDevice(), await oneDevice()];
    for (let i = 0; i < 3; i += 1) await fail(firmware, other);
    await db
      .updateTable('update_executions as e')
      .from('devices as d')
      .set({ status: 'TIMED_OUT' })
      .whereRef('d.id', '=', 'e.device_id')
      .where('d.external_id', '=', other)
      .where('e.update_id', 'in', db.selectFrom('updates').select('id').where('firmware_id', '=', firmware.id))
      .execute();
    expect(await reasonOf(firmware.id, device)).toBe('ELIGIBLE');
    expect(await reasonOf(firmware.id, other)).toBe('ELIGIBLE');
  });

  it('is FIRMWARE_NOT_AVAILABLE in a dry run of a firmware that was withdrawn; there is no dry run of one that does not exist', async () => {
    const firmware = await givenFirmware(db);
    const device = await oneDevice();
    await db.updateTable('firmwares').set({ status: 'withdrawn' }).where('id', '=', firmware.id).execute();
    expect(await reasonOf(firmware.id, device)).toBe('FIRMWARE_NOT_AVAILABLE');
    expect(await reasonOf(firmware.id, 'nobody')).toBe('UNKNOWN_DEVICE');
    const code = (work: Promise<unknown>) =>
      work.then(
        () => undefined,
        (error) => (error as DomainError).code,
      );
    expect(await code(request({ firmware_id: firmware.id, targets: { external_ids: [device] } }))).toBe('firmware.not_available');
    expect(await code(dryRun({ firmware_id: 999_999, targets: { external_ids: [device] } }))).toBe('firmware.not_available');
  });
});

/** Devices of every reason, some of each. */
const givenEveryReason = async () => {
  const stone = await givenFirmware(db);
  const gsm = await givenFirmware(db, { hardware_type: 'vega_gsm' });
  const firmware = await givenFirmware(db, {
    minimum_from_version_num: stone.version_num,
    requires: [{ hardware_type: 'vega_gsm', minimum_version_num: gsm.version_num }],
  });
  const newer = await givenFirmware(db);
  const prepared = async (count: number) => {
    const devices = await givenDevices(db, count);
    for (const device of devices) {
      await runs(device, stone.version);
      await runs(device, gsm.version, 'vega_gsm');
    }
    return devices;
  };
  const eligible = await prepared(7);
  const onTarget = await prepared(2);
  for (const device of onTarget) await runs(device, firmware.version);
  const downgrade = await prepared(3);
  for (const device of downgrade) await runs(device, newer.version);
  const requiresNewer = await givenDevices(db, 4);
  const blocked = await prepared(1);
  for (let i = 0; i < 3; i += 1) await fail(firmware, blocked[0] as string);
  const inFlight = await prepared(2);
  await request({ firmware_id: newer.id, targets: { external_ids: inFlight } });
  const unknown = ['nobody-1', 'nobody-2'];
  const external_ids = [...eligible, ...onTarget, ...downgrade, ...requiresNewer, ...blocked, ...inFlight, ...unknown];
  const counts = {
    ELIGIBLE: 7,
    REQUIRES_NEWER: 4,
    DOWNGRADE: 3,
    ALREADY_ON_TARGET: 2,
    UNKNOWN_DEVICE: 2,
    UPDATE_IN_FLIGHT: 2,
    BLOCKED: 1,
  };
  return { firmware, external_ids, counts, eligible };
};

describe('a dry run', () => {
  it('counts every device once, is one statement, changes nothing, and equals what the request then does', async () => {
    const { firmware, external_ids, counts, eligible } = await givenEveryReason();
    // Twice the same id is one device.
    const body = { firmware_id: firmware.id, targets: { external_ids: [...external_ids, ...external_ids.slice(0, 3)] } };
    takeStatements();
    deps.advances.take();
    const answer = await dryRun(body);
    const statements = takeStatements();
    expect(statements.filter((statement) => statement.includes('devices'))).toHaveLength(1);
    expect(statements.every((statement) => /^\s*(select|with)/i.test(statement))).toBe(true);
    expect(deps.advances.sent).toEqual([]);
    expect(Object.fromEntries(answer.reasons.map(({ reason, count }) => [reason, count]))).toEqual(counts);
    expect(answer.eligible).toBe(7);
    expect(answer.reasons.find(({ reason }) => reason === 'ELIGIBLE')?.devices.map(({ external_id }) => external_id)).toEqual(
      [...eligible].sort(),
    );
    expect(await dryRun(body)).toEqual(answer);

    takeStatements();
    const update = await request(body);
    const inserts = takeStatements().filter((statement) => /insert into update_executions/i.test(statement));
    expect(inserts).toHaveLength(1);
    const { ELIGIBLE, ALREADY_ON_TARGET, ...not_eligible } = counts;
    expect(update).toMatchObject({ counts: { QUEUED: ELIGIBLE, SUCCEEDED: ALREADY_ON_TARGET }, not_eligible });
    const stored = await db.selectFrom('update_exclusions').select(['external_id', 'reason']).where('update_id', '=', update.id).execute();
    const expected = answer.reasons
      .filter(({ reason }) => reason in not_eligible)
      .flatMap(({ reason, devices }) => devices.map(({ external_id }) => ({ external_id, reason })));
    const byId = (a: { external_id: string }, b: { external_id: string }) => (a.external_id < b.external_id ? -1 : 1);
    expect(stored.sort(byId)).toEqual(expected.sort(byId));
    const executions = await db
      .selectFrom('update_executions as e')
      .innerJoin('devices as d', 'd.id', 'e.device_id')
      .select(['d.external_id', 'e.status', 'e.reason'])
      .where('e.update_id', '=', update.id)
      .execute();
    expect(
      executions
        .filter(({ status }) => status === 'QUEUED')
        .map(({ external_id }) => external_id)
        .sort(),
    ).toEqual([...eligible].sort());
    expect(executions.filter(({ status }) => status === 'SUCCEEDED').map(({ reason }) => reason)).toEqual([
      'ALREADY_ON_TARGET',
      'ALREADY_ON_TARGET',
    ]);
    // What is in flight now is what the dry run said would be updated.
    expect((await dryRun(body)).reasons.find(({ reason }) => reason === 'UPDATE_IN_FLIGHT')?.count).toBe(9);
  });

  it('names the first 100 devices of a reason, and all of them by cursor, each once and in order', async () => {
    const firmware = await givenFirmware(db);
    const external_ids = await givenDevices(db, 230);
    const body = { firmware_id: firmware.id, targets: { external_ids } };
    const { reasons } = await dryRun(body);
    expect(reasons).toMatchObject([{ reason: 'ELIGIBLE', count: 230 }]);
    const sorted = [...external_ids].sort();
    expect(reasons[0]?.devices.map(({ external_id }) => external_id)).toEqual(sorted.slice(0, 100));
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const { items, next_cursor } = await page(body, 'ELIGIBLE', 100, cursor);
      seen.push(...items.map(({ external_id }) => external_id));
      cursor = next_cursor ?? undefined;
    } while (cursor);
    expect(seen).toEqual(sorted);
    expect(await page(body, 'BLOCKED', 100)).toEqual({ items: [], next_cursor: null });
  });

  it('of a percentage is at least one device, where the share is less than one', async () => {
    const firmware = await givenFirmware(db, { hardware_type: 'cabinet' });
    await givenDevices(db, 1, { kind: 'cabinet' });
    const targets = { filter: { kind: 'cabinet', percentage: 0.000001 } };
    expect((await page({ firmware_id: firmware.id, targets }, 'ELIGIBLE', 10)).items).toHaveLength(1);
  });

  it('of a percentage is stable for one firmware, a larger sample contains a smaller one; drawn anew for another; the request takes the same', async () => {
    const firmware = await givenFirmware(db, { hardware_type: 'cabinet' });
    await givenDevices(db, 1_000, { kind: 'cabinet' });
    const other = await givenFirmware(db, { hardware_type: 'cabinet' });
    const sample = async (percentage: number, firmware_id = firmware.id) => {
      const body = { firmware_id, targets: { filter: { kind: 'cabinet', percentage } } };
      return (await page(body, 'ELIGIBLE', 1_000)).items.map(({ external_id }) => external_id);
    };
    const [small, large, all] = [await sample(10), await sample(30), await sample(100)];
    expect(await sample(10)).toEqual(small);
    expect(small.length).toBeGreaterThan(60);
    expect(small.length).toBeLessThan(140);
    expect(small.every((id) => large.includes(id))).toBe(true);
    expect(all.length).toBeGreaterThanOrEqual(1_000);
    // Of two draws of a tenth, about a tenth is in both.
    const again = await sample(10, other.id);
    expect(again.filter((id) => small.includes(id)).length).toBeLessThan(again.length / 2);
    const update = await request({ firmware_id: firmware.id, targets: { filter: { kind: 'cabinet', percentage: 10 } } });
    expect(update.counts.QUEUED).toBe(small.length);
  });
});

describe('a request', () => {
  it('without anybody eligible is refused with the reasons, and stores and sends nothing', async () => {
    const firmware = await givenFirmware(db, { minimum_from_version_num: 1_000 });
    const external_ids = [...(await givenDevices(db, 2)), 'nobody'];
    const before = await db.selectFrom('updates').select(db.fn.countAll<number>().as('n')).executeTakeFirstOrThrow();
    const refused = await request({ firmware_id: firmware.id, targets: { external_ids } }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(DomainError);
    expect(refused).toMatchObject({
      code: 'update.nothing_eligible',
      options: { answer: { not_eligible: { REQUIRES_NEWER: 2, UNKNOWN_DEVICE: 1 } } },
    });
    expect(await db.selectFrom('updates').select(db.fn.countAll<number>().as('n')).executeTakeFirstOrThrow()).toEqual(before);
    expect(deps.advances.sent).toEqual([]);
  });

  it('racing with others for the same devices: each device is in one update, the losers count it as in flight', async () => {
    const firmwares = await Promise.all(Array.from({ length: 5 }, () => givenFirmware(db)));
    const external_ids = await givenDevices(db, 100);
    const updates = await Promise.allSettled(firmwares.map(({ id }) => request({ firmware_id: id, targets: { external_ids } })));
    const won = updates.filter((result) => result.status === 'fulfilled').map(({ value }) => value);
    const lost = updates.filter((result) => result.status === 'rejected').map(({ reason }) => reason as DomainError);
    expect(won.reduce((sum, { counts }) => sum + counts.QUEUED, 0)).toBe(100);
    for (const { counts, not_eligible } of won) expect(counts.QUEUED + (not_eligible.UPDATE_IN_FLIGHT ?? 0)).toBe(100);
    for (const error of lost) {
      expect(error).toMatchObject({ code: 'update.nothing_eligible', options: { answer: { not_eligible: { UPDATE_IN_FLIGHT: 100 } } } });
    }
  });
});
