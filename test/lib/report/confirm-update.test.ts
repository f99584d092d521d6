import fc from 'fast-check';
import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import { addSeconds } from '../../../lib/clock.ts';
import { registerDevices } from '../../../lib/fleet/register-devices.ts';
import type { Confirmation } from '../../../lib/report/confirmation.ts';
import { createTestDatabase } from '../../support/database.ts';
import { actor, confirmation, givenDevices, givenFirmware, startOfTime } from '../../support/fixtures.ts';
import { untilWaiting } from '../../support/locks.ts';
import { createRandom, createUpdateService, type UpdateService } from '../../support/update-service.ts';

const { db, takeStatements } = await createTestDatabase({ maxConnections: 20 });
let service: UpdateService;
beforeEach(() => {
  service = createUpdateService(db);
});

const at = (seconds: number) => addSeconds(startOfTime, seconds);

/** What a device runs now, without ids of rows. */
const running = async (external_id: string) =>
  (
    await db
      .selectFrom('device_firmwares as r')
      .innerJoin('devices as d', 'd.id', 'r.device_id')
      .select([
        'r.hardware_type',
        'r.firmware_id',
        'r.reported_version',
        'r.firmware_update_dt',
        'r.firmware_update_time',
        'r.observed_dt',
        'r.source',
      ])
      .where('d.external_id', '=', external_id)
      .execute()
  )[0];
const history = (external_id: string) =>
  db
    .selectFrom('device_firmware_history as h')
    .innerJoin('devices as d', 'd.id', 'h.device_id')
    .select(['h.reported_version', 'h.firmware_update_time', 'h.observed_dt'])
    .where('d.external_id', '=', external_id)
    .orderBy('h.id')
    .execute();

/** One device that was asked at 8:00:00. */
const givenAsked = async () => {
  const given = await service.givenSent();
  const [external_id = ''] = given.external_ids;
  const [execution] = given.executions;
  if (!execution) throw new Error('no execution');
  const stored = async () => (await service.executions(given.update.id))[0];
  const report = (more: Partial<Confirmation>) => confirmation({ external_id, version: given.firmware.version, ...more });
  return { ...given, external_id, execution, stored, report };
};

