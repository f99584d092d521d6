import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Trx } from '../../../lib/db/database.ts';
import { type ChangedFirmware, editFirmware, type FirmwareChange } from '../../../lib/firmware/edit-firmware.ts';
import { changeHardwareType } from '../../../lib/firmware/edit-hardware-type.ts';
import { changeGroup, deleteGroup } from '../../../lib/fleet/edit-group.ts';
import { insertGroup } from '../../../lib/fleet/group-queries.ts';
import { NewDevice } from '../../../lib/fleet/new-device.ts';
import { registerDevices } from '../../../lib/fleet/register-devices.ts';
import { tagDevices } from '../../../lib/fleet/tag-devices.ts';
import { registerFirmware } from '../../../lib/registration/register-firmware.ts';
import { changeDevice } from '../../../lib/update/change-device.ts';
import type { ExecutionFilter } from '../../../lib/update/execution-queries.ts';
import { getExecutions } from '../../../lib/update/get-update.ts';
import { heedFirmware, heedHardwareType, lookAgain } from '../../../lib/update/look-again.ts';
import { dryRunUpdate } from '../../../lib/update/plan/dry-run-update.ts';
import { wakeForCandidates } from '../../../lib/update/reach/wake-for-candidates.ts';
import { UpdateRequest } from '../../../lib/update/update-request.ts';
import { approveUpdate, cancelUpdate, pauseUpdate, resumeUpdate } from '../../../lib/update/walk/control-update.ts';
import { createAssemblyService } from '../../support/assembly-service.ts';
import { catalogueDeps, firmwareBytes } from '../../support/catalogue.ts';
import { createTestDatabase } from '../../support/database.ts';
import { actor, confirmation, givenDevices, givenFirmware, startOfTime } from '../../support/fixtures.ts';
import { untilWaiting } from '../../support/locks.ts';
import { TimedQueues } from '../../support/timed-queues.ts';
import { createUpdateService, type UpdateService } from '../../support/update-service.ts';

const { db, takeStatements } = await createTestDatabase();
let service: UpdateService;
/** Messages come when they are due, as from SQS. */
let queues: TimedQueues<'advances'>;
let zones = 0;
/** Of ten batches: 10,000 devices in `.ci/run` and the soak. */
const batchSize = process.env['SOAK'] === 'true' ? 1_000 : 30;

// Elsewhere a budget holds: steps have to look at zones.
const elsewhere = { name: 'elsewhere', time_zone: 'UTC', maximum_unavailable_percentage: 50, created_dt: startOfTime };
await db.insertInto('zones').values(elsewhere).execute();

beforeEach(async () => {
  service = createUpdateService(db);
  queues = new TimedQueues<'advances'>(service.clock.now, { maximumReceives: 10 });
  service.deps.advances.send = async (bodies, options) => queues.send('advances', bodies, options);
  await sql`UPDATE updates SET status = 'COMPLETED', finished_dt = ${startOfTime}, due_dt = NULL, open_group = NULL, looked_at_device_id = NULL
            WHERE finished_dt IS NULL`.execute(db);
  await sql`UPDATE update_executions SET phase = 'ended', status = 'CANCELED', finished_dt = ${startOfTime}, next_attempt_dt = NULL
            WHERE phase <> 'ended'`.execute(db);
  await sql`DELETE FROM update_candidates`.execute(db);
});

const givenZone = async () => {
  zones += 1;
  const name = `place-${zones}`;
  await db.insertInto('zones').values({ name, time_zone: 'UTC', created_dt: startOfTime }).execute();
  return name;
};

const request = (firmware_id: number, filter: object, more: object = {}) =>
  service.request({ firmware_id, targets: { filter }, continuous: true, ...more });

const vegaMcu = () => db.selectFrom('hardware_types').selectAll().where('name', '=', 'vega_mcu').executeTakeFirstOrThrow();

let steps = 0;
/** Time passes: every message is taken when it is due, and commands are handed over. */
const passes = async (seconds: number) => {
  const until = service.clock.now().getTime() + seconds * 1_000;
  for (let next = queues.first(); next && next.due.getTime() <= until; next = queues.first()) {
    const message = queues.receiveFirst(service.clock);
    if (!message) break;
    steps += 1;
    await service.advance(message.body);
    queues.remove(message);
    for (const dispatch of service.deps.dispatches.take()) await service.dispatch(dispatch);
  }
  service.clock.advance(Math.max(0, (until - service.clock.now().getTime()) / 1_000));
};

const statuses = async (update_id: number) =>
  Object.fromEntries((await service.executions(update_id)).map(({ external_id, status }) => [external_id, status]));
const runs = (external_id: string, version: string, more: object = {}) =>
  service.confirm(confirmation({ external_id, version, occurred_dt: service.clock.now(), ...more }));
