import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import { listAuditLines } from '../../../../lib/audit/audit-queries.ts';
import type { AdvanceMessage } from '../../../../lib/update/messages.ts';
import type { DryRun } from '../../../../lib/update/plan/dry-run.ts';
import { dryRunUpdate } from '../../../../lib/update/plan/dry-run-update.ts';
import { cancelUpdate, pauseUpdate } from '../../../../lib/update/walk/control-update.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { createDevicesThatPoll, linkedIn } from '../../../support/devices-that-poll.ts';
import { actor, confirmation, givenDevices, givenFirmware, startOfTime, updateRequest } from '../../../support/fixtures.ts';
import { untilWaiting } from '../../../support/locks.ts';
import { dispatchAll, endsOf, givenOlder, stepOf } from '../../../support/superseding.ts';
import { createUpdateService, failsAfter, type UpdateService } from '../../../support/update-service.ts';

const { db, takeStatements } = await createTestDatabase();

beforeEach(() => {
  takeStatements();
});

const given = (devices: number, request: Record<string, unknown> = {}) => givenOlder(db, devices, request);
const step = (service: UpdateService, id: number) => stepOf(db, service, id);
const ends = endsOf;

describe('an update that supersedes', () => {
  it('ends what nobody was asked for yet of older updates, and gets these devices; those at work stay', async () => {
    const { service, old, supersede } = await given(4, { rollout: { maximum_in_progress: 1 } });
    await service.advance(old.message);
    await dispatchAll(service);
    const [asked] = service.deps.backend.commands;
    const others = old.external_ids.filter((id) => id !== asked?.external_id);
    const fix = await supersede();
    expect(fix).toMatchObject({ supersede: true, counts: { QUEUED: 3 }, not_eligible: { UPDATE_IN_FLIGHT: 1 } });
    const reason = `CANCELED SUPERSEDED: ${fix.id}`;
    expect(await ends(service, old.update.id)).toEqual({
      ...Object.fromEntries(others.map((id) => [id, reason])),
      [asked?.external_id ?? '']: 'IN_PROGRESS',
    });
    expect(await ends(service, fix.id)).toEqual(Object.fromEntries(others.map((id) => [id, 'QUEUED'])));
    expect(await service.find(old.update.id)).toMatchObject({
      ...{ status: 'IN_PROGRESS', counts: { CANCELED: 3, IN_PROGRESS: 1, QUEUED: 0 }, progress: 0.75 },
      reasons: [
        { status: 'CANCELED', reason: 'SUPERSEDED', count: 3, texts: [{ text: String(fix.id), count: 3 }] },
        { status: 'IN_PROGRESS' },
      ],
    });
  });

  it('leaves alone devices that do not take part in it, and other hardware types', async () => {
    const { service, old, fix, body } = await given(3);
    const [downgrade = '', busy = '', free = ''] = old.external_ids;
    const newer = await givenFirmware(db);
    await service.confirm(confirmation({ external_id: downgrade, version: newer.version, occurred_dt: service.clock.now() }));
    const gsm = await givenFirmware(db, { hardware_type: 'vega_gsm' });
    const ofGsm = await service.request({ firmware_id: gsm.id, targets: { external_ids: old.external_ids } });
    const { id: first } = await service.request({ ...body, targets: { external_ids: [busy] } });
    const { id } = await service.request(body);
    expect(await ends(service, old.update.id)).toEqual({
      [downgrade]: 'QUEUED',
      [busy]: `CANCELED SUPERSEDED: ${first}`,
      [free]: `CANCELED SUPERSEDED: ${id}`,
    });
    expect(await ends(service, first)).toEqual({ [busy]: `CANCELED SUPERSEDED: ${id}` });
    expect(Object.values(await ends(service, ofGsm.id))).toEqual(['QUEUED', 'QUEUED', 'QUEUED']);
    expect((await service.executions(id)).map(({ hardware_type }) => hardware_type)).toEqual([fix.hardware_type, fix.hardware_type]);
  });

  it('keeps a device with the older update while it is not known whether its command was taken', async () => {
    const { service, old, supersede } = await given(2);
    const [unclear = '', free = ''] = old.external_ids;
    await service.advance(old.message);
    service.deps.backend.answer = ({ execution_id, external_id }) =>
      external_id === unclear
        ? { execution_id, outcome: 'unclear', reason: 'odd' }
        : { execution_id, outcome: 'deferred', reason: 'in a ride', retry_after_seconds: 60 };
    await dispatchAll(service);
    const { id } = await supersede();
    expect(await ends(service, id)).toEqual({ [free]: 'QUEUED' });
    expect(await ends(service, old.update.id)).toEqual({ [unclear]: 'QUEUED DEFERRED: odd', [free]: `CANCELED SUPERSEDED: ${id}` });
  });

  it('takes devices also of updates that are paused, that begin later, or whose next try is due', async () => {
    const service = createUpdateService(db);
    const [paused, later, retried] = [
      await service.given(),
      await service.given({ start_dt: '2030-01-01T00:00:00Z' }),
      await service.givenSent({ retry: { number_of_retries: 1 } }),
    ];
    await pauseUpdate(service.deps, paused.update.id, { reason: null }, actor);
    const [failed = ''] = retried.external_ids;
    await service.confirm(confirmation({ external_id: failed, version: 'x', status: 'FAILED', occurred_dt: service.clock.now() }));
    const fix = await givenFirmware(db);
    const external_ids = [paused, later, retried].flatMap((update) => update.external_ids);
    const { id, counts } = await service.request({ firmware_id: fix.id, targets: { external_ids }, supersede: true });
    expect(counts.QUEUED).toBe(3);
    for (const { update } of [paused, later, retried])
      expect(Object.values(await ends(service, update.id))).toEqual([`CANCELED SUPERSEDED: ${id}`]);
  });

  it('a device that runs its version already is superseded, too, and has succeeded at once', async () => {
    const { service, old, fix, supersede } = await given(1);
    const [external_id = ''] = old.external_ids;
    await db
      .insertInto('device_firmwares')
      .columns(['device_id', 'hardware_type', 'firmware_id', 'reported_version', 'observed_dt', 'firmware_update_dt', 'source'])
      .expression((eb) =>
        eb
          .selectFrom('devices')
          .select(({ ref, val }) => [
            ref('id').as('device_id'),
            val('vega_mcu').as('hardware_type'),
            val(fix.id).as('firmware_id'),
            val(fix.version).as('reported_version'),
            val(startOfTime).as('observed_dt'),
            val(startOfTime).as('firmware_update_dt'),
            val('confirmation').as('source'),
          ])
          .where('external_id', '=', external_id),
      )
      .execute();
    const { id } = await supersede();
    expect(await ends(service, id)).toEqual({ [external_id]: 'SUCCEEDED ALREADY_ON_TARGET' });
    expect(await ends(service, old.update.id)).toEqual({ [external_id]: `CANCELED SUPERSEDED: ${id}` });
  });

  it('writes a line of the audit for each update that loses devices, and its own says which', async () => {
    const { old, supersede } = await given(2);
    const { id } = await supersede();
    const { items } = await listAuditLines(db, { resource: 'update', limit: 2 });
    expect(items.toSorted((a, b) => Number(a.resource_id) - Number(b.resource_id))).toMatchObject([
      { action: 'supersede', resource_id: String(old.update.id), caller: 'admin', outcome: { by_update_id: id, canceled: 2 } },
      { action: 'request', resource_id: String(id), outcome: { superseded: [{ update_id: old.update.id, executions: 2 }] } },
    ]);
  });

  it('wakes an older update that sleeps: one that has lost all devices is complete with its next step', async () => {
    const { service, old, supersede } = await given(2, { window: { from: '02:00', until: '03:00' } });
    await service.advance(old.message);
    service.deps.advances.take();
    await supersede();
    const woken = service.deps.advances.take().find(({ update_id }) => update_id === old.update.id);
    expect(woken?.step).toBe(1);
    await service.advance(woken);
    expect(await service.find(old.update.id)).toMatchObject({
      status: 'COMPLETED',
      finished_dt: expect.any(Date),
      counts: { CANCELED: 2 },
    });
  });

  it('stores and ends nothing when its message cannot be sent, and nothing either when nobody could be updated', async () => {
    const { service, old, body } = await given(2);
    const failing = failsAfter(service.deps.advances, 0);
    await expect(service.request(body, {}, { advances: failing })).rejects.toMatchObject({ code: 'queue.unavailable' });
    expect(Object.values(await ends(service, old.update.id))).toEqual(['QUEUED', 'QUEUED']);
    await expect(service.request({ ...body, targets: { external_ids: ['nobody'] } })).rejects.toMatchObject({
      code: 'update.nothing_eligible',
    });
    expect(Object.values(await ends(service, old.update.id))).toEqual(['QUEUED', 'QUEUED']);
  });

  it('that is repeated with its Idempotency-Key gets the same answer, and ends nothing more', async () => {
    const { service, old, body } = await given(2);
    const key = { idempotency_key: 'emergency' };
    const first = await service.request(body, key);
    const later = await service.request(
      { ...body, supersede: true, firmware_id: (await givenFirmware(db)).id },
      { idempotency_key: 'later' },
    );
    expect(await service.request(body, key)).toEqual(first);
    expect(Object.values(await ends(service, later.id))).toEqual(['QUEUED', 'QUEUED']);
    expect(new Set(Object.values(await ends(service, old.update.id)))).toEqual(new Set([`CANCELED SUPERSEDED: ${first.id}`]));
    await expect(service.request({ ...body, supersede: false }, key)).rejects.toMatchObject({ code: 'update.idempotency_key_reused' });
  });

  it('that is canceled does not bring the older update back', async () => {
    const { service, old, supersede } = await given(2);
    const { id } = await supersede();
    await cancelUpdate(service.deps, id, { force: false, reason: null }, actor);
    await service.advance(old.message);
    await dispatchAll(service);
    expect(service.deps.backend.commands).toEqual([]);
    expect(await service.find(old.update.id)).toMatchObject({ status: 'COMPLETED', counts: { CANCELED: 2 } });
  });

  it('needs four statements more than another one', async () => {
    const { service, body } = await given(2);
    takeStatements();
    await service.request(body);
    const superseding = takeStatements().length;
    const firmware = await givenFirmware(db);
    const external_ids = await givenDevices(db, 2);
    takeStatements();
    await service.request({ firmware_id: firmware.id, targets: { external_ids } });
    expect(superseding - takeStatements().length).toBe(4);
  });
});