describe('a device that was asked to update', () => {
  it('runs the version wanted: SUCCEEDED, with the time from command to proof, and a row of history', async () => {
    const { firmware, external_id, execution, stored, report } = await givenAsked();
    service.clock.advance(50);
    const [outcome] = await service.confirm(report({ occurred_dt: at(42.5), detail: 'all well' }));
    expect(outcome).toEqual({
      external_id,
      hardware_type: 'vega_mcu',
      outcome: 'stored',
      execution: { id: execution.id, status: 'SUCCEEDED' },
    });
    expect(await stored()).toMatchObject({ status: 'SUCCEEDED', reason: null, detail: 'all well', finished_dt: at(50) });
    expect(await running(external_id)).toEqual({
      hardware_type: 'vega_mcu',
      firmware_id: firmware.id,
      reported_version: firmware.version,
      firmware_update_dt: at(42.5),
      firmware_update_time: 42.5,
      observed_dt: at(42.5),
      source: 'confirmation',
    });
    expect(await history(external_id)).toEqual([{ reported_version: firmware.version, firmware_update_time: 42.5, observed_dt: at(42.5) }]);
  });

  it.each([
    ['FAILED', 'FAILED', 'DEVICE_FAILED'],
    ['REJECTED', 'REJECTED', 'DEVICE_REJECTED'],
  ] as const)('says %s: so it is, and what it runs is not touched', async (status, stored_status, reason) => {
    const { external_id, stored, report } = await givenAsked();
    const [outcome] = await service.confirm(report({ status, occurred_dt: at(9), detail: 'CRC error' }));
    expect(outcome).toMatchObject({ outcome: 'stored', execution: { status: stored_status } });
    expect(await stored()).toMatchObject({ status: stored_status, reason, detail: 'CRC error' });
    expect(await running(external_id)).toBe(undefined);
  });

  it('says it is done but runs something else: FAILED with VERSION_MISMATCH, and what it runs is known', async () => {
    const { external_id, firmware, stored, report } = await givenAsked();
    await service.confirm(report({ version: 'something-else', occurred_dt: at(9), detail: 'flashed' }));
    expect(await stored()).toMatchObject({
      ...{ status: 'FAILED', reason: 'VERSION_MISMATCH' },
      detail: `wanted ${firmware.version}, reports something-else\nflashed`,
    });
    expect(await running(external_id)).toMatchObject({ reported_version: 'something-else', firmware_id: null, firmware_update_time: null });
  });

  it('says it is installing: nothing ends, and nothing is taken for what it runs', async () => {
    const { external_id, stored, report } = await givenAsked();
    const before = await stored();
    const [outcome] = await service.confirm(report({ status: 'IN_PROGRESS', occurred_dt: at(2) }));
    expect(outcome).toMatchObject({ outcome: 'unchanged', execution: { status: 'IN_PROGRESS' } });
    expect(await stored()).toEqual(before);
    expect(await running(external_id)).toBe(undefined);
  });

  it.each(['SUCCEEDED', 'FAILED', 'REJECTED'] as const)('said %s of another version before it was asked: no answer', async (status) => {
    const { stored, report } = await givenAsked();
    const before = await stored();
    await service.confirm(report({ status, version: 'old', occurred_dt: at(-1) }));
    expect(await stored()).toEqual(before);
  });

  it('ran the version wanted before it was asked: needs nothing more, and took no time that is below nothing', async () => {
    const { external_id, stored, report } = await givenAsked();
    await service.confirm(report({ occurred_dt: at(-3_600) }));
    expect(await stored()).toMatchObject({ status: 'SUCCEEDED' });
    expect((await running(external_id))?.firmware_update_time).toBe(0);
  });

  it('succeeds late, after FAILED: the device is corrected, the status is not', async () => {
    const { firmware, external_id, execution, stored, report } = await givenAsked();
    await service.confirm(report({ status: 'FAILED', occurred_dt: at(5) }));
    const failed = await stored();
    service.clock.advance(700);
    for (const execution_id of [undefined, execution.id]) {
      const [outcome] = await service.confirm(report({ occurred_dt: at(execution_id ? 601 : 600), execution_id }));
      expect(outcome).toMatchObject({ outcome: 'stored' });
      expect(await stored()).toEqual({ ...failed, late_success_dt: at(700) });
    }
    expect(await running(external_id)).toMatchObject({ firmware_id: firmware.id, firmware_update_dt: at(600), observed_dt: at(601) });
  });

  it('does not succeed late by what is older than the latest news of the device, however often and whenever it comes', async () => {
    const { external_id, execution, stored, report } = await givenAsked();
    service.clock.advance(40);
    await service.confirm(report({ version: '0.0.1', occurred_dt: at(30), execution_id: execution.id }));
    const failed = await stored();
    expect(failed).toMatchObject({ status: 'FAILED', reason: 'VERSION_MISMATCH', late_success_dt: null });
    const older = report({ occurred_dt: at(20), execution_id: execution.id });
    expect(await service.confirm(older)).toMatchObject([{ outcome: 'outdated' }]);
    // It comes to run that version another way, which no execution that has ended takes for its own.
    await sql`UPDATE device_firmwares SET reported_version = ${older.version}
      WHERE device_id = (SELECT id FROM devices WHERE external_id = ${external_id})`.execute(db);
    expect(await service.confirm(older)).toMatchObject([{ outcome: 'outdated' }]);
    expect(await stored()).toEqual(failed);
  });

  it.each([
    ['TIMED_OUT', 'NOT_CONFIRMED'],
    ['CANCELED', 'UPDATE_CANCELED'],
  ])('succeeds at the very moment in which it ends as %s: a late success, and its outcome says so', async (status, reason) => {
    const { firmware, external_id, execution, stored, report } = await givenAsked();
    const ending = await db.startTransaction().execute();
    await sql`UPDATE update_executions SET status = ${status}, reason = ${reason}, finished_dt = ${at(60)} WHERE id = ${execution.id}`.execute(
      ending,
    );
    const confirming = service.confirm(report({ occurred_dt: at(59) }));
    await untilWaiting(db, 1);
    await ending.commit().execute();
    expect(await confirming).toMatchObject([{ outcome: 'stored', execution: { id: execution.id, status } }]);
    expect(await stored()).toMatchObject({ status, reason, late_success_dt: service.clock.now() });
    expect(await running(external_id)).toMatchObject({ firmware_id: firmware.id });
  });

  it('repeats itself: the first counts, the second changes nothing, in one call as in two', async () => {
    const { external_id, stored, report } = await givenAsked();
    const success = report({ occurred_dt: at(7) });
    const outcomes = await service.confirm(success, success);
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['stored', 'unchanged']);
    const before = [await stored(), await running(external_id), await history(external_id)];
    service.clock.advance(100);
    expect(await service.confirm(success, success)).toMatchObject([{ outcome: 'unchanged' }, { outcome: 'unchanged' }]);
    expect([await stored(), await running(external_id), await history(external_id)]).toEqual(before);
    expect(await history(external_id)).toHaveLength(1);
  });

  it('ends an execution by its first end, in whatever order a batch tells it', async () => {
    for (const order of ['forwards', 'backwards']) {
      const { stored, report } = await givenAsked();
      const asked = service.clock.now();
      service.clock.advance(3);
      const reports = [
        report({ status: 'IN_PROGRESS', occurred_dt: addSeconds(asked, 1) }),
        report({ status: 'FAILED', occurred_dt: addSeconds(asked, 2) }),
        report({ status: 'SUCCEEDED', occurred_dt: addSeconds(asked, 3) }),
      ];
      const outcomes = await service.confirm(...(order === 'forwards' ? reports : reports.toReversed()));
      expect(outcomes).toHaveLength(3);
      expect(await stored()).toMatchObject({ status: 'FAILED', reason: 'DEVICE_FAILED' });
    }
  });

  it('an execution that waits for its turn is not ended by words about another one, but by the version wanted', async () => {
    const { external_ids, firmware, update } = await service.given();
    const [external_id = ''] = external_ids;
    await service.confirm(confirmation({ external_id, version: firmware.version, status: 'FAILED', occurred_dt: at(1) }));
    await service.confirm(confirmation({ external_id, version: 'other', occurred_dt: at(2) }));
    expect((await service.executions(update.id))[0]).toMatchObject({ status: 'QUEUED', reason: null });
    await service.confirm(confirmation({ external_id, version: firmware.version, occurred_dt: at(3) }));
    expect((await service.executions(update.id))[0]).toMatchObject({ status: 'SUCCEEDED', sent_dt: null });
    expect((await running(external_id))?.firmware_update_time).toBe(null);
  });
});

