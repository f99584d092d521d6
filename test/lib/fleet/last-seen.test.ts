import fc from 'fast-check';
import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import { confirmUpdate } from '../../../lib/report/confirm-update.ts';
import { createTestDatabase } from '../../support/database.ts';
import { confirmation, givenDevices, startOfTime, TestClock } from '../../support/fixtures.ts';

const { db, takeStatements } = await createTestDatabase();
const { now } = new TestClock();

const secondsAfter = (seconds: number) => new Date(startOfTime.getTime() + seconds * 1_000);
const report = (...reports: Parameters<typeof confirmation>[0][]) => confirmUpdate({ db, now }, reports.map(confirmation));
const givenDevice = async () => (await givenDevices(db))[0] ?? '';
const lastSeen = async (external_id: string) => {
  const row = await db.selectFrom('devices').select('last_seen_dt').where('external_id', '=', external_id).executeTakeFirstOrThrow();
  return row.last_seen_dt;
};

describe('when a device was last seen', () => {
  it('is not known at first, and then the time of its latest report about any of its hardware types', async () => {
    const external_id = await givenDevice();
    expect(await lastSeen(external_id)).toBeNull();
    await report({ external_id, version: '1', occurred_dt: secondsAfter(-60) });
    expect(await lastSeen(external_id)).toEqual(secondsAfter(-60));
    await report({ external_id, version: '1', hardware_type: 'vega_gsm', occurred_dt: secondsAfter(-30) });
    expect(await lastSeen(external_id)).toEqual(secondsAfter(-30));
  });

  it('stays when an older report comes late, also the first one of a hardware type', async () => {
    const external_id = await givenDevice();
    await report({ external_id, version: '1' });
    await report({ external_id, version: '0', occurred_dt: secondsAfter(-1) });
    await report({ external_id, version: '0', hardware_type: 'vega_gsm', occurred_dt: secondsAfter(-2) });
    expect(await lastSeen(external_id)).toEqual(startOfTime);
  });

  it('is not moved by a report that says that nothing is installed yet', async () => {
    const external_id = await givenDevice();
    await report({ external_id, version: '1', status: 'IN_PROGRESS' });
    expect(await lastSeen(external_id)).toBeNull();
  });

  it.each([
    ['1970', new Date(0)],
    ['the year 1', new Date('0001-01-01T00:00:00Z')],
    ['before it was registered', new Date('2023-12-31T23:59:59Z')],
    ['a second ahead', secondsAfter(1)],
    ['ten years ahead', secondsAfter(315_360_000)],
  ])('is the moment in which a report came whose clock says %s', async (_, occurred_dt) => {
    const external_id = await givenDevice();
    await report({ external_id, version: '1', occurred_dt });
    expect(await lastSeen(external_id)).toEqual(startOfTime);
  });

  it('is what the clock of the device says from its registration on, however long that is ago', async () => {
    const [external_id, another] = [await givenDevice(), await givenDevice()];
    await report({ external_id, version: '1', occurred_dt: secondsAfter(-864_000) });
    expect(await lastSeen(external_id)).toEqual(secondsAfter(-864_000));
    await sql`UPDATE devices SET created_dt = ${secondsAfter(-60)} WHERE external_id = ${another}`.execute(db);
    await report({ external_id: another, version: '1', occurred_dt: secondsAfter(-61) });
    expect(await lastSeen(another)).toEqual(startOfTime);
  });

  it('is of that device alone', async () => {
    const [a, b] = [await givenDevice(), await givenDevice()];
    await report({ external_id: a, version: '1' });
    expect(await lastSeen(b)).toBeNull();
  });

  it('costs no statement of its own', async () => {
    const external_id = await givenDevice();
    takeStatements();
    await report({ external_id, version: '1' });
    const written = takeStatements().filter((statement) => /\blast_seen_dt\b/.test(statement));
    expect(written).toHaveLength(1);
    expect(written[0]).toContain('INSERT INTO device_firmwares');
  });

  it('is the latest time of all reports, in whatever order and batches they come', async () => {
    const reports = fc.array(
      fc.record({
        hardware_type: fc.constantFrom('vega_mcu', 'vega_gsm', 'audio_lock'),
        version: fc.constantFrom('1', '2'),
        seconds: fc.integer({ min: -50, max: 0 }),
        isNewBatch: fc.boolean(),
      }),
      { minLength: 1, maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(reports, async (told) => {
        const external_id = await givenDevice();
        const batches: Parameters<typeof report>[] = [[]];
        for (const { hardware_type, version, seconds, isNewBatch } of told) {
          if (isNewBatch) batches.push([]);
          batches.at(-1)?.push({ external_id, hardware_type, version, occurred_dt: secondsAfter(seconds) });
        }
        for (const batch of batches.filter(({ length }) => length > 0)) await report(...batch);
        expect(await lastSeen(external_id)).toEqual(secondsAfter(Math.max(...told.map(({ seconds }) => seconds))));
      }),
      { numRuns: 60 },
    );
  });

  it('is the latest of twenty reports that come at one moment', async () => {
    const external_id = await givenDevice();
    await Promise.all(
      Array.from({ length: 20 }, (_, i) => report({ external_id, version: '1', occurred_dt: secondsAfter(-((i * 7) % 20)) })),
    );
    expect(await lastSeen(external_id)).toEqual(startOfTime);
  });
});
