import { describe, expect, it } from 'vitest';
import { editFirmware } from '../../../lib/firmware/edit-firmware.ts';
import { listFirmwares } from '../../../lib/firmware/firmware-queries.ts';
import { changeDevice } from '../../../lib/update/change-device.ts';
import { listExclusions } from '../../../lib/update/exclusion-queries.ts';
import type { DryRun } from '../../../lib/update/plan/dry-run.ts';
import { dryRunUpdate } from '../../../lib/update/plan/dry-run-update.ts';
import { createAssemblyService } from '../../support/assembly-service.ts';
import { createTestDatabase } from '../../support/database.ts';
import { createDevicesThatPoll, linkedIn } from '../../support/devices-that-poll.ts';
import { actor, givenDevices, givenFirmware, silentLog, updateRequest } from '../../support/fixtures.ts';
import { createUpdateService } from '../../support/update-service.ts';

const { db, takeStatements } = await createTestDatabase();

const setup = () => {
  const service = createUpdateService(db);
  const editDeps = { db, now: service.clock.now, log: silentLog };
  return {
    ...service,
    narrow: (id: number, revisions: string[] | null) => editFirmware(editDeps, id, { revisions }, actor),
    correct: (external_id: string, revision: string | null, kind: 'scooter' | 'cabinet' = 'scooter') =>
      changeDevice(editDeps, { kind, external_id }, { revision }, actor),
    plan: (body: Record<string, unknown>) => dryRunUpdate(editDeps, updateRequest(body), undefined) as Promise<DryRun>,
  };
};

const oneDevice = async (revision: string | null): Promise<string> => (await givenDevices(db, 1, { revision }))[0] as string;

describe('a firmware that names the revisions it fits', () => {
  it('is planned for devices of these; all others are HARDWARE_MISMATCH, and the reason names both revisions', async () => {
    const { plan, request } = setup();
    const firmware = await givenFirmware(db, { revisions: ['B2', 'B3'] });
    const [fitting, other, unknown] = [await oneDevice('B3'), await oneDevice('B1'), await oneDevice(null)];
    const body = { firmware_id: firmware.id, targets: { external_ids: [fitting, other, unknown] } };
    const mismatches = [
      { external_id: other, other_update_id: null, detail: 'revision B1, fits B2, B3' },
      { external_id: unknown, other_update_id: null, detail: 'revision unknown, fits B2, B3' },
    ];
    expect((await plan(body)).reasons).toEqual([
      { reason: 'HARDWARE_MISMATCH', count: 2, devices: mismatches },
      { reason: 'ELIGIBLE', count: 1, devices: [{ external_id: fitting, other_update_id: null, detail: null }] },
    ]);
    const page = await dryRunUpdate({ db, now: () => new Date() }, updateRequest(body), { reason: 'HARDWARE_MISMATCH', limit: 10 });
    expect(page).toEqual({ items: mismatches, next_cursor: null });
    const update = await request(body);
    expect(update).toMatchObject({ counts: { QUEUED: 1 }, not_eligible: { HARDWARE_MISMATCH: 2 } });
    expect((await listExclusions(db, { update_id: update.id, limit: 10 })).items).toEqual([
      { kind: 'scooter', external_id: other, reason: 'HARDWARE_MISMATCH', detail: 'revision B1, fits B2, B3' },
      { kind: 'scooter', external_id: unknown, reason: 'HARDWARE_MISMATCH', detail: 'revision unknown, fits B2, B3' },
    ]);
  });

  it('says nothing of revisions where the kind of the device is what does not fit', async () => {
    const { plan } = setup();
    const firmware = await givenFirmware(db, { hardware_type: 'cabinet' });
    const external_id = await oneDevice('B1');
    const { reasons } = await plan({ firmware_id: firmware.id, targets: { external_ids: [external_id] } });
    expect(reasons).toEqual([{ reason: 'HARDWARE_MISMATCH', count: 1, devices: [{ external_id, other_update_id: null, detail: null }] }]);
  });

  it('is found in the list by a revision, with those that fit all', async () => {
    const [all, some] = [await givenFirmware(db), await givenFirmware(db, { revisions: ['é1', 'B9'] })];
    const fitting = async (revision: string) =>
      (await listFirmwares(db, { hardware_type: 'vega_mcu', revision, limit: 500 })).items.filter(
        ({ id }) => id === all.id || id === some.id,
      );
    expect((await fitting('B9')).map(({ id, revisions }) => [id, revisions])).toEqual([
      [some.id, ['é1', 'B9']],
      [all.id, null],
    ]);
    expect((await fitting('B8')).map(({ id }) => id)).toEqual([all.id]);
  });
});