describe('what a device runs', () => {
  it('is stored for devices that nobody asked to update, also when the version is in no catalogue', async () => {
    const firmware = await givenFirmware(db);
    const [known = '', unknown = ''] = await givenDevices(db, 2);
    const outcomes = await service.confirm(
      confirmation({ external_id: known, version: firmware.version }),
      confirmation({ external_id: unknown, version: 'home-made' }),
    );
    expect(outcomes).toEqual([
      { external_id: known, hardware_type: 'vega_mcu', outcome: 'stored' },
      { external_id: unknown, hardware_type: 'vega_mcu', outcome: 'stored' },
    ]);
    expect(await running(known)).toMatchObject({ firmware_id: firmware.id, firmware_update_time: null });
    expect(await running(unknown)).toMatchObject({ firmware_id: null, reported_version: 'home-made' });
  });

  it('is never overwritten by what was true earlier', async () => {
    const [external_id = ''] = await givenDevices(db, 1);
    service.clock.advance(200);
    await service.confirm(confirmation({ external_id, version: '2', occurred_dt: at(100) }));
    const [outcome] = await service.confirm(confirmation({ external_id, version: '1', occurred_dt: at(99) }));
    expect(outcome).toMatchObject({ outcome: 'outdated' });
    expect(await running(external_id)).toMatchObject({ reported_version: '2', observed_dt: at(100) });
    expect(await history(external_id)).toHaveLength(1);
  });

  it('keeps the time since when, while it is seen again and again', async () => {
    const [external_id = ''] = await givenDevices(db, 1);
    service.clock.advance(30);
    for (const seconds of [10, 20, 30]) await service.confirm(confirmation({ external_id, version: '2', occurred_dt: at(seconds) }));
    expect(await running(external_id)).toMatchObject({ firmware_update_dt: at(10), observed_dt: at(30) });
    expect(await history(external_id)).toHaveLength(1);
  });

  it('has a row of history for each change of a batch', async () => {
    const [external_id = ''] = await givenDevices(db, 1);
    service.clock.advance(3);
    await service.confirm(
      confirmation({ external_id, version: '3', occurred_dt: at(3) }),
      confirmation({ external_id, version: '1', occurred_dt: at(1) }),
      confirmation({ external_id, version: '2', occurred_dt: at(2) }),
    );
    expect((await history(external_id)).map(({ reported_version }) => reported_version)).toEqual(['1', '2', '3']);
    expect(await running(external_id)).toMatchObject({ reported_version: '3' });
  });

  it('is the same whatever the order and the batches in which reports come', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = createRandom(seed);
        const [external_id = ''] = await givenDevices(db, 1);
        const reports = Array.from({ length: 8 }, () =>
          confirmation({
            external_id,
            version: `${Math.floor(random.between(1, 5))}`,
            occurred_dt: at(Math.floor(random.between(-9, 0))),
          }),
        );
        const [latest] = reports.toSorted((a, b) => b.occurred_dt.getTime() - a.occurred_dt.getTime() || (a.version < b.version ? 1 : -1));
        const queue = random.shuffled(reports);
        while (queue.length > 0) await service.confirm(...queue.splice(0, Math.ceil(random.between(0, 4))));
        expect(await running(external_id)).toMatchObject({ reported_version: latest?.version, observed_dt: latest?.occurred_dt });
      }),
      { numRuns: 25 },
    );
  });
});