describe('a device that is at work when its update is superseded', () => {
  /** Of two devices of the older update one is at work. */
  const givenAtWork = async () => {
    const { service, old, supersede } = await given(2, { rollout: { maximum_in_progress: 1 }, retry: { number_of_retries: 1 } });
    await service.advance(old.message);
    await dispatchAll(service);
    const [asked] = service.deps.backend.commands.splice(0);
    return { service, old, newer: await supersede({ canary: { size: 2 } }), external_id: asked?.external_id ?? '' };
  };
  const report = (service: UpdateService, external_id: string, version: string, status: 'SUCCEEDED' | 'FAILED') =>
    service.confirm(confirmation({ external_id, version, status, occurred_dt: service.clock.now() }));

  it('is taken in when it has ended there, and the newer update does not end before', async () => {
    const { service, old, newer, external_id } = await givenAtWork();
    const [other = ''] = old.external_ids.filter((id) => id !== external_id);
    await cancelOthers(service, newer.id, other);
    await step(service, newer.id);
    expect(await service.find(newer.id)).toMatchObject({ status: 'IN_PROGRESS', finished_dt: null });
    await report(service, external_id, old.firmware.version, 'SUCCEEDED');
    service.clock.advance(1);
    await step(service, old.update.id);
    expect(await service.find(old.update.id)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 1, CANCELED: 1 } });
    await step(service, newer.id);
    expect((await service.executions(newer.id)).map((e) => [e.external_id, e.phase])).toEqual([
      [other, 'ended'],
      [external_id, 'released'],
    ]);
    // Once.
    await step(service, newer.id);
    expect(await service.executions(newer.id)).toHaveLength(2);
  });

  it('and fails there is not asked again by the older update, even if that is paused or would try again', async () => {
    const { service, old, newer, external_id } = await givenAtWork();
    await pauseUpdate(service.deps, old.update.id, { reason: null }, actor);
    await report(service, external_id, old.firmware.version, 'FAILED');
    expect((await ends(service, old.update.id))[external_id]).toBe('IN_PROGRESS RETRY: DEVICE_FAILED');
    await step(service, newer.id);
    expect((await ends(service, old.update.id))[external_id]).toBe(`CANCELED SUPERSEDED: ${newer.id}`);
    service.clock.advance(1);
    await step(service, old.update.id);
    await step(service, newer.id);
    expect((await service.executions(newer.id)).map((e) => e.external_id).sort()).toEqual(old.external_ids.toSorted());
  });

  it('alone is enough for a request: it takes part later', async () => {
    const service = createUpdateService(db);
    const { firmware, external_ids, update } = await service.givenSent();
    const [external_id = ''] = external_ids;
    const fix = await givenFirmware(db);
    const newer = await service.request({ firmware_id: fix.id, targets: { external_ids }, supersede: true, canary: { size: 1 } });
    expect(newer).toMatchObject({ counts: { QUEUED: 0 }, not_eligible: { UPDATE_IN_FLIGHT: 1 } });
    await report(service, external_id, firmware.version, 'SUCCEEDED');
    service.clock.advance(1);
    await step(service, update.id);
    await step(service, newer.id);
    expect(await service.executions(newer.id)).toMatchObject([{ external_id, phase: 'released', is_canary: true }]);
  });

  it('is not taken in by an update that was canceled meanwhile', async () => {
    const { service, old, newer, external_id } = await givenAtWork();
    await cancelUpdate(service.deps, newer.id, { force: false, reason: null }, actor);
    await report(service, external_id, old.firmware.version, 'SUCCEEDED');
    await step(service, newer.id);
    await step(service, old.update.id);
    expect(Object.keys(await ends(service, newer.id))).not.toContain(external_id);
    expect(await service.find(newer.id)).toMatchObject({ status: 'CANCELED', finished_dt: expect.any(Date) });
  });
});