describe('a revision that is corrected after the plan', () => {
  it('of a device: the device is not asked, and its execution ends with both revisions; the others go on', async () => {
    const { request, correct, advance, dispatch, executions, deps, find } = setup();
    const firmware = await givenFirmware(db, { revisions: ['B2'] });
    const external_ids = await givenDevices(db, 3, { revision: 'B2' });
    const [wrong = '', gone = '', right = ''] = external_ids;
    const { id } = await request({ firmware_id: firmware.id, targets: { external_ids } });
    await correct(wrong, 'B1');
    await correct(gone, null);
    await advance(deps.advances.take()[0]);
    for (const message of deps.dispatches.take()) await dispatch(message);
    expect(deps.backend.commands.map((command) => command.external_id)).toEqual([right]);
    expect((await executions(id)).map(({ external_id, status, reason, sent_dt }) => ({ external_id, status, reason, sent_dt }))).toEqual([
      { external_id: wrong, status: 'REMOVED', reason: 'HARDWARE_MISMATCH: revision B1, fits B2', sent_dt: null },
      { external_id: gone, status: 'REMOVED', reason: 'HARDWARE_MISMATCH: revision unknown, fits B2', sent_dt: null },
      { external_id: right, status: 'IN_PROGRESS', reason: null, sent_dt: expect.any(Date) },
    ]);
    expect((await find(id)).reasons).toContainEqual({
      ...{ status: 'REMOVED', reason: 'HARDWARE_MISMATCH', count: 2 },
      texts: [
        { text: 'revision B1, fits B2', count: 1 },
        { text: 'revision unknown, fits B2', count: 1 },
      ],
    });
  });

  it('and back again before its turn: the device is asked', async () => {
    const { request, correct, advance, dispatch, deps } = setup();
    const firmware = await givenFirmware(db, { revisions: ['B2'] });
    const [external_id = ''] = await givenDevices(db, 1, { revision: 'B2' });
    await request({ firmware_id: firmware.id, targets: { external_ids: [external_id] } });
    await correct(external_id, 'B1');
    await correct(external_id, 'B2');
    await advance(deps.advances.take()[0]);
    for (const message of deps.dispatches.take()) await dispatch(message);
    expect(deps.backend.commands).toMatchObject([{ external_id }]);
  });

  it('of the firmware: one statement changes it; nobody who does not fit is asked, also of chunks that are on their way', async () => {
    const { request, narrow, advance, dispatch, executions, deps } = setup();
    const firmware = await givenFirmware(db);
    const [old = ''] = await givenDevices(db, 1, { revision: 'B1' });
    const [fresh = ''] = await givenDevices(db, 1, { revision: 'B2' });
    const { id } = await request({ firmware_id: firmware.id, targets: { external_ids: [old, fresh] } });
    await advance(deps.advances.take()[0]);
    takeStatements();
    await narrow(firmware.id, ['B2']);
    expect(takeStatements().filter((statement) => /^\s*update/i.test(statement))).toHaveLength(1);
    for (const message of deps.dispatches.take()) await dispatch(message);
    expect(deps.backend.commands).toMatchObject([{ external_id: fresh }]);
    expect(await executions(id)).toMatchObject([{ phase: 'waiting', dispatch_id: null, sent_dt: null }, { phase: 'asked' }]);
    await advance(deps.advances.take()[0]);
    expect(deps.dispatches.take()).toEqual([]);
    expect(await executions(id)).toMatchObject([{ status: 'REMOVED', reason: 'HARDWARE_MISMATCH: revision B1, fits B2' }, {}]);
  });

  it('of a device whose try is to be repeated: it is not asked again', async () => {
    const { givenSent, narrow, confirm, advance, executions, clock, deps } = setup();
    const { firmware, external_ids, update, message } = await givenSent({ retry: { number_of_retries: 2 } });
    const [external_id = ''] = external_ids;
    await narrow(firmware.id, ['B2']);
    await confirm({ kind: 'scooter', hardware_type: 'vega_mcu', external_id, version: 'x', status: 'FAILED', occurred_dt: clock.now() });
    clock.advance(120);
    await advance(message);
    expect(deps.dispatches.take()).toEqual([]);
    expect(await executions(update.id)).toMatchObject([{ status: 'REMOVED', reason: 'HARDWARE_MISMATCH: revision unknown, fits B2' }]);
  });

  it('in a canary: another device takes its place, and it counts as no failure', async () => {
    const { request, correct, advance, dispatch, executions, find, deps } = setup();
    const firmware = await givenFirmware(db, { revisions: ['B2'] });
    const external_ids = await givenDevices(db, 4, { revision: 'B2' });
    const { id } = await request({ firmware_id: firmware.id, targets: { external_ids }, canary: { size: 1 } });
    await advance(deps.advances.take()[0]);
    const [drawn] = (await executions(id)).filter(({ is_canary }) => is_canary);
    await correct(drawn?.external_id ?? '', 'B1');
    for (const message of deps.dispatches.take()) await dispatch(message);
    await advance(deps.advances.take()[0]);
    for (const message of deps.dispatches.take()) await dispatch(message);
    await advance(deps.advances.take()[0]);
    for (const message of deps.dispatches.take()) await dispatch(message);
    const [asked, ...more] = deps.backend.commands;
    expect(more).toEqual([]);
    expect(external_ids).toContain(asked?.external_id);
    expect(asked?.external_id).not.toBe(drawn?.external_id);
    expect(await find(id)).toMatchObject({ status: 'IN_PROGRESS', counts: { REMOVED: 1, IN_PROGRESS: 1, QUEUED: 2, FAILED: 0 } });
  });

  it('of all devices of an update: it asks nobody, and is complete', async () => {
    const { request, narrow, advance, find, deps } = setup();
    const firmware = await givenFirmware(db);
    const external_ids = await givenDevices(db, 3);
    const { id } = await request({ firmware_id: firmware.id, targets: { external_ids } });
    await narrow(firmware.id, ['B2']);
    await advance(deps.advances.take()[0]);
    expect(deps.dispatches.take()).toEqual([]);
    expect(await find(id)).toMatchObject({ status: 'COMPLETED', counts: { REMOVED: 3 } });
  });

  it('costs an update whose firmware fits all no statement, and another one a single one', async () => {
    const { given, advance, deps } = setup();
    const statements = async (revisions: string[] | null) => {
      const { firmware, message } = await given({ devices: 2 });
      await db.updateTable('firmwares').set({ revisions }).where('id', '=', firmware.id).execute();
      takeStatements();
      await advance(message);
      deps.advances.take();
      return takeStatements().filter((statement) => statement.includes("'removed' AS event")).length;
    };
    expect(await statements(null)).toBe(0);
    expect(await statements(['B2'])).toBe(1);
  });
});

