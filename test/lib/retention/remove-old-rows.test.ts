import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import { addSeconds } from '../../../lib/clock.ts';
import { removeOldRows } from '../../../lib/retention/remove-old-rows.ts';
import { dryRunUpdate } from '../../../lib/update/plan/dry-run-update.ts';
import { retryUpdate } from '../../../lib/update/plan/retry-update.ts';
import { createTestDatabase } from '../../support/database.ts';
import { confirmation, givenDevices, givenFirmware, startOfTime, updateRequest } from '../../support/fixtures.ts';
import { createUpdateService } from '../../support/update-service.ts';

const { db } = await createTestDatabase();

const months = 24;
const days = (n: number) => n * 86_400;
/** A moment at which what happened when time began is old, by a day. */
const later = addSeconds(startOfTime, days(months * 31 + 1));

const rowsOf = async (table: string): Promise<number> => {
  const { rows } = await sql<{ n: number }>`SELECT count(*) AS n FROM ${sql.table(table)}`.execute(db);
  return rows[0]?.n ?? 0;
};
const removeAll = async (now = later, historyMonths = months) => {
  while (await removeOldRows(db, historyMonths, now));
};

beforeEach(async () => {
  await sql`
    TRUNCATE devices, device_firmwares, device_firmware_history, firmwares, updates, update_executions, update_dispatches, update_exclusions,
             update_late_success_counts, observations, device_firmware_counts, device_seen_counts, firmware_update_time_counts, outages CASCADE`.execute(
    db,
  );
  await sql`UPDATE removal_places SET after_id = 0`.execute(db);
});

/** An update of three devices that has ended: one has succeeded, one has failed, and one was seen late. */
const givenEnded = async () => {
  const service = createUpdateService(db);
  const given = await service.givenSent({ devices: 3 });
  const [first = '', second = '', third = ''] = given.external_ids;
  const { version } = given.firmware;
  await service.confirm(
    confirmation({ external_id: first, version }),
    confirmation({ external_id: second, version: '0.0.1', status: 'FAILED', detail: 'flash is full' }),
    confirmation({ external_id: third, version: '0.0.1', status: 'FAILED', detail: 'flash is full' }),
  );
  service.clock.advance(30);
  await service.advance(given.message);
  await service.confirm(confirmation({ external_id: third, version, occurred_dt: service.clock.now() }));
  return { ...given, service, id: given.update.id };
};

describe('old executions', () => {
  it('go with their dispatches and exclusions; the update stays, and says the same of them', async () => {
    const { service, id } = await givenEnded();
    await sql`INSERT INTO update_exclusions VALUES (${id}, 'scooter', 'S-x', 'UNKNOWN_DEVICE')`.execute(db);
    const before = await service.find(id);
    expect(before).toMatchObject({
      ...{ status: 'COMPLETED', counts: { SUCCEEDED: 1, FAILED: 2 }, late_successes: 1, executions_removed_dt: null },
      reasons: [
        { status: 'FAILED', reason: 'DEVICE_FAILED', count: 2, texts: [{ text: 'flash is full', count: 2 }] },
        { status: 'SUCCEEDED', reason: null, count: 1 },
      ],
    });

    await removeAll();

    expect(await Promise.all(['update_executions', 'update_dispatches', 'update_exclusions'].map(rowsOf))).toEqual([0, 0, 0]);
    expect(await service.find(id)).toEqual({ ...before, executions_removed_dt: later, pace_per_minute: 0 });
  });

  it('of an update that ended under an earlier release are counted before they go', async () => {
    const { service, id } = await givenEnded();
    await db.updateTable('updates').set({ final_counts: null, final_figures: null }).execute();
    const before = await service.find(id);
    await removeAll();
    expect(await service.find(id)).toEqual({ ...before, executions_removed_dt: later, pace_per_minute: 0 });
  });

  it('stay to the last day that is kept, for ever when nothing is removed, and as long as one of their update has not ended', async () => {
    const { service, id } = await givenEnded();
    const { update: open } = await service.givenSent({ devices: 2 });
    await removeAll(addSeconds(startOfTime, days(months * 31)));
    await removeAll(later, 0);
    expect(await rowsOf('update_executions')).toBe(5);
    await removeAll();
    expect((await service.executions(open.id)).map(({ status }) => status)).toEqual(['IN_PROGRESS', 'IN_PROGRESS']);
    expect(await service.executions(id)).toEqual([]);
    expect(await rowsOf('updates')).toBe(2);
  });

  it('go in batches, and what rests on all of them is refused from the first one on', async () => {
    const { service, id, firmware } = await givenEnded();
    await sql`
      INSERT INTO update_executions (update_id, device_id, hardware_type, status, queued_dt, finished_dt)
      SELECT ${id}, n, 'vega_mcu', 'FAILED', ${startOfTime}, ${startOfTime} FROM generate_series(1000, 4999) n`.execute(db);
    expect(await removeOldRows(db, months, later)).toBe(true);
    expect(await rowsOf('update_executions')).toBe(2_003);

    const request = { firmware_id: firmware.id, targets: { filter: { failed_in_update_id: id } } };
    const refusal = { code: 'update.executions_removed' };
    await expect(service.request(request)).rejects.toMatchObject(refusal);
    await expect(dryRunUpdate({ db, now: () => startOfTime }, updateRequest(request), undefined)).rejects.toMatchObject(refusal);
    const retry = { comment: '', idempotency_key: undefined, created_by: 'admin', request_id: 'r' };
    await expect(retryUpdate(service.deps, id, retry)).rejects.toMatchObject(refusal);
  });

  it('that failed block a device for as long as they are kept', async () => {
    const service = createUpdateService(db);
    const firmware = await givenFirmware(db);
    const external_ids = await givenDevices(db);
    const ask = () => service.request({ firmware_id: firmware.id, targets: { external_ids } });
    for (let failure = 0; failure < 3; failure += 1) {
      await ask();
      await sql`
        UPDATE update_executions SET status = 'FAILED', phase = 'ended', finished_dt = ${startOfTime} WHERE status = 'QUEUED'`.execute(db);
      await sql`UPDATE updates SET status = 'COMPLETED', finished_dt = ${startOfTime}`.execute(db);
    }
    await expect(ask()).rejects.toMatchObject({ options: { answer: { not_eligible: { BLOCKED: 1 } } } });
    await removeAll();
    expect((await ask()).counts.QUEUED).toBe(1);
  });
});