/** As if the device had left the update before it was asked. */
const cancelOthers = async (service: UpdateService, update_id: number, external_id: string) => {
  await db
    .updateTable('update_executions')
    .set({ status: 'REMOVED', phase: 'ended', reason: 'RETIRED_DEVICE', finished_dt: service.clock.now() })
    .where('update_id', '=', update_id)
    .where('device_id', '=', db.selectFrom('devices').select('id').where('external_id', '=', external_id))
    .execute();
};

describe('a continuous update whose devices are superseded', () => {
  it('does not take them in again, also when it is told of a change and the newer update has failed', async () => {
    const service = createUpdateService(db);
    const [external_id = ''] = await givenDevices(db, 1);
    const [baseline, fix] = [await givenFirmware(db), await givenFirmware(db)];
    const targets = { filter: { kind: 'scooter', external_id_prefix: external_id } };
    const open = await service.request({ firmware_id: baseline.id, targets, continuous: true });
    const newer = await service.request({ firmware_id: fix.id, targets: { external_ids: [external_id] }, supersede: true });
    service.deps.advances.take();
    await step(service, newer.id);
    await dispatchAll(service);
    await service.confirm(confirmation({ external_id, version: fix.version, status: 'FAILED', occurred_dt: service.clock.now() }));
    expect(await ends(service, newer.id)).toEqual({ [external_id]: 'FAILED DEVICE_FAILED' });
    await sql`
      INSERT INTO update_candidates (update_id, device_id)
      SELECT ${open.id}, id FROM devices WHERE external_id = ${external_id}`.execute(db);
    await step(service, open.id);
    expect(await ends(service, open.id)).toEqual({ [external_id]: `CANCELED SUPERSEDED: ${newer.id}` });
    expect(await db.selectFrom('update_candidates').selectAll().where('update_id', '=', open.id).execute()).toEqual([]);
  });
});

