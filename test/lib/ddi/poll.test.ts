import { describe, expect, it } from 'vitest';
import { createTestDatabase } from '../../support/database.ts';
import { createDevicesThatPoll, linkedIn } from '../../support/devices-that-poll.ts';

const { db, takeStatements } = await createTestDatabase();
const ddi = createDevicesThatPoll(db);
const { clock } = ddi;

const givenQuiet = async () => {
  const [cabinet] = await ddi.givenPolling();
  if (!cabinet) throw new Error('no device');
  await ddi.poll(cabinet);
  await ddi.configData(cabinet, { cabinet_version: '1.0' });
  return cabinet;
};

describe('a poll without work', () => {
  it('is one SQL statement and no write, and says when to ask again', async () => {
    const cabinet = await givenQuiet();
    takeStatements();
    const { statusCode, headers, body } = await ddi.poll(cabinet);
    const statements = takeStatements();
    expect(statements).toHaveLength(1);
    expect(statements[0]).not.toMatch(/\b(INSERT|UPDATE|DELETE)\b(?! _)/);
    expect(statusCode).toBe(200);
    expect(headers['content-type']).toBe('application/json');
    expect(body).toEqual({ config: { polling: { sleep: '00:05:00' } }, _links: {} });
  });

  it('notes that the device is there, once in five minutes', async () => {
    const cabinet = await givenQuiet();
    const seen = async () =>
      (await db.selectFrom('devices').select('last_seen_dt').where('external_id', '=', cabinet.external_id).executeTakeFirstOrThrow())
        .last_seen_dt;
    const first = await seen();
    clock.advance(299);
    await ddi.poll(cabinet);
    expect(await seen()).toEqual(first);
    clock.advance(2);
    takeStatements();
    await ddi.poll(cabinet);
    expect(takeStatements()).toHaveLength(2);
    expect(await seen()).toEqual(clock.now());
  });

  it('that notes it keeps the counts of devices by the day', async () => {
    const cabinet = await givenQuiet();
    clock.advance(2 * 86_400);
    await ddi.poll(cabinet);
    const total = async () =>
      db
        .selectFrom('device_seen_counts')
        .select(['seen_on', (eb) => eb.fn.sum<number>('device_count').as('n')])
        .where('kind', '=', 'cabinet')
        .groupBy('seen_on')
        .having((eb) => eb.fn.sum('device_count'), '<>', 0)
        .orderBy('seen_on')
        .execute();
    const kept = await total();
    await db.executeQuery(db.selectNoFrom((eb) => eb.fn('recount_fleet').as('x')).compile());
    expect(await total()).toEqual(kept);
  });

  it('asks for the attributes at first and once a day', async () => {
    const [cabinet] = await ddi.givenPolling();
    if (!cabinet) throw new Error('no device');
    const { body } = await ddi.poll(cabinet);
    expect(body._links).toEqual({
      configData: { href: `http://updates.test/default/controller/v1/cabinet.${cabinet.external_id}/configData` },
    });
    await ddi.configData(cabinet, { something: 'else' });
    expect((await ddi.poll(cabinet)).body._links).toEqual({});
    clock.advance(86_401);
    expect(linkedIn(await ddi.poll(cabinet))).toEqual({ configData: true });
  });

  it('links to where the device has asked, also behind a proxy', async () => {
    const [cabinet] = await ddi.givenPolling();
    if (!cabinet) throw new Error('no device');
    const { body } = await ddi.poll(cabinet, { headers: { Host: 'iot.example.org:8443', 'X-Forwarded-Proto': 'https' } });
    expect(body._links.configData?.href).toMatch(/^https:\/\/iot\.example\.org:8443\/default\/controller\/v1\/cabinet\./);
  });
});