const register = (...devices: object[]) =>
  registerDevices(
    { ...service.deps, wakeForCandidates: (trx: Trx) => wakeForCandidates(trx, service.deps.advances, service.clock.now()) },
    devices.map((device) => NewDevice.parse({ kind: 'scooter', version: 1, ...device })),
    actor,
  );
const edit = (id: number, what: FirmwareChange) =>
  editFirmware(
    {
      ...service.deps,
      heedFirmware: (trx: Trx, firmware: ChangedFirmware) => heedFirmware(trx, service.deps.advances, firmware, service.clock.now()),
    },
    id,
    what,
    actor,
  );
const change = (external_id: string, what: object) => changeDevice(service.deps, { kind: 'scooter', external_id }, what, actor);

/** A continuous update of a zone of its own that has updated its one device and rests. */
const givenResting = async (more: object = {}) => {
  const zone = await givenZone();
  const [first = ''] = await givenDevices(db, 1, { zone });
  const older = await givenFirmware(db);
  const firmware = await givenFirmware(db);
  const update = await request(firmware.id, { zone }, more);
  await passes(3);
  await service.confirmAsked(firmware.version);
  await passes(400);
  expect(await service.find(update.id)).toMatchObject({ status: 'IN_PROGRESS', finished_dt: null, walk: { due_dt: null, is_late: false } });
  expect(queues.messages).toEqual([]);
  return { zone, first, older, firmware, update };
};