describe('an older update whose devices are superseded', () => {
  it('gets other devices for its canary, and counts no failure', async () => {
    const { service, old, fix } = await given(6, {
      ...{ canary: { size: 2, success_percentage: 100, minimum_wait_minutes: 0 } },
      abort: [{ failure_types: ['ALL'], threshold_percentage: 1, minimum_executions: 1, action: 'ABORT' }],
    });
    await service.advance(old.message);
    service.deps.dispatches.take();
    const canary = (await service.executions(old.update.id)).filter(({ is_canary }) => is_canary);
    const [lost] = canary;
    await service.request({ firmware_id: fix.id, targets: { external_ids: [lost?.external_id] }, supersede: true });
    // The chunk was lost on its way, and is sent again.
    service.clock.advance(301);
    for (let n = 0; n < 4; n += 1) {
      await service.advance(service.deps.advances.take().find(({ update_id }) => update_id === old.update.id));
      await dispatchAll(service);
    }
    const asked = new Set(service.deps.backend.commands.map(({ external_id }) => external_id));
    expect(asked.size).toBe(2);
    expect(asked.has(lost?.external_id ?? '')).toBe(false);
    await service.confirmAsked(old.firmware.version);
    await service.advance(service.deps.advances.take().find(({ update_id }) => update_id === old.update.id));
    await dispatchAll(service);
    expect(await service.find(old.update.id)).toMatchObject({
      ...{ status: 'IN_PROGRESS', canary_passed_dt: expect.any(Date) },
      counts: { SUCCEEDED: 2, CANCELED: 1, IN_PROGRESS: 3, FAILED: 0 },
    });
  });

  it('sends nothing for them of a chunk that is on its way; a chunk that has lost all its devices makes no call', async () => {
    const { service, old, body } = await given(3);
    const [lost = '', ...kept] = old.external_ids;
    await service.advance(old.message);
    await service.request({ ...body, targets: { external_ids: [lost] } });
    await dispatchAll(service);
    expect(service.deps.backend.commands.map(({ external_id }) => external_id)).toEqual(kept);
    const other = await given(2);
    await other.service.advance(other.old.message);
    await other.supersede();
    await dispatchAll(other.service);
    expect(other.service.deps.backend.calls).toEqual([]);
  });
});

