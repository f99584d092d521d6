import { sql } from 'kysely';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openGate } from '../../../../lib/update/backend-gate.ts';
import { dryRunUpdate } from '../../../../lib/update/plan/dry-run-update.ts';
import { cancelUpdate } from '../../../../lib/update/walk/control-update.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { actor, confirmation, givenFirmware, startOfTime, updateRequest } from '../../../support/fixtures.ts';
import { createUpdateService } from '../../../support/update-service.ts';

const { db } = await createTestDatabase();
/** More than a call and a step end. */
const devices = 13_000;
const all = { filter: { kind: 'scooter' } };

beforeAll(async () => {
  await sql`
    INSERT INTO devices (kind, external_id, version, channel, created_dt)
    SELECT 'scooter', 'P-' || n, 1, 'telematics', ${startOfTime} FROM generate_series(1, ${devices}::integer) n`.execute(db);
});

beforeEach(async () => {
  await sql`TRUNCATE updates, update_executions, update_dispatches, update_exclusions CASCADE`.execute(db);
  await db.updateTable('backend_gate').set(openGate(startOfTime)).execute();
});

/** An update of all devices, 100 of which are asked. */
const given = async () => {
  const service = createUpdateService(db);
  const firmware = await givenFirmware(db);
  const { id } = await service.request({ firmware_id: firmware.id, targets: all, abort: [], rollout: { maximum_per_minute: 6_000 } });
  const [first] = service.deps.advances.take();
  await service.advance(first);
  const asked = service.deps.dispatches.take();
  for (const message of asked) await service.dispatch(message);
  service.deps.advances.take();
  const commanded = service.deps.backend.commands.length;
  expect(commanded).toBeGreaterThan(0);

  /** Does the steps whose messages are there, until none is; answers how many executions each has ended. */
  const walk = async () => {
    const ended: number[] = [];
    for (let [next] = service.deps.advances.take(); next && ended.length < 10; [next] = service.deps.advances.take()) {
      const before = (await service.find(id)).counts.CANCELED;
      await service.advance(next);
      ended.push((await service.find(id)).counts.CANCELED - before);
      if (ended.at(-1) === 0) break;
    }
    return ended;
  };
  return {
    service,
    firmware,
    id,
    commanded,
    walk,
    cancel: (force = false) => cancelUpdate(service.deps, id, { force, reason: null }, actor),
  };
};

describe('the brake of a large update', () => {
  it('a cancel is true at once, ends a bounded number itself, says how many follow, and each step ends a bounded number', async () => {
    const { service, id, commanded, cancel, walk } = await given();
    expect(await cancel()).toMatchObject({
      ...{ changed: true, canceled: 2_000, canceling: devices - commanded - 2_000 },
      update: { status: 'CANCELED', counts: { CANCELED: 2_000, IN_PROGRESS: commanded, QUEUED: devices - commanded - 2_000 } },
    });
    expect((await walk()).slice(0, 2)).toEqual([10_000, devices - commanded - 12_000]);
    expect((await service.find(id)).counts).toMatchObject({ CANCELED: devices - commanded, IN_PROGRESS: commanded, QUEUED: 0 });
  });

  it('nobody is asked any more from the answer on, also of chunks that are on their way', async () => {
    const { service, commanded, cancel, walk } = await given();
    const { deps } = service;
    await cancel();
    const messages = [];
    for (const message of deps.dispatches.take()) messages.push(message);
    await walk();
    for (const message of [...messages, ...deps.dispatches.take()]) await service.dispatch(message);
    expect(deps.backend.commands).toHaveLength(commanded);
  });

  it('with force, also those at work are ended by the steps; one that succeeds before its turn has succeeded', async () => {
    const { service, firmware, id, commanded, cancel, walk } = await given();
    // All are at work but for a few thousand.
    await sql`
      UPDATE update_executions SET status = 'IN_PROGRESS', phase = 'asked', sent_dt = ${startOfTime}, dispatch_id = (SELECT min(id) FROM update_dispatches)
      WHERE update_id = ${id} AND phase = 'waiting' AND device_id % 5 > 0`.execute(db);
    const answer = await cancel(true);
    expect(answer).toMatchObject({ canceled: 2_000, canceling: devices - 2_000, update: { status: 'CANCELED' } });
    expect(commanded).toBeLessThan(2_000);
    const { rows } = await sql<{ external_id: string }>`
      SELECT d.external_id FROM update_executions e JOIN devices d ON d.id = e.device_id
      WHERE e.update_id = ${id} AND e.phase = 'asked' ORDER BY e.id DESC LIMIT 1`.execute(db);
    await service.confirm(confirmation({ external_id: rows[0]?.external_id ?? '', version: firmware.version }));
    await walk();
    expect(await service.find(id)).toMatchObject({
      ...{ status: 'CANCELED', finished_dt: expect.any(Date) },
      counts: { CANCELED: devices - 1, SUCCEEDED: 1, QUEUED: 0, IN_PROGRESS: 0 },
    });
  });

  it('a firmware that is withdrawn stops it in the same way', async () => {
    const { service, firmware, id, commanded, walk } = await given();
    await db.updateTable('firmwares').set({ status: 'withdrawn' }).where('id', '=', firmware.id).execute();
    const { next_step } = await db.selectFrom('updates').select('next_step').where('id', '=', id).executeTakeFirstOrThrow();
    await service.deps.advances.send([{ update_id: id, step: next_step, created_dt: startOfTime }]);
    expect((await walk()).slice(0, 2)).toEqual([10_000, devices - commanded - 10_000]);
    expect(await service.find(id)).toMatchObject({
      ...{ status: 'ABORTED', reason: 'FIRMWARE_WITHDRAWN', counts: { CANCELED: devices - commanded, IN_PROGRESS: commanded } },
      reasons: [{ status: 'CANCELED', reason: 'FIRMWARE_WITHDRAWN', count: devices - commanded }, { status: 'IN_PROGRESS' }],
    });
  });

  it('what still waits is canceled, and not timed out, also when its deadline passes meanwhile', async () => {
    const { service, id, commanded, cancel, walk } = await given();
    await db.updateTable('updates').set({ queued_minutes: 0.1 }).where('id', '=', id).execute();
    await cancel();
    service.clock.advance(30);
    await walk();
    expect((await service.find(id)).counts).toMatchObject({ CANCELED: devices - commanded, TIMED_OUT: 0, IN_PROGRESS: commanded });
  });
});

