// All devices of a fleet are switched on at one moment: as many connections as `npm start` has, and far more devices.
import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { seededRandom } from '../../../dev/simulator/fleet.ts';
import { createTestDatabase } from '../../support/database.ts';
import { createDevicesThatPoll, linkedIn, type PollingDevice } from '../../support/devices-that-poll.ts';

const { db, url, takeStatements } = await createTestDatabase({ maxConnections: 4 });
const ddi = createDevicesThatPoll(db, {}, seededRandom('power cut'));
const { clock } = ddi;
const herdSize = 1_000;

let herd: PollingDevice[];
let withWork: Awaited<ReturnType<typeof ddi.givenOffered>>;

beforeAll(async () => {
  herd = await ddi.givenPolling(herdSize);
  // As after their first day: known, and what they run told.
  await db
    .insertInto('iot_devices')
    .columns(['device_id', 'config_data_dt'])
    .expression(
      db
        .selectFrom('devices')
        .select(['id', (eb) => eb.val(clock.now()).as('config_data_dt')])
        .where('channel', '=', 'iot'),
    )
    .onConflict((oc) => oc.constraint('iot_devices_pkey').doUpdateSet({ config_data_dt: clock.now() }))
    .execute();
  withWork = await ddi.givenOffered({ devices: 20 });
});

let answered = 0;
const pollAll = (devices: readonly PollingDevice[]) =>
  Promise.all(
    devices.map(async (device) => {
      const answer = await ddi.poll(device);
      answered += 1;
      return { device, answer };
    }),
  );
type Polled = Awaited<ReturnType<typeof pollAll>>[number];

const served = (polled: readonly Polled[]) => polled.filter(({ answer }) => answer.statusCode === 200);
const refused = (polled: readonly Polled[]) => polled.filter(({ answer }) => answer.statusCode !== 200);
const waitOf = ({ answer }: Polled): number => Number(answer.headers['retry-after']);

/** They come again when they were told to, second by second. */
const pollAgain = async (polled: readonly Polled[]): Promise<Polled[]> => {
  const again: Polled[] = [];
  for (let second = 1; second <= 30; second += 1) {
    clock.advance(1);
    again.push(...(await pollAll(polled.filter((each) => waitOf(each) === second).map(({ device }) => device))));
  }
  return again;
};

/** On a machine that has enough to do, some are refused at first. */
const pollUntilServed = async (devices: readonly PollingDevice[]): Promise<Polled[]> => {
  const first = await pollAll(devices);
  for (const each of refused(first)) expect(each.answer).toMatchObject({ statusCode: 503, body: { code: 'database.unavailable' } });
  const all = [...served(first), ...(await pollAgain(refused(first)))];
  expect(served(all)).toHaveLength(devices.length);
  return all;
};

const sleepSeconds = ({ answer }: Polled): number => {
  const [hours = 0, minutes = 0, seconds = 0] = answer.body.config.polling.sleep.split(':').map(Number);
  return hours * 3_600 + minutes * 60 + seconds;
};

/** Everything about devices but when they were last seen. */
const stored = async () => [
  await db.selectFrom('update_executions').selectAll().orderBy('id').execute(),
  await db.selectFrom('device_firmwares').selectAll().orderBy('device_id').execute(),
  await db.selectFrom('iot_devices').selectAll().orderBy('device_id').execute(),
  await db.selectFrom('devices').select(['id', 'kind', 'external_id', 'version', 'channel']).orderBy('id').execute(),
];

const lastSeen = () => db.selectFrom('devices').select('last_seen_dt').distinct().execute();

/** Nothing gets through to the devices' table until it is let go, as while a database is failing over. */
const stall = async (): Promise<() => Promise<void>> => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query('BEGIN; LOCK TABLE devices IN ACCESS EXCLUSIVE MODE');
  return async () => {
    await client.query('ROLLBACK');
    await client.end();
  };
};

describe(`${herdSize} devices that poll at one moment`, { timeout: 60_000 }, () => {
  it('are all answered, or told when to come again, and all of those then; nothing is written but that they were seen', async () => {
    const before = await stored();
    takeStatements();
    await pollUntilServed(herd);
    const written = takeStatements().filter((statement) => /\b(INSERT|UPDATE|DELETE)\b/.test(statement));
    expect(written).toHaveLength(herdSize);
    for (const statement of written) expect(statement).toContain('UPDATE devices SET last_seen_dt');
    expect(await stored()).toEqual(before);
  });

  it('ask again spread over the interval, never together', async () => {
    const next = (await pollUntilServed(herd)).map(sleepSeconds);
    expect(Math.min(...next)).toBeGreaterThanOrEqual(225);
    expect(Math.max(...next)).toBeLessThanOrEqual(375);
    const perTenSeconds = Array.from({ length: 15 }, (_, bin) => next.filter((s) => Math.floor((s - 225) / 10) === bin).length);
    // 66 each, if chance were fair every time.
    for (const n of perTenSeconds) expect(n).toBeGreaterThan(30);
    for (const n of perTenSeconds) expect(n).toBeLessThan(110);
  });

  it('cost no write when all of them were seen a moment ago', async () => {
    await pollUntilServed(herd);
    const before = [await stored(), await lastSeen()];
    takeStatements();
    await pollUntilServed(herd);
    expect(takeStatements()).toHaveLength(herdSize);
    expect([await stored(), await lastSeen()]).toEqual(before);
  });

  it('that find the database stalled are told to come again spread over half a minute, and are all served then, work and all', async () => {
    clock.advance(400);
    const everybody = [...herd, ...withWork.cabinets];
    const letGo = await stall();
    answered = 0;
    const polling = pollAll(everybody);
    // Four of them have a connection; all others wait for one for as long as they may.
    await expect.poll(() => answered, { timeout: 20_000 }).toBe(everybody.length - 4);
    await letGo();
    const first = await polling;
    expect(refused(first)).toHaveLength(everybody.length - 4);
    for (const each of refused(first)) expect(each.answer).toMatchObject({ statusCode: 503, body: { code: 'database.unavailable' } });
    const perSecond = Array.from({ length: 31 }, (_, second) => refused(first).filter((each) => waitOf(each) === second).length);
    expect(perSecond.slice(0, 2)).toEqual([0, 0]);
    // 35 each.
    for (const n of perSecond.slice(2)) expect(n).toBeGreaterThan(10);
    for (const n of perSecond) expect(n).toBeLessThan(70);

    const again = await pollAgain(refused(first));
    expect(served(again)).toHaveLength(everybody.length - 4);
    const offered = [...served(first), ...again].filter(({ device }) => withWork.cabinets.includes(device));
    for (const { device, answer } of offered) expect(linkedIn(answer)).toMatchObject({ deploymentBase: withWork.idOf(device) });
    expect(offered).toHaveLength(20);
  });
});
