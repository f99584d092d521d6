import { sql } from 'kysely';
import { expect, it } from 'vitest';
import { raiseAllIds } from '../../../lib/db/raise-ids.ts';
import { openGate } from '../../../lib/update/backend-gate.ts';
import { createTestDatabase } from '../../support/database.ts';
import { givenDevices, givenFirmware, startOfTime } from '../../support/fixtures.ts';
import { createSimulatedWalk } from '../../support/simulated-walk.ts';

const { db } = await createTestDatabase();

/** The rows and the ids are those of before the first update; the backend remembers what it was asked to do. */
const restore = async () => {
  for (const table of ['update_executions', 'update_dispatches', 'updates', 'device_firmwares'] as const) {
    await db.deleteFrom(table).execute();
  }
  for (const name of ['update_executions_id_seq', 'update_dispatches_id_seq', 'updates_id_seq', 'firmware_manifest_counter']) {
    await sql`SELECT setval(${name}::regclass, 1, false)`.execute(db);
  }
};

it('after a restore the devices of a new update are commanded, although the backend remembers the ids that were given out since the backup', async () => {
  await db.updateTable('backend_gate').set(openGate(startOfTime)).execute();
  const walk = createSimulatedWalk(db);
  const firmware = await givenFirmware(db);
  const external_ids = await givenDevices(db, 20);
  const update = async () => {
    const { id } = await walk.request({ firmware_id: firmware.id, targets: { external_ids }, canary: null });
    await walk.run();
    return walk.find(id);
  };
  expect(await update()).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 20 } });

  await restore();
  walk.backend.runs.clear();
  await raiseAllIds(db);

  expect(await update()).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 20, TIMED_OUT: 0 } });
  const ids = walk.backend.commands.map(({ execution_id }) => execution_id);
  expect(ids).toHaveLength(40);
  expect(new Set(ids).size).toBe(40);
  expect(Math.max(...ids)).toBeLessThan(2 ** 31);
});