describe('a device that polls and whose revision is corrected', () => {
  const polling = () => {
    const ddi = createDevicesThatPoll(db);
    const editDeps = { db, now: ddi.clock.now, log: silentLog };
    return {
      ddi,
      correct: (external_id: string, revision: string | null) =>
        changeDevice(editDeps, { kind: 'cabinet', external_id }, { revision }, actor),
      narrow: (id: number, revisions: string[]) => editFirmware(editDeps, id, { revisions }, actor),
    };
  };

  it('before it is offered its work: it is offered none, and its execution ends', async () => {
    const { ddi, narrow } = polling();
    const { cabinet, firmware, update, message } = await ddi.givenUpdate();
    await narrow(firmware.id, ['1.0']);
    await ddi.step(message);
    expect(linkedIn(await ddi.poll(cabinet))['deploymentBase']).toBeUndefined();
    expect(await ddi.executions(update.id)).toMatchObject([{ status: 'REMOVED', reason: 'HARDWARE_MISMATCH: revision unknown, fits 1.0' }]);
  });

  it('while an offer stands: it is shown nothing and cannot take it; the offer is taken back, and the execution ends', async () => {
    const { ddi, narrow, correct } = polling();
    const { cabinet, firmware, id, message } = await ddi.givenOffered();
    await narrow(firmware.id, ['1.0']);
    expect(linkedIn(await ddi.poll(cabinet))['deploymentBase']).toBeUndefined();
    expect(await ddi.deployment(cabinet, id)).toMatchObject({ statusCode: 404 });
    expect(await ddi.execution(id)).toMatchObject({ phase: 'offered', sent_dt: null });
    await correct(cabinet.external_id, '1.0');
    expect(linkedIn(await ddi.poll(cabinet))['deploymentBase']).toBe(id);
    await correct(cabinet.external_id, '2.0');
    await ddi.pass(message, 840, [cabinet]);
    expect(await ddi.execution(id)).toMatchObject({ status: 'REMOVED', reason: 'HARDWARE_MISMATCH: revision 2.0, fits 1.0' });
  });

  it('while it is at work: its file cannot be downloaded any more, and it still tells how it ends', async () => {
    const { ddi, narrow } = polling();
    const { cabinet, firmware, id } = await ddi.givenTaken();
    expect((await ddi.download(cabinet, firmware.id, 'firmware.bin')).statusCode).toBe(302);
    await narrow(firmware.id, ['1.0']);
    expect((await ddi.download(cabinet, firmware.id, 'firmware.bin')).statusCode).toBe(404);
    expect(linkedIn(await ddi.poll(cabinet))['deploymentBase']).toBe(id);
    await ddi.feedback(cabinet, id, 'closed', 'failure');
    expect(await ddi.execution(id)).toMatchObject({ status: 'FAILED', reason: 'DEVICE_FAILED' });
  });
});