describe('old outages', () => {
  const noted = async () => (await db.selectFrom('outages').select('cause').orderBy('id').execute()).map(({ cause }) => cause);
  const outage = (cause: string, update_id: number | null, over: number | null) => ({
    ...{ cause, update_id, began_dt: startOfTime, seen_dt: startOfTime, ended_dt: over === null ? null : addSeconds(startOfTime, over) },
  });

  it('go when they were over so long ago, also those whose end nobody has noticed', async () => {
    const { id } = await givenEnded();
    const rows = [outage('walk', id, 60), outage('backend', null, 60), outage('signing', null, null), outage('storage', null, days(40))];
    await db.insertInto('outages').values(rows).execute();
    await removeAll();
    expect(await noted()).toEqual(['storage']);
  });

  it('stay for an update that has met them and has not ended, and that alone', async () => {
    const { id, service } = await givenEnded();
    const { update: open } = await service.givenSent();
    await db
      .updateTable('updates')
      .set({ created_dt: addSeconds(startOfTime, -60) })
      .where('id', '=', open.id)
      .execute();
    const rows = [outage('walk', id, 60), outage('walk', open.id, 60), outage('backend', null, 60)];
    await db.insertInto('outages').values(rows).execute();
    await removeAll();
    expect(await noted()).toEqual(['walk', 'backend']);
  });
});

describe('old history of devices', () => {
  const versions = async (external_id: string) => {
    const { rows } = await sql<{ version: string }>`
      SELECT h.reported_version AS version FROM device_firmware_history h JOIN devices d ON d.id = h.device_id
      WHERE d.external_id = ${external_id} ORDER BY h.id`.execute(db);
    return rows.map(({ version }) => version);
  };
  /** A device reports these versions, on these days. */
  const givenHistory = async (...reports: (readonly [version: string, day: number])[]) => {
    const service = createUpdateService(db);
    const [external_id = ''] = await givenDevices(db);
    let today = 0;
    for (const [version, day] of reports) {
      service.clock.advance(days(day - today));
      today = day;
      await service.confirm(confirmation({ external_id, version, occurred_dt: service.clock.now() }));
    }
    return external_id;
  };

  it('is what a device ran before something that is old itself: what it ran when the kept months began stays', async () => {
    const external_id = await givenHistory(['1', 0], ['2', 10], ['3', 20], ['4', 400]);
    await removeAll(addSeconds(startOfTime, days(months * 31 + 15)));
    expect(await versions(external_id)).toEqual(['2', '3', '4']);
    await removeAll(addSeconds(startOfTime, days(months * 31 + 30)));
    expect(await versions(external_id)).toEqual(['3', '4']);
  });

  it('never has the last thing that is known of a device', async () => {
    const [first, second] = [await givenHistory(['1', 0]), await givenHistory(['1', 0], ['2', 1])];
    await removeAll(addSeconds(startOfTime, days(10_000)));
    expect([await versions(first), await versions(second)]).toEqual([['1'], ['2']]);
  });

  it('goes once through all rows, however many batches it takes', async () => {
    await givenDevices(db, 3);
    await sql`
      INSERT INTO device_firmware_history (device_id, hardware_type, reported_version, firmware_update_dt, observed_dt, source)
      SELECT d.id, 'vega_mcu', n::text, ${startOfTime}, ${startOfTime}, 'confirmation' FROM generate_series(1, 1500) n, devices d
      ORDER BY n + 0`.execute(db);
    await removeAll();
    const { rows } = await sql<{ v: string }>`SELECT reported_version AS v FROM device_firmware_history`.execute(db);
    expect(rows.map(({ v }) => v)).toEqual(['1500', '1500', '1500']);
  });
});