describe('a continuous update', () => {
  it('stays open when its devices have ended, and rests: nothing is due, and no message is on its way', async () => {
    const { update, first } = await givenResting();
    expect((await service.find(update.id)).rests_dt).not.toBeNull();
    expect(await statuses(update.id)).toEqual({ [first]: 'SUCCEEDED' });
    steps = 0;
    await passes(86_400);
    expect(steps).toBe(0);
  });

  it('shows every time it has taken a device in, page by page, in each order', async () => {
    const { update, first, older } = await givenResting();
    await runs(first, older.version);
    await passes(15);
    const pagesOf = async (filter: Partial<ExecutionFilter>) => {
      const found = [];
      for (let cursor: string | null | undefined; cursor !== null; ) {
        const page = await getExecutions(
          db,
          { update_id: update.id, external_id: first, ...filter, cursor, limit: 1 },
          service.clock.now(),
        );
        found.push(...page.items.map(({ status }) => status));
        cursor = page.next_cursor;
      }
      return found;
    };
    expect(await pagesOf({})).toEqual(['SUCCEEDED', 'IN_PROGRESS']);
    expect(await pagesOf({ sort: 'id_descending' })).toEqual(['IN_PROGRESS', 'SUCCEEDED']);
    expect(await pagesOf({ sort: 'finished_dt_descending' })).toEqual(['SUCCEEDED', 'IN_PROGRESS']);
    expect(await pagesOf({ status: 'IN_PROGRESS' })).toEqual(['IN_PROGRESS']);
  });

  it('may be requested when no device matches it yet', async () => {
    const zone = await givenZone();
    const firmware = await givenFirmware(db);
    const update = await request(firmware.id, { zone });
    expect(update.counts.QUEUED).toBe(0);
    await passes(300);
    await register({ external_id: `${zone}-1`, zone });
    await passes(15);
    expect(await statuses(update.id)).toEqual({ [`${zone}-1`]: 'IN_PROGRESS' });
  });

  it.each<[string, (given: Awaited<ReturnType<typeof givenResting>>) => Promise<string>]>([
    [
      'is registered',
      async ({ zone }) => {
        await register({ external_id: `${zone}-new`, zone });
        return `${zone}-new`;
      },
    ],
    [
      'is moved into the zone',
      async ({ zone }) => {
        const [id = ''] = await givenDevices(db);
        await change(id, { zone });
        return id;
      },
    ],
    [
      'is moved into the zone by a registration',
      async ({ zone }) => {
        const [id = ''] = await givenDevices(db);
        await register({ external_id: id, zone });
        return id;
      },
    ],
    [
      'comes back from retirement',
      async ({ zone }) => {
        const [id = ''] = await givenDevices(db);
        await change(id, { zone, retired: true });
        await passes(300);
        await change(id, { retired: false });
        return id;
      },
    ],
    [
      'is seen on an older version after it was updated',
      async ({ first, older }) => {
        await runs(first, older.version);
        return first;
      },
    ],
  ])('takes in a device that %s, within two minutes and once', async (_, happens) => {
    const given = await givenResting();
    const external_id = await happens(given);
    await passes(15);
    const mine = (await service.executions(given.update.id)).filter((e) => e.external_id === external_id);
    expect(mine.filter(({ status }) => status === 'IN_PROGRESS')).toHaveLength(1);
    await service.confirmAsked(given.firmware.version);
    await passes(600);
    const after = (await service.executions(given.update.id)).filter((e) => e.external_id === external_id);
    expect(after).toHaveLength(mine.length);
    expect(queues.messages).toEqual([]);
  });

  it('takes in those that fit since the revisions of its firmware were corrected, and those that fit all', async () => {
    const zone = await givenZone();
    const [old = ''] = await givenDevices(db, 1, { zone, revision: 'B1' });
    const [unknown = ''] = await givenDevices(db, 1, { zone });
    const firmware = await givenFirmware(db, { revisions: ['B2'] });
    const update = await request(firmware.id, { zone });
    await passes(300);
    expect(await statuses(update.id)).toEqual({});
    await edit(firmware.id, { revisions: ['B1', 'B2'] });
    await passes(15);
    expect(await statuses(update.id)).toEqual({ [old]: 'IN_PROGRESS' });
    await edit(firmware.id, { revisions: null });
    await passes(120);
    expect(await statuses(update.id)).toEqual({ [old]: 'IN_PROGRESS', [unknown]: 'IN_PROGRESS' });
  });

  it('takes in those that a package fits since the revisions of one of its parts were corrected', async () => {
    const zone = await givenZone();
    const assemblies = createAssemblyService(db);
    const parts = await assemblies.givenParts();
    const [part = 0] = parts.map(({ id }) => id);
    await edit(part, { revisions: ['B2'] });
    const { firmware } = await assemblies.givenPackage({ parts: parts.map(({ id }) => ({ id })) });
    const [cabinet = ''] = await givenDevices(db, 1, { kind: 'cabinet', zone, revision: 'B1' });
    const update = await request(firmware.id, { kind: 'cabinet', zone });
    await passes(300);
    expect(await statuses(update.id)).toEqual({});
    await edit(part, { revisions: ['B1'] });
    await passes(15);
    expect(await statuses(update.id)).toEqual({ [cabinet]: 'QUEUED' });
  });

  it('takes in those that its hardware type fits since it was changed', async () => {
    const zone = await givenZone();
    const [second = ''] = await givenDevices(db, 1, { zone, version: 2 });
    const name = `type_of_${zone.replace('-', '_')}`;
    await db
      .insertInto('hardware_types')
      .values({ ...(await vegaMcu()), name, scooter_versions: [1] })
      .execute();
    const firmware = await givenFirmware(db, { hardware_type: name });
    const update = await request(firmware.id, { zone });
    await passes(300);
    const heed = (trx: Trx, type: string) => heedHardwareType(trx, service.deps.advances, type, service.clock.now());
    await changeHardwareType({ ...service.deps, heedHardwareType: heed }, name, { scooter_versions: [1, 2] }, actor);
    await passes(15);
    expect(await statuses(update.id)).toEqual({ [second]: 'IN_PROGRESS' });
  });

  it('takes in those whose version counts as older since its ordinal was corrected', async () => {
    const { zone, first, firmware } = await givenResting();
    const lateFix = await givenFirmware(db);
    await runs(first, lateFix.version);
    await passes(300);
    const update = await request(firmware.id, { zone }, { allow_downgrade: false });
    await passes(300);
    expect(await statuses(update.id)).toEqual({});
    await db
      .updateTable('firmwares')
      .set({ version_num: firmware.version_num + 1_000_000 })
      .where('id', '=', firmware.id)
      .execute();
    await edit(lateFix.id, { version_num: firmware.version_num + 500_000 });
    await passes(15);
    expect(await statuses(update.id)).toEqual({ [first]: 'IN_PROGRESS' });
  });

  it('takes in those whose version comes into the catalogue, where it leaves unknown versions out', async () => {
    const catalogue = catalogueDeps(db);
    const { zone, first } = await givenResting();
    await runs(first, `lost-and-found-${zone}`);
    const newest = await givenFirmware(db);
    const update = await request(newest.id, { zone }, { unknown_version: 'EXCLUDE', allow_downgrade: true, comment: 'back to it' });
    await passes(300);
    expect(await statuses(update.id)).toEqual({});
    const wake = (trx: Trx) => wakeForCandidates(trx, service.deps.advances, service.clock.now());
    const object = catalogue.storage.put(`firmwares/vega_mcu/lost-and-found-${zone}/firmware.bin`, firmwareBytes);
    await registerFirmware({ ...catalogue, wakeForCandidates: wake }, object);
    await passes(15);
    expect(await statuses(update.id)).toEqual({ [first]: 'IN_PROGRESS' });
  });

  it('takes in a device that gets the tag', async () => {
    const firmware = await givenFirmware(db);
    const [id = ''] = await givenDevices(db);
    const update = await request(firmware.id, { tags: { all: ['continuous-test'] } });
    await passes(300);
    const tagging = {
      ...service.deps,
      wakeForCandidates: (trx: Trx) => wakeForCandidates(trx, service.deps.advances, service.clock.now()),
    };
    await tagDevices(tagging, { kind: 'scooter', external_ids: [id], add: ['continuous-test'], remove: [] }, actor);
    await passes(15);
    expect(await statuses(update.id)).toEqual({ [id]: 'IN_PROGRESS' });
  });

  it('does not take in a device that was retired, moved away or updated otherwise before its turn', async () => {
    const { zone, update, firmware } = await givenResting();
    const [retired = '', moved = '', updated = ''] = [1, 2, 3].map((n) => `${zone}-away-${n}`);
    await register(...[retired, moved, updated].map((external_id) => ({ external_id, zone })));
    await change(retired, { retired: true });
    await change(moved, { zone: null });
    await runs(updated, firmware.version);
    await passes(300);
    expect(Object.keys(await statuses(update.id))).toHaveLength(1);
    expect(await db.selectFrom('update_candidates').selectAll().execute()).toEqual([]);
  });

  it('is woken at most once a minute, however many devices come, and misses none', async () => {
    const { zone, update } = await givenResting();
    let messages = 0;
    const { send } = service.deps.advances;
    service.deps.advances.send = async (bodies, options) => {
      messages += 1;
      await send(bodies, options);
    };
    steps = 0;
    for (let n = 0; n < 90; n += 1) {
      await register({ external_id: `${zone}-${n}`, zone });
      if (n % 10 === 0) await passes(1);
    }
    // 9 s: it was woken once; its steps send their own next ones.
    expect(messages - steps).toBe(1);
    await passes(120);
    expect(Object.keys(await statuses(update.id))).toHaveLength(91);
  });

  it('takes in devices that arrive in batches while it runs, each once', async () => {
    const { zone, update } = await givenResting({ rollout: { maximum_in_progress: 10 } });
    await Promise.all([
      ...Array.from({ length: 10 }, (_, batch) =>
        register(...Array.from({ length: batchSize }, (__, n) => ({ external_id: `${zone}-${batch}-${n}`, zone }))),
      ),
      (async () => {
        for (let n = 0; n < 20; n += 1) await passes(1);
      })(),
    ]);
    await passes(120);
    const { rows } = await sql<{ devices: number; executions: number }>`
      SELECT count(DISTINCT device_id) AS devices, count(*) AS executions FROM update_executions WHERE update_id = ${update.id}`.execute(
      db,
    );
    expect(rows[0]).toEqual({ devices: 10 * batchSize + 1, executions: 10 * batchSize + 1 });
  });

  it('takes in a device whose change was on its way when it was requested', async () => {
    const zone = await givenZone();
    const firmware = await givenFirmware(db);
    const [id = ''] = await givenDevices(db);
    let commit = () => {};
    const isReady = new Promise<void>((resolve) => {
      commit = resolve;
    });
    let begun = () => {};
    const hasBegun = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const changing = db.transaction().execute(async (trx) => {
      await sql`UPDATE devices SET zone = ${zone} WHERE external_id = ${id}`.execute(trx);
      begun();
      await isReady;
    });
    await hasBegun;
    const update = await request(firmware.id, { zone });
    await passes(2);
    commit();
    await changing;
    await passes(120);
    expect(await statuses(update.id)).toEqual({ [id]: 'IN_PROGRESS' });
  });

  it('stores no change and answers 503 when it cannot be woken; the change repeated wakes it', async () => {
    const [id = ''] = await givenDevices(db);
    const { zone, update, first, older } = await givenResting();
    const { send } = service.deps.advances;
    service.deps.advances.send = async () => {
      throw Object.assign(new Error('away'), { code: 'queue.unavailable' });
    };
    await expect(change(id, { zone })).rejects.toThrow('away');
    await expect(register({ external_id: `${zone}-1`, zone })).rejects.toThrow('away');
    await expect(runs(first, older.version)).rejects.toThrow('away');
    expect(await db.selectFrom('devices').selectAll().where('external_id', '=', `${zone}-1`).execute()).toEqual([]);
    expect(await db.selectFrom('update_candidates').selectAll().execute()).toEqual([]);
    service.deps.advances.send = send;
    await change(id, { zone });
    await runs(first, older.version);
    await passes(15);
    expect(await statuses(update.id)).toMatchObject({ [id]: 'IN_PROGRESS', [first]: 'IN_PROGRESS' });
  });

  it('shows it when its message was lost, and any next change sends it again', async () => {
    const { zone, update } = await givenResting();
    await register({ external_id: `${zone}-1`, zone });
    for (const message of [...queues.messages]) queues.remove(message);
    await passes(400);
    expect((await service.find(update.id)).walk.is_late).toBe(true);
    await register({ external_id: `${zone}-2`, zone });
    await passes(15);
    expect(Object.keys(await statuses(update.id))).toHaveLength(3);
  });

  it('costs a report no statement while it is at work, and one once a minute when it rests; none when there is none', async () => {
    const statementsOf = async (external_id: string, version: string) => {
      takeStatements();
      await runs(external_id, version);
      return takeStatements().length;
    };
    const [other = ''] = await givenDevices(db);
    const [one, two, three] = [await givenFirmware(db), await givenFirmware(db), await givenFirmware(db)];
    await statementsOf(other, one.version);
    const withNone = await statementsOf(other, two.version);
    const { update } = await givenResting();
    service.clock.advance(1);
    const whenItRests = await statementsOf(other, one.version);
    service.clock.advance(1);
    const whenAwake = await statementsOf(other, three.version);
    expect({ withNone, whenAwake, more: whenItRests - withNone }).toEqual({ withNone, whenAwake: withNone, more: 1 });
    await passes(120);
    expect(Object.keys(await statuses(update.id))).toHaveLength(1);
  });

  it('does not try a device again that has failed, until it runs another version', async () => {
    const { zone, update, firmware, older } = await givenResting();
    const external_id = `${zone}-failing`;
    await register({ external_id, zone });
    await passes(60);
    const [execution] = (await service.executions(update.id)).filter((e) => e.external_id === external_id);
    await runs(external_id, older.version, { status: 'FAILED', execution_id: execution?.id });
    await passes(300);
    await change(external_id, { tags: ['looked-at'] });
    await passes(300);
    expect((await service.executions(update.id)).filter((e) => e.external_id === external_id)).toHaveLength(1);
    const workshop = await givenFirmware(db);
    await db.updateTable('firmwares').set({ version_num: sql`version_num + 10000` }).where('id', '=', firmware.id).execute();
    await runs(external_id, workshop.version);
    await passes(120);
    const tries = (await service.executions(update.id)).filter((e) => e.external_id === external_id);
    expect(tries.map(({ status }) => status)).toEqual(['FAILED', 'IN_PROGRESS']);
  });

  it('takes a device in when another update that has it in flight is done with it', async () => {
    const zone = await givenZone();
    const [id = ''] = await givenDevices(db, 1, { zone });
    const other = await givenFirmware(db);
    await service.request({ firmware_id: other.id, targets: { external_ids: [id] } });
    await passes(3);
    const firmware = await givenFirmware(db);
    const update = await request(firmware.id, { zone });
    expect(update.not_eligible).toEqual({ UPDATE_IN_FLIGHT: 1 });
    await passes(600);
    expect(await statuses(update.id)).toEqual({});
    await runs(id, other.version);
    await passes(120);
    expect(await statuses(update.id)).toEqual({ [id]: 'IN_PROGRESS' });
  });

  it('leaves a device that two of one hardware type mean to the younger one, and takes it in when that is canceled', async () => {
    const zone = await givenZone();
    const [older, newer] = [await givenFirmware(db), await givenFirmware(db)];
    const one = await request(newer.id, { zone });
    const two = await request(newer.id, { zone, tags: { all: ['younger'] } });
    const gsm = await givenFirmware(db, { hardware_type: 'vega_gsm' });
    const three = await request(gsm.id, { zone });
    await passes(300);
    const [both, mine] = [`${zone}-both`, `${zone}-mine`];
    await register({ external_id: both, zone, tags: ['younger'] }, { external_id: mine, zone });
    await passes(120);
    expect(await statuses(one.id)).toEqual({ [mine]: 'IN_PROGRESS' });
    expect(await statuses(two.id)).toEqual({ [both]: 'IN_PROGRESS' });
    expect(await statuses(three.id)).toEqual({ [both]: 'IN_PROGRESS', [mine]: 'IN_PROGRESS' });
    await service.confirmAsked(newer.version);
    await cancelUpdate(service.deps, two.id, { force: false, reason: null }, actor);
    await passes(1);
    await runs(both, older.version);
    await passes(120);
    expect(await statuses(one.id)).toMatchObject({ [both]: 'IN_PROGRESS' });
  });

  it('is replaced by a newer one that names it: those who wait go over to that one, those at work finish', async () => {
    const zone = await givenZone();
    const devices = await givenDevices(db, 3, { zone });
    const [one, two] = [await givenFirmware(db), await givenFirmware(db)];
    const old = await request(one.id, { zone }, { rollout: { maximum_in_progress: 1 } });
    await passes(3);
    const update = await request(two.id, { zone }, { replaces_update_id: old.id });
    expect(update).toMatchObject({ replaces_update_id: old.id, counts: { QUEUED: 2 }, not_eligible: { UPDATE_IN_FLIGHT: 1 } });
    expect(await service.find(old.id)).toMatchObject({ status: 'CANCELED', reason: `REPLACED: ${update.id}` });
    await passes(10);
    const atWork = Object.entries(await statuses(old.id)).filter(([, status]) => status === 'IN_PROGRESS');
    expect(atWork).toHaveLength(1);
    await runs(atWork[0]?.[0] ?? '', one.version);
    await passes(120);
    expect(await statuses(update.id)).toEqual(Object.fromEntries(devices.map((id) => [id, 'IN_PROGRESS'])));
    expect(await service.find(old.id)).toMatchObject({ counts: { SUCCEEDED: 1, CANCELED: 2 } });
    expect((await service.find(old.id)).finished_dt).not.toBeNull();
    const lines = await db.selectFrom('audit_lines').select(['action', 'resource_id']).where('resource', '=', 'update').execute();
    expect(lines).toEqual(
      expect.arrayContaining([
        { action: 'request', resource_id: String(update.id) },
        { action: 'replace', resource_id: String(old.id) },
      ]),
    );
  });

  it('is canceled without waiting for whoever holds a younger one that has devices to look at', async () => {
    const [{ update }, { update: younger }] = [await givenResting(), await givenResting()];
    await db.updateTable('updates').set({ looked_at_device_id: 0 }).where('id', '=', younger.id).execute();
    await db.transaction().execute(async (trx) => {
      await sql`SELECT FROM updates WHERE id = ${younger.id} FOR UPDATE`.execute(trx);
      await cancelUpdate(service.deps, update.id, { force: false, reason: null }, actor);
    });
    expect(await service.find(update.id)).toMatchObject({ status: 'CANCELED' });
    await cancelUpdate(service.deps, younger.id, { force: false, reason: null }, actor);
    await passes(60);
  });

  it('is replaced by one that supersedes a younger one, too: the request waits for the younger one before it holds any', async () => {
    const [{ zone, firmware, update: replaced }, { update: younger }] = [await givenResting(), await givenResting()];
    let requested: ReturnType<typeof request> | undefined;
    await db.transaction().execute(async (trx) => {
      await sql`SELECT FROM updates WHERE id = ${younger.id} FOR UPDATE`.execute(trx);
      requested = request(firmware.id, { zone }, { replaces_update_id: replaced.id, supersede: true });
      await untilWaiting(db, 1);
      await sql`SELECT FROM updates WHERE id = ${replaced.id} FOR UPDATE NOWAIT`.execute(trx);
    });
    expect(await requested).toMatchObject({ replaces_update_id: replaced.id });
    expect(await service.find(replaced.id)).toMatchObject({ status: 'CANCELED' });
  });

  it('refuses to replace what is not open, not continuous or of another hardware type', async () => {
    const zone = await givenZone();
    const [id = ''] = await givenDevices(db, 1, { zone });
    const [mcu, gsm] = [await givenFirmware(db), await givenFirmware(db, { hardware_type: 'vega_gsm' })];
    const fixed = await service.request({ firmware_id: gsm.id, targets: { external_ids: [id] } });
    const open = await request(gsm.id, { zone });
    const replace = (replaces_update_id: number) => request(mcu.id, { zone }, { replaces_update_id });
    await expect(replace(2_000_000_000)).rejects.toMatchObject({ code: 'request.invalid' });
    await expect(replace(fixed.id)).rejects.toMatchObject({ code: 'request.invalid' });
    await expect(replace(open.id)).rejects.toMatchObject({ code: 'request.invalid' });
    const ended = await request(mcu.id, { zone });
    await cancelUpdate(service.deps, ended.id, { force: false, reason: null }, actor);
    await expect(replace(ended.id)).rejects.toMatchObject({ code: 'update.ended' });
  });

  it('needs approval where approval is on, whatever its size, and replaces the other one only when it is approved', async () => {
    const zone = await givenZone();
    const firmware = await givenFirmware(db);
    const old = await request(firmware.id, { zone });
    const deps = { ...service.deps, approvalAbove: 1_000 };
    const { requestUpdate } = await import('../../../lib/update/plan/request-update.ts');
    const { updateRequest } = await import('../../support/fixtures.ts');
    const body = { firmware_id: firmware.id, targets: { filter: { zone } }, continuous: true, replaces_update_id: old.id };
    const update = await requestUpdate(deps, { ...updateRequest(body), created_by: 'somebody' });
    expect(update.status).toBe('WAITING_FOR_APPROVAL');
    expect((await service.find(old.id)).status).not.toBe('CANCELED');
    await approveUpdate(service.deps, update.id, { remark: 'yes' }, actor);
    expect(await service.find(old.id)).toMatchObject({ status: 'CANCELED', reason: `REPLACED: ${update.id}` });
    await register({ external_id: `${zone}-1`, zone });
    await passes(120);
    expect(await statuses(update.id)).toEqual({ [`${zone}-1`]: 'IN_PROGRESS' });
  });

  it('takes its devices from a group that cannot be deleted meanwhile, and looks at all again when the group changes', async () => {
    const [zone, other] = [await givenZone(), await givenZone()];
    const group = `group-${zone}`;
    await db.transaction().execute((trx) => insertGroup(trx, { name: group, filter: { zone }, comment: '' }, startOfTime));
    const firmware = await givenFirmware(db);
    const update = await service.request({ firmware_id: firmware.id, targets: { group }, continuous: true });
    await passes(300);
    await expect(deleteGroup(service.deps, group, actor)).rejects.toMatchObject({ code: 'group.in_use' });
    const [id = ''] = await givenDevices(db, 1, { zone: other });
    const deps = {
      ...service.deps,
      lookAgain: (trx: Trx, changed: Parameters<typeof lookAgain>[2]) =>
        lookAgain(trx, service.deps.advances, changed, service.clock.now()),
    };
    await expect(changeGroup(deps, group, { filter: { zone: other, not_seen_days: 3 } }, actor)).rejects.toMatchObject({
      code: 'request.invalid',
    });
    await changeGroup(deps, group, { filter: { zone: other } }, actor);
    await passes(120);
    expect(await statuses(update.id)).toEqual({ [id]: 'IN_PROGRESS' });
    await cancelUpdate(service.deps, update.id, { force: false, reason: null }, actor);
    await deleteGroup(service.deps, group, actor);
  });

  it('asks a sample of those that come, drawn by lot for its firmware', async () => {
    const zone = await givenZone();
    const firmware = await givenFirmware(db);
    const sampled = await request(firmware.id, { zone, percentage: 20 });
    await passes(300);
    await register(...Array.from({ length: 200 }, (_, n) => ({ external_id: `${zone}-lot-${n}`, zone })));
    await passes(15);
    const n = Object.keys(await statuses(sampled.id)).length;
    expect(n).toBeGreaterThan(20);
    expect(n).toBeLessThan(65);
  });

  it('keeps to its canary: the first devices, whenever they come', async () => {
    const zone = await givenZone();
    const firmware = await givenFirmware(db);
    const update = await request(firmware.id, { zone }, { canary: { size: 3, success_percentage: 100 } });
    await passes(70);
    await register(...[1, 2].map((n) => ({ external_id: `${zone}-${n}`, zone })));
    await passes(32);
    await service.confirmAsked(firmware.version);
    await register(...[3, 4, 5].map((n) => ({ external_id: `${zone}-${n}`, zone })));
    await passes(32);
    expect(Object.values(await statuses(update.id)).toSorted()).toEqual(['IN_PROGRESS', 'QUEUED', 'QUEUED', 'SUCCEEDED', 'SUCCEEDED']);
    await service.confirmAsked(firmware.version);
    await passes(5);
    expect(Object.values(await statuses(update.id)).filter((status) => status === 'IN_PROGRESS')).toHaveLength(2);
  });

  it('is stopped by its last 1,000 ends: what succeeded long ago does not hide that devices fail now', async () => {
    const { zone, update } = await givenResting({ abort: { threshold_percentage: 50, minimum_executions: 10 } });
    const ends = (status: string, n: number, finished_dt: Date) =>
      sql`
      INSERT INTO update_executions (update_id, device_id, hardware_type, status, phase, queued_dt, sent_dt, finished_dt, attempt)
      SELECT ${update.id}, device_id, hardware_type, ${status}, 'ended', queued_dt, sent_dt, ${finished_dt}, 1
      FROM update_executions CROSS JOIN generate_series(1, ${n}) WHERE update_id = ${update.id} LIMIT ${n}`.execute(db);
    await ends('SUCCEEDED', 3_000, startOfTime);
    await ends('FAILED', 560, service.clock.now());
    await register({ external_id: `${zone}-1`, zone });
    await passes(5);
    expect(await service.find(update.id)).toMatchObject({
      status: 'ABORTED',
      reason: expect.stringContaining('FAILURE_RATE: 560 of 1000'),
    });
  });

  it('gives a device that was taken in later its whole time in the queue, and no more because of a pause before', async () => {
    const { zone, update } = await givenResting({ timeouts: { queued_minutes: 2 } });
    await passes(7_200);
    await pauseUpdate(service.deps, update.id, { reason: null }, actor);
    await passes(3_600);
    await resumeUpdate(service.deps, update.id, actor);
    service.deps.backend.answer = ({ execution_id }) => ({
      execution_id,
      outcome: 'deferred',
      reason: 'in a ride',
      retry_after_seconds: 40,
    });
    await register({ external_id: `${zone}-1`, zone });
    await passes(100);
    expect(await statuses(update.id)).toMatchObject({ [`${zone}-1`]: 'QUEUED' });
    await passes(60);
    expect(await statuses(update.id)).toMatchObject({ [`${zone}-1`]: 'TIMED_OUT' });
  });

  it('notes no outage for the time in which it rests', async () => {
    const { zone, update } = await givenResting();
    await passes(10_000);
    await register({ external_id: `${zone}-1`, zone });
    await passes(15);
    const outages = await db.selectFrom('outages').selectAll().where('update_id', '=', update.id).execute();
    expect(outages).toEqual([]);
  });

  it('does not wait for whoever changes a device at this moment: that device is left to the next step', async () => {
    const { zone, update } = await givenResting();
    await register({ external_id: `${zone}-held`, zone }, { external_id: `${zone}-free`, zone });
    await db.transaction().execute(async (trx) => {
      await sql`SELECT FROM devices WHERE external_id = ${`${zone}-held`} FOR UPDATE`.execute(trx);
      await passes(2);
      expect(Object.keys(await statuses(update.id))).toContain(`${zone}-free`);
      expect(Object.keys(await statuses(update.id))).not.toContain(`${zone}-held`);
    });
    await passes(5);
    expect(Object.keys(await statuses(update.id))).toContain(`${zone}-held`);
  });

  it('forgets its candidates and ends when it is canceled', async () => {
    const { zone, update } = await givenResting();
    await pauseUpdate(service.deps, update.id, { reason: null }, actor);
    await register({ external_id: `${zone}-1`, zone });
    await cancelUpdate(service.deps, update.id, { force: false, reason: 'enough' }, actor);
    await passes(60);
    expect(await service.find(update.id)).toMatchObject({ status: 'CANCELED', rests_dt: null });
    expect((await service.find(update.id)).finished_dt).not.toBeNull();
    expect(await db.selectFrom('update_candidates').selectAll().execute()).toEqual([]);
  });

  it('ends when its firmware is withdrawn', async () => {
    const { update, firmware } = await givenResting();
    await edit(firmware.id, { status: 'withdrawn', reason: 'bad' });
    await passes(60);
    expect(await service.find(update.id)).toMatchObject({ status: 'ABORTED', reason: 'FIRMWARE_WITHDRAWN' });
  });
});