describe('a device that has work', () => {
  it('is shown it when the walk has offered it, and not before; it asks more often meanwhile', async () => {
    const { cabinet, message, update } = await ddi.givenUpdate();
    await ddi.configData(cabinet, {});
    expect((await ddi.poll(cabinet)).body).toEqual({ config: { polling: { sleep: '00:05:00' } }, _links: {} });
    await ddi.step(message);
    const [execution] = await ddi.executions(update.id);
    const answer = await ddi.poll(cabinet);
    expect(linkedIn(answer)).toEqual({ deploymentBase: execution?.id });
    expect(answer.body.config.polling.sleep).toBe('00:00:30');
  });

  it('is shown it until it says how it has ended, and no other beside it', async () => {
    const { cabinet, id } = await ddi.givenTaken();
    await ddi.configData(cabinet, {});
    expect(linkedIn(await ddi.poll(cabinet))).toEqual({ deploymentBase: id });
    await ddi.feedback(cabinet, id, 'proceeding');
    expect(linkedIn(await ddi.poll(cabinet))).toEqual({ deploymentBase: id });
    await ddi.feedback(cabinet, id, 'closed', 'success');
    expect(linkedIn(await ddi.poll(cabinet))).toEqual({ configData: true });
  });

  it('is shown nothing while its update is paused, and its work again afterwards', async () => {
    const { cabinet, id, update } = await ddi.givenOffered();
    await ddi.configData(cabinet, {});
    await db.updateTable('updates').set({ status: 'PAUSED' }).where('id', '=', update.id).execute();
    expect(linkedIn(await ddi.poll(cabinet))).toEqual({});
    expect((await ddi.deployment(cabinet, id)).statusCode).toBe(404);
    await db.updateTable('updates').set({ status: 'IN_PROGRESS' }).where('id', '=', update.id).execute();
    expect(linkedIn(await ddi.poll(cabinet))).toEqual({ deploymentBase: id });
  });

  it('goes on with what it has begun while its update is paused', async () => {
    const { cabinet, id, update } = await ddi.givenTaken();
    await db.updateTable('updates').set({ status: 'PAUSED' }).where('id', '=', update.id).execute();
    expect(linkedIn(await ddi.poll(cabinet))).toMatchObject({ deploymentBase: id });
    expect((await ddi.deployment(cabinet, id)).statusCode).toBe(200);
  });

  it('is shown nothing before the start of its update', async () => {
    const start_dt = new Date(clock.now().getTime() + 3_600_000).toISOString();
    const { cabinet, message } = await ddi.givenUpdate({ start_dt });
    await ddi.configData(cabinet, {});
    const next = await ddi.step(message);
    expect((await ddi.poll(cabinet)).body).toEqual({ config: { polling: { sleep: '00:05:00' } }, _links: {} });
    clock.advance(3_601);
    await ddi.poll(cabinet);
    await ddi.step(next);
    expect(linkedIn(await ddi.poll(cabinet))).toMatchObject({ deploymentBase: expect.any(Number) });
  });

  it('does one thing at a time, though it may have several hardware types', async () => {
    const [scooter] = await ddi.givenPolling(1, { kind: 'scooter' });
    if (!scooter) throw new Error('no device');
    await db
      .insertInto('hardware_types')
      .values({ name: 'own_lamp', device_kind: 'scooter', channel: 'iot', scooter_versions: [], fits_own_iot: true, max_size_bytes: 10 })
      .execute();
    await ddi.poll(scooter);
    const ids: number[] = [];
    const { givenFirmware } = await import('../../support/fixtures.ts');
    for (const hardware_type of ['yandex_iot', 'own_lamp']) {
      const firmware = await givenFirmware(db, { hardware_type, version: '2.0' });
      const { id } = await ddi.request({ firmware_id: firmware.id, targets: { external_ids: [scooter.external_id] } });
      for (const message of ddi.deps.advances.take()) await ddi.step(message);
      ids.push((await ddi.executions(id))[0]?.id ?? 0);
    }
    const [first = 0, second = 0] = ids;
    expect(linkedIn(await ddi.poll(scooter))).toMatchObject({ deploymentBase: first });
    await ddi.deployment(scooter, first);
    expect(linkedIn(await ddi.poll(scooter))).toMatchObject({ deploymentBase: first });
    await ddi.feedback(scooter, first, 'closed', 'success');
    expect(linkedIn(await ddi.poll(scooter))).toEqual({ configData: true });
    await ddi.configData(scooter, { yandex_iot_version: '2.0' });
    expect(linkedIn(await ddi.poll(scooter))).toEqual({ deploymentBase: second });
  });
});