describe('a dry run of an update that supersedes', () => {
  const dryRun = (body: Record<string, unknown>) =>
    dryRunUpdate({ db, now: () => startOfTime }, updateRequest(body), undefined) as Promise<DryRun>;

  it('says how many executions of which updates would end, changes nothing, and equals what the request does', async () => {
    const { service, old, fix } = await given(3, { rollout: { maximum_in_progress: 1 } });
    const another = await service.given({ devices: 2 });
    await service.advance(old.message);
    await dispatchAll(service);
    const external_ids = [...old.external_ids, ...another.external_ids, ...(await givenDevices(db, 1))];
    const body = { firmware_id: fix.id, targets: { external_ids }, supersede: true };
    const plan = await dryRun(body);
    const superseded = [
      { update_id: old.update.id, executions: 2, at_work: 1 },
      { update_id: another.update.id, executions: 2, at_work: 0 },
    ];
    expect(plan).toMatchObject({ eligible: 5, superseded });
    expect(plan.reasons.map(({ reason, count }) => [reason, count])).toEqual([
      ['ELIGIBLE', 5],
      ['UPDATE_IN_FLIGHT', 1],
    ]);
    expect(await dryRun(body)).toEqual(plan);
    expect(await dryRun({ ...body, supersede: false })).toMatchObject({ eligible: 1, superseded: [] });
    const update = await service.request(body);
    expect(update).toMatchObject({ counts: { QUEUED: 5 }, not_eligible: { UPDATE_IN_FLIGHT: 1 } });
    for (const { update_id, executions } of superseded) expect((await service.find(update_id)).counts.CANCELED).toBe(executions);
  });
});