describe('a request for a continuous update', () => {
  it('400: names devices, or a condition that time alone fulfils; replaces something without being continuous', async () => {
    const parse = (body: object) => UpdateRequest.safeParse({ firmware_id: 1, ...body }).success;
    expect(parse({ targets: { external_ids: ['S-1'], kind: 'scooter' }, continuous: true })).toBe(false);
    expect(parse({ targets: { filter: { not_seen_days: 3 } }, continuous: true })).toBe(false);
    expect(parse({ targets: { filter: {} }, replaces_update_id: 7 })).toBe(false);
    expect(parse({ targets: { filter: { zone: 'north' } }, continuous: true, replaces_update_id: 7 })).toBe(true);
  });

  it('says in a dry run who would be waited for, and from which open updates devices would be taken', async () => {
    const zone = await givenZone();
    const [busy = '', ...others] = await givenDevices(db, 3, { zone });
    const [one, two] = [await givenFirmware(db), await givenFirmware(db)];
    await service.request({ firmware_id: one.id, targets: { external_ids: [busy] } });
    const older = await request(one.id, { zone, external_id_prefix: others[0] ?? '' });
    const replaced = await request(one.id, { zone });
    const body = { firmware_id: two.id, targets: { filter: { zone } }, continuous: true };
    const dryRun = (more: object) => dryRunUpdate(service.deps, UpdateRequest.parse({ ...body, ...more }), undefined);
    expect(await dryRun({ replaces_update_id: replaced.id })).toMatchObject({
      needs_approval: false,
      continuous: { takes_over: [{ update_id: older.id, devices: 1 }] },
    });
    expect(await dryRun({})).toMatchObject({
      continuous: {
        waiting: 3,
        takes_over: [
          { update_id: older.id, devices: 1 },
          { update_id: replaced.id, devices: 3 },
        ],
      },
    });
    expect(await dryRun({ continuous: false })).toMatchObject({ continuous: null });
    await expect(dryRun({ replaces_update_id: 2_000_000_000 })).rejects.toMatchObject({ code: 'request.invalid' });
  });
});