describe('a batch of reports', () => {
  it('refuses the wrong ones one by one, in order, and stores the others', async () => {
    const { external_id, execution, firmware, stored, report } = await givenAsked();
    const other = await givenAsked();
    const outcomes = await service.confirm(
      report({ external_id: 'nobody' }),
      report({ kind: 'cabinet' }),
      report({ hardware_type: 'toaster' }),
      report({ execution_id: 2_000_000_000 }),
      report({ execution_id: other.execution.id }),
      report({ hardware_type: 'vega_gsm', execution_id: execution.id }),
      report({ occurred_dt: at(0) }),
    );
    expect(outcomes.map(({ outcome, code }) => [outcome, code])).toEqual([
      ['refused', 'device.not_found'],
      ['refused', 'device.not_found'],
      ['refused', 'hardware_type.unknown'],
      ['refused', 'execution.not_found'],
      ['refused', 'execution.not_found'],
      ['refused', 'execution.not_found'],
      ['stored', undefined],
    ]);
    for (const { message, outcome } of outcomes) if (outcome === 'refused') expect(message).toMatch(/\w/);
    expect(await stored()).toMatchObject({ status: 'SUCCEEDED' });
    expect(await running(external_id)).toMatchObject({ firmware_id: firmware.id, observed_dt: at(0) });
    expect(await other.stored()).toMatchObject({ status: 'IN_PROGRESS' });
    expect(await running(other.external_id)).toBe(undefined);
  });

  it('never lets a device speak for another one: a foreign execution id changes neither', async () => {
    const victim = await givenAsked();
    const { external_id, report } = await givenAsked();
    for (const status of ['SUCCEEDED', 'FAILED', 'REJECTED', 'IN_PROGRESS'] as const) {
      await service.confirm(report({ status, version: victim.firmware.version, execution_id: victim.execution.id }));
    }
    expect(await victim.stored()).toMatchObject({ status: 'IN_PROGRESS' });
    expect(await running(external_id)).toBe(undefined);
  });

  it('with words that PostgreSQL cannot store is stored all the same', async () => {
    const { stored, report } = await givenAsked();
    await service.confirm(report({ status: 'FAILED', occurred_dt: at(1), detail: `${'x'.repeat(1_999)}\u{1F6F4}${'y'.repeat(5_000)}` }));
    expect((await stored())?.detail).toHaveLength(2_000);
    expect((await stored())?.detail?.startsWith('x'.repeat(1_999))).toBe(true);
  });

  it.each([1, 1_000])('of %i reports takes 7 statements, BEGIN and COMMIT among them', async (devices) => {
    const { external_ids, firmware } = await service.givenSent({ devices });
    await db.selectFrom('updates').select('id').limit(1).execute();
    takeStatements();
    const outcomes = await service.confirm(...external_ids.map((external_id) => confirmation({ external_id, version: firmware.version })));
    expect(takeStatements()).toHaveLength(7);
    expect(outcomes.every(({ outcome }) => outcome === 'stored')).toBe(true);
  });
});