describe('a device that waits in an older update', () => {
  const running = async (service: UpdateService, version: string) => {
    const old = await service.given();
    const [external_id = ''] = old.external_ids;
    await service.confirm(confirmation({ external_id, version, occurred_dt: service.clock.now() }));
    return { old, external_id };
  };

  it.each([
    ['DOWNGRADE', 'newer', { not_eligible: { DOWNGRADE: 1 } }, 'QUEUED', undefined],
    ['UNKNOWN_VERSION', 'in no catalogue', { not_eligible: { UNKNOWN_VERSION: 1 } }, 'QUEUED', undefined],
    ['ALREADY_ON_TARGET', 'the fix', { counts: { SUCCEEDED: 1 } }, 'superseded', 'SUCCEEDED ALREADY_ON_TARGET'],
  ] as const)('is %s in the request as in the dry run', async (reason, runs, answer, older, newer) => {
    const service = createUpdateService(db);
    const fix = await givenFirmware(db);
    const version = { newer: (await givenFirmware(db)).version, 'in no catalogue': 'made at home', 'the fix': fix.version }[runs];
    const { old, external_id } = await running(service, version);
    const free = await givenDevices(db, 1);
    const body = { firmware_id: fix.id, targets: { external_ids: [external_id, ...free] }, supersede: true, unknown_version: 'EXCLUDE' };
    const plan = (await dryRunUpdate({ db, now: service.clock.now }, updateRequest(body), undefined)) as DryRun;
    expect(plan.reasons.map((group) => [group.reason, group.count])).toContainEqual([reason, 1]);
    const update = await service.request(body);
    expect(update).toMatchObject({ ...answer, supersede: true });
    expect(await service.find(update.id)).toMatchObject({ claimed: 0 });
    const isSuperseded = older === 'superseded';
    expect(await ends(service, old.update.id)).toEqual({ [external_id]: isSuperseded ? `CANCELED SUPERSEDED: ${update.id}` : older });
    expect((await ends(service, update.id))[external_id]).toBe(newer);
  });
});

