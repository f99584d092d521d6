import { describe, expect, it } from 'vitest';
import { createTestDatabase } from '../../support/database.ts';
import { confirmation } from '../../support/fixtures.ts';
import { createUpdateService } from '../../support/update-service.ts';

const { db } = await createTestDatabase();

/** An update of ten devices, of which five have failed; of these so many run the version wanted all the same. */
const givenFailures = async (provenAfterwards: number, more: object) => {
  const service = createUpdateService(db);
  const given = await service.givenSent({ devices: 10, ...more });
  const asked = given.executions.filter(({ sent_dt }) => sent_dt).map(({ external_id }) => external_id);
  const tell = (status: 'FAILED' | 'SUCCEEDED', external_ids: readonly string[]) => {
    service.clock.advance(1);
    return service.confirm(
      ...external_ids.map((external_id) =>
        confirmation({ external_id, version: given.firmware.version, status, occurred_dt: service.clock.now() }),
      ),
    );
  };
  await tell('FAILED', asked.slice(0, 5));
  await tell('SUCCEEDED', asked.slice(0, provenAfterwards));
  await service.advance(given.message);
  return service.find(given.update.id);
};

const rule = { failure_types: ['ALL'], threshold_percentage: 30, minimum_executions: 5 };

describe('a failure that is followed by proof', () => {
  it('counts for no stop rule', async () => {
    const abort = [rule];
    expect(await givenFailures(0, { abort })).toMatchObject({ status: 'ABORTED', reason: expect.stringContaining('5 of 10') });
    expect(await givenFailures(2, { abort })).toMatchObject({ status: 'ABORTED', reason: expect.stringContaining('3 of 10') });
    const update = await givenFailures(3, { abort });
    expect(update).toMatchObject({ status: 'IN_PROGRESS', counts: { FAILED: 5, SUCCEEDED: 0 }, late_successes: 3 });
  });

  it('fails no canary', async () => {
    const canary = { size: 8, success_percentage: 50 };
    expect(await givenFailures(0, { abort: [], canary })).toMatchObject({
      status: 'ABORTED',
      reason: expect.stringContaining('CANARY_FAILED'),
    });
    expect(await givenFailures(5, { abort: [], canary })).toMatchObject({ status: 'IN_PROGRESS' });
  });
});