describe('reports at one moment', () => {
  it('about the same devices in different orders never wait in a circle, and the latest is what is known', async () => {
    const random = createRandom(42);
    for (let round = 0; round < 10; round += 1) {
      const { external_ids, firmware, update } = await service.givenSent({ devices: 50 });
      const asked = service.clock.now();
      service.clock.advance(7);
      const batches = Array.from({ length: 8 }, (_, i) =>
        random
          .shuffled(external_ids)
          .map((external_id) => confirmation({ external_id, version: firmware.version, occurred_dt: addSeconds(asked, i) })),
      );
      const outcomes = (await Promise.all(batches.map((batch) => service.confirm(...batch)))).flat();
      expect(outcomes).toHaveLength(400);
      expect(await service.find(update.id)).toMatchObject({ counts: { SUCCEEDED: 50 } });
      for (const external_id of external_ids.slice(0, 5)) {
        expect(await running(external_id)).toMatchObject({ observed_dt: addSeconds(asked, 7) });
        expect(await history(external_id)).toHaveLength(1);
      }
    }
  });

  it('and a registration of the same devices do not wait for each other in a circle', async () => {
    // Known to the service in another order than that of their names.
    const names = ['c', 'b', 'a'].map((letter) => `circle-${letter}`);
    for (const external_id of names) await givenDevices(db, 1, { external_id });
    const holder = await db.startTransaction().execute();
    await sql`SELECT FROM devices WHERE external_id = 'circle-b' FOR UPDATE`.execute(holder);
    const confirming = service.confirm(...names.map((external_id) => confirmation({ external_id, version: '1' })));
    await untilWaiting(db, 1);
    const registering = registerDevices(
      service.deps,
      names.map((external_id) => ({ kind: 'scooter', external_id, version: 2, channel: 'telematics' })),
      actor,
    );
    await untilWaiting(db, 2);
    await holder.rollback().execute();
    expect(await confirming).toMatchObject([{ outcome: 'stored' }, { outcome: 'stored' }, { outcome: 'stored' }]);
    expect(await registering).toMatchObject({ changed: 3 });
  });

  it('20 times the same success: one change, one row of history', async () => {
    const { external_id, report, stored } = await givenAsked();
    const outcomes = (await Promise.all(Array.from({ length: 20 }, () => service.confirm(report({ occurred_dt: at(4) }))))).flat();
    expect(outcomes.map(({ outcome }) => outcome).sort()).toEqual(['stored', ...Array.from({ length: 19 }, () => 'unchanged')]);
    expect(await history(external_id)).toHaveLength(1);
    expect(await stored()).toMatchObject({ status: 'SUCCEEDED' });
  });

  it('success and failure at once: one of them wins, and both answers say which', async () => {
    for (let round = 0; round < 10; round += 1) {
      const { report, stored, execution } = await givenAsked();
      const outcomes = await Promise.all([
        service.confirm(report({ occurred_dt: at(5), execution_id: execution.id })),
        service.confirm(report({ status: 'FAILED', occurred_dt: at(5), execution_id: execution.id })),
      ]);
      const status = (await stored())?.status;
      expect(['SUCCEEDED', 'FAILED']).toContain(status);
      for (const [outcome] of outcomes) expect(outcome?.execution?.status).toBe(status);
    }
  });
});