describe('superseding races', () => {
  /** The queue of a request: runs something in the moment before the commit. */
  const beforeCommit = (service: UpdateService, work: () => Promise<void>) => ({
    advances: {
      async send(messages: readonly AdvanceMessage[]) {
        await work();
        await service.deps.advances.send(messages);
      },
    },
  });

  it('a chunk that is taken to the backend while the request is being committed waits for it, and commands nobody', async () => {
    const { service, old, body } = await given(3);
    await service.advance(old.message);
    const [chunk] = service.deps.dispatches.take();
    let handed: Promise<void> | undefined;
    const { id } = await service.request(
      body,
      {},
      beforeCommit(service, async () => {
        handed = service.dispatch(chunk);
        await untilWaiting(db, 1);
      }),
    );
    await handed;
    expect(service.deps.backend.commands).toEqual([]);
    expect(new Set(Object.values(await ends(service, old.update.id)))).toEqual(new Set([`CANCELED SUPERSEDED: ${id}`]));
  });

  it('a request that comes while a chunk is being taken waits for that, and leaves its devices with the older update', async () => {
    const { service, old, body } = await given(3);
    const free = await givenDevices(db, 1);
    await service.advance(old.message);
    const [chunk] = service.deps.dispatches.take();
    let requested: Promise<unknown> | undefined;
    await db.transaction().execute(async (trx) => {
      // As the chunk is taken: its executions are locked and become `calling`.
      await sql`
        UPDATE update_executions SET phase = 'calling', sent_dt = ${service.clock.now()}
        WHERE dispatch_id = ${chunk?.dispatch_id}`.execute(trx);
      requested = service.request({ ...body, targets: { external_ids: [...old.external_ids, ...free] } });
      await untilWaiting(db, 1);
    });
    expect(await requested).toMatchObject({ counts: { QUEUED: 1 }, not_eligible: { UPDATE_IN_FLIGHT: 3 } });
    expect((await service.executions(old.update.id)).map(({ phase }) => phase)).toEqual(['calling', 'calling', 'calling']);
  });

  it('a step that releases while the request is being committed releases none of its devices', async () => {
    const { service, old, body } = await given(3);
    const [kept = '', ...lost] = old.external_ids;
    let stepped: Promise<void> | undefined;
    const { id } = await service.request(
      { ...body, targets: { external_ids: lost } },
      {},
      beforeCommit(service, async () => {
        stepped = service.advance(old.message);
        await untilWaiting(db, 1);
      }),
    );
    await stepped;
    await dispatchAll(service);
    await service.advance(service.deps.advances.take().find(({ update_id }) => update_id === old.update.id));
    await dispatchAll(service);
    expect(service.deps.backend.commands.map(({ external_id }) => external_id)).toEqual([kept]);
    expect(Object.values(await ends(service, id))).toEqual(['QUEUED', 'QUEUED']);
  });

  it('a device that polls and comes for its work while the request is being committed gets none of the older update', async () => {
    const ddi = createDevicesThatPoll(db);
    const { cabinet, id, update } = await ddi.givenOffered();
    const fix = await givenFirmware(db, { hardware_type: 'cabinet' });
    const body = { firmware_id: fix.id, targets: { kind: 'cabinet', external_ids: [cabinet.external_id] }, supersede: true };
    let came: Promise<{ statusCode: number }> | undefined;
    const newer = await ddi.request(
      body,
      {},
      beforeCommit(ddi, async () => {
        came = ddi.deployment(cabinet, id);
        await untilWaiting(db, 1);
      }),
    );
    expect((await came)?.statusCode).toBe(404);
    expect(await ddi.executions(update.id)).toMatchObject([{ status: 'CANCELED', reason: `SUPERSEDED: ${newer.id}`, sent_dt: null }]);
    expect(linkedIn(await ddi.poll(cabinet))['deploymentBase']).toBeUndefined();
    await ddi.step(ddi.deps.advances.take().find(({ update_id }) => update_id === newer.id));
    const [offered] = await ddi.executions(newer.id);
    expect(linkedIn(await ddi.poll(cabinet))['deploymentBase']).toBe(offered?.id);
  });

  it('a device that polls and has come for its work stays with the older update', async () => {
    const ddi = createDevicesThatPoll(db);
    const { cabinets, id } = await ddi.givenTaken();
    const [free] = await ddi.givenPolling();
    const fix = await givenFirmware(db, { hardware_type: 'cabinet' });
    const external_ids = [...cabinets, free].map((cabinet) => cabinet?.external_id);
    const newer = await ddi.request({ firmware_id: fix.id, targets: { kind: 'cabinet', external_ids }, supersede: true });
    expect(newer).toMatchObject({ counts: { QUEUED: 1 }, not_eligible: { UPDATE_IN_FLIGHT: 1 } });
    expect(await ddi.execution(id)).toMatchObject({ status: 'IN_PROGRESS', phase: 'asked' });
  });

  it('of several requests at one moment the youngest gets the devices, and nobody has two', async () => {
    const { service, old } = await given(20);
    const requests = Array.from({ length: 4 }, async () =>
      service.request({ firmware_id: (await givenFirmware(db)).id, targets: { external_ids: old.external_ids }, supersede: true }),
    );
    const won = (await Promise.allSettled(requests)).flatMap((result) => (result.status === 'fulfilled' ? [result.value.id] : []));
    const youngest = Math.max(...won);
    expect(Object.values(await ends(service, youngest))).toEqual(Array(20).fill('QUEUED'));
    for (const id of won)
      if (id !== youngest) expect(Object.values(await ends(service, id)).every((end) => end.startsWith('CANCELED SUPERSEDED'))).toBe(true);
  });

  it('against dispatches, steps and reports at one moment, again and again: who was asked stays, who was not is superseded', async () => {
    for (let round = 0; round < 25; round += 1) {
      const { service, old, body } = await given(8);
      await service.advance(old.message);
      const [chunk] = service.deps.dispatches.take();
      const step = service.deps.advances.take()[0];
      const [result] = await Promise.allSettled([
        service.request(body),
        service.dispatch(chunk),
        service.advance(step),
        service.confirm(
          confirmation({ external_id: old.external_ids[0] ?? '', version: 'x', status: 'IN_PROGRESS', occurred_dt: service.clock.now() }),
        ),
      ]);
      const asked = new Set(service.deps.backend.commands.map(({ external_id }) => external_id));
      const older = await ends(service, old.update.id);
      for (const [external_id, end] of Object.entries(older)) {
        expect(end.startsWith('CANCELED SUPERSEDED')).toBe(!asked.has(external_id));
      }
      const devices = result?.status === 'fulfilled' ? Object.keys(await ends(service, result.value.id)) : [];
      expect(devices.sort()).toEqual(old.external_ids.filter((id) => !asked.has(id)).sort());
    }
  });
});