it('old observations go, and what they found out stays with the device', async () => {
  const [external_id = ''] = await givenDevices(db);
  const service = createUpdateService(db);
  await service.confirm(confirmation({ external_id, version: '1' }));
  const insert = async (status: string, finished_dt: Date | null) => {
    const { rows } = await sql<{ id: number }>`
      INSERT INTO observations
        (status, filter, add_unknown, maximum_per_minute, comment, request_hash, request_id, created_by, created_dt, finished_dt, due_dt)
      VALUES (${status}, '{}', false, 1, '', 'h', 'r', 'x', ${startOfTime}, ${finished_dt}, ${finished_dt ? null : startOfTime})
      RETURNING id`.execute(db);
    return rows[0]?.id;
  };
  const old = await insert('COMPLETED', startOfTime);
  const open = await insert('IN_PROGRESS', null);
  await sql`UPDATE device_firmware_history SET observation_id = ${old}`.execute(db);

  await removeAll();

  expect((await db.selectFrom('observations').select('id').execute()).map(({ id }) => id)).toEqual([open]);
  const history = await db.selectFrom('device_firmware_history').select(['reported_version', 'observation_id']).execute();
  expect(history).toEqual([{ reported_version: '1', observation_id: null }]);
});

describe('counts that are nought', () => {
  it('go over all their shards together, and the others stay', async () => {
    await sql`
      INSERT INTO device_firmware_counts VALUES
        ('vega_mcu', 'a', 0, 3), ('vega_mcu', 'a', 1, -3), ('vega_mcu', 'b', 0, 3), ('vega_mcu', 'b', 1, -2), ('vega_gsm', 'a', 0, 1)`.execute(
      db,
    );
    await sql`
      INSERT INTO device_seen_counts VALUES
        ('scooter', '2026-01-01', 0, 1), ('scooter', '2026-01-01', 1, -1), ('scooter', '2026-01-02', 0, 0), ('cabinet', '2026-01-01', 0, 1)`.execute(
      db,
    );
    await removeAll();
    const { rows } = await sql`
      SELECT reported_version AS version, shard, device_count AS n FROM device_firmware_counts ORDER BY 1, 2`.execute(db);
    expect(rows).toEqual([
      { version: 'a', shard: 0, n: 1 },
      { version: 'b', shard: 0, n: 3 },
      { version: 'b', shard: 1, n: -2 },
    ]);
    expect(await rowsOf('device_seen_counts')).toBe(1);
  });

  it('stay right beside reports that move them at the same moment', async () => {
    const external_ids = await givenDevices(db, 20);
    const service = createUpdateService(db);
    for (let round = 1; round <= 8; round += 1) {
      service.clock.advance(60);
      const occurred_dt = service.clock.now();
      const reports = external_ids.map((external_id) => confirmation({ external_id, version: `${round % 3}`, occurred_dt }));
      await Promise.all([
        ...[0, 5, 10, 15].map((first) => service.confirm(...reports.slice(first, first + 5))),
        ...Array.from({ length: 4 }, () => removeOldRows(db, months, startOfTime)),
      ]);
    }
    const { rows } = await sql`
      SELECT reported_version AS version, sum(device_count)::integer AS n FROM device_firmware_counts
      GROUP BY 1 HAVING sum(device_count) <> 0`.execute(db);
    expect(rows).toEqual([{ version: '2', n: 20 }]);
  });
});

it('the walk of an update removes nothing while it runs, and goes on after its end until nothing old is left', async () => {
  const service = createUpdateService(db);
  const left = [true, true, false];
  let batches = 0;
  const removeOldRows = async () => {
    batches += 1;
    return left.shift() ?? false;
  };
  const { message, external_ids, firmware } = await service.givenSent({ devices: 1 });
  const step = (next: unknown) => service.advance(next, { removeOldRows });
  service.clock.advance(5);
  await step(message);
  expect(batches).toBe(0);
  const occurred_dt = service.clock.now();
  await service.confirm(confirmation({ external_id: external_ids[0] ?? '', version: firmware.version, occurred_dt }));
  for (let [next] = service.deps.advances.take(); next; [next] = service.deps.advances.take()) {
    service.clock.advance(5);
    await step(next);
  }
  expect(batches).toBe(3);
});