describe('an update that is requested while another one is being canceled', () => {
  it('gets devices that are named at once, and in a dry run they are eligible; those at work stay with the old one', async () => {
    const { service, id, commanded, cancel } = await given();
    await cancel();
    const fix = await givenFirmware(db);
    const { rows } = await sql<{ external_id: string }>`
      SELECT external_id FROM devices d WHERE d.id IN (SELECT device_id FROM update_executions WHERE status IN ('QUEUED', 'IN_PROGRESS'))
      ORDER BY id LIMIT 9000`.execute(db);
    const targets = { external_ids: rows.map(({ external_id }) => external_id) };
    const atWork = await db.selectFrom('update_executions').select('device_id').where('phase', '=', 'asked').execute();
    expect(atWork).toHaveLength(commanded);
    const { eligible } = (await dryRunUpdate(
      { db, now: () => startOfTime },
      updateRequest({ firmware_id: fix.id, targets }),
      undefined,
    )) as { eligible: number };
    const update = await service.request({ firmware_id: fix.id, targets });
    expect(update.counts.QUEUED).toBe(eligible);
    expect(eligible + (update.not_eligible.UPDATE_IN_FLIGHT ?? 0)).toBe(9_000);
    expect(eligible).toBeGreaterThanOrEqual(9_000 - commanded);
    const { counts, reasons } = await service.find(id);
    expect(counts).toMatchObject({ CANCELED: 2_000 + eligible, IN_PROGRESS: commanded });
    expect(reasons).toContainEqual({ status: 'CANCELED', reason: 'UPDATE_CANCELED', count: 2_000 + eligible, texts: [] });
  });

  it('of more devices is told to ask again in a moment, and nothing is half done; after the brake it gets them all', async () => {
    const { service, commanded, cancel, walk } = await given();
    await cancel();
    const fix = await givenFirmware(db);
    const request = { firmware_id: fix.id, targets: all };
    await expect(service.request(request)).rejects.toMatchObject({ code: 'update.canceling', options: { retryAfterSeconds: 15 } });
    const { n } = await db.selectFrom('updates').select(sql<number>`count(*)`.as('n')).executeTakeFirstOrThrow();
    expect(n).toBe(1);
    await walk();
    expect(await service.request(request)).toMatchObject({
      counts: { QUEUED: devices - commanded },
      not_eligible: { UPDATE_IN_FLIGHT: commanded },
    });
  });
});