describe('a package', () => {
  const givenPackage = async (...revisions: (string[] | null)[]) => {
    const service = createAssemblyService(db);
    const parts = await service.givenParts();
    for (const [i, part] of parts.entries()) {
      await db
        .updateTable('firmwares')
        .set({ revisions: revisions[i] ?? null })
        .where('id', '=', part.id)
        .execute();
    }
    return { service, parts, request: () => service.request({ parts: parts.map(({ id }) => ({ firmware_id: id })) }) };
  };
  const shown = async (id: number) => (await listFirmwares(db, { limit: 500 })).items.find((firmware) => firmware.id === id)?.revisions;

  it('fits what all of its parts fit, as they are named now; those that it names itself are fewer still', async () => {
    const { narrow } = setup();
    const { parts, request } = await givenPackage(['B1', 'B2', 'B3'], null, ['B3', 'B2']);
    const { firmware_id } = await request();
    expect(await shown(firmware_id)).toEqual(['B2', 'B3']);
    await narrow(parts[1]?.id ?? 0, ['B3', 'B4']);
    expect(await shown(firmware_id)).toEqual(['B3']);
    await narrow(parts[1]?.id ?? 0, null);
    expect((await narrow(firmware_id, ['B2', 'B9'])).revisions).toEqual(['B2']);
    await narrow(parts[0]?.id ?? 0, ['B3']);
    expect(await shown(firmware_id)).toEqual([]);
  });

  it('of parts that fit all fits all', async () => {
    const { request } = await givenPackage(null, null, null);
    expect(await shown((await request()).firmware_id)).toBeNull();
  });

  it('is planned by the revisions of its parts, and judged by them again when devices are asked', async () => {
    const { narrow, plan } = setup();
    const ddi = createDevicesThatPoll(db);
    const { service, parts } = await givenPackage(['B2'], ['B2', 'B3'], null);
    const { assembly } = await service.givenPackage({ parts: parts.map(({ id }) => ({ id })) });
    const [fitting] = await ddi.givenPolling(1, { revision: 'B2' });
    const [other] = await ddi.givenPolling(1, { revision: 'B3' });
    if (!fitting || !other) throw new Error('no devices');
    for (const device of [fitting, other]) await ddi.poll(device);
    const targets = { kind: 'cabinet', external_ids: [fitting.external_id, other.external_id] };
    const { reasons } = await plan({ firmware_id: assembly.firmware_id, targets });
    expect(reasons.map(({ reason, devices }) => [reason, devices[0]?.external_id, devices[0]?.detail])).toEqual([
      ['ELIGIBLE', fitting.external_id, null],
      ['HARDWARE_MISMATCH', other.external_id, 'revision B3, fits B2'],
    ]);
    const { id } = await ddi.request({ firmware_id: assembly.firmware_id, targets });
    await narrow(parts[1]?.id ?? 0, ['B3']);
    await ddi.step(ddi.deps.advances.take()[0]);
    expect(await ddi.executions(id)).toMatchObject([{ status: 'REMOVED', reason: 'HARDWARE_MISMATCH: revision B2, fits none' }]);
  });

  it('that no revision could install is refused, with the part that does not go with those before it', async () => {
    const { request } = await givenPackage(['B1', 'B2'], ['B2'], ['B1']);
    await expect(request()).rejects.toMatchObject({
      code: 'request.invalid',
      options: {
        errors: [{ path: 'parts.2.firmware_id', message: 'fits B1, and the parts before it B2: no device could install the package' }],
      },
    });
  });
});
