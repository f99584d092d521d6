import type { Db } from '../db/database.ts';
import type { BackendGate } from './backend-gate.ts';

/** Changes the gate under a lock, because several calls can end at one moment. Writes only when something has changed. */
export const changeGate = (db: Db, change: (gate: BackendGate) => BackendGate): Promise<void> =>
  db.transaction().execute(async (trx) => {
    const gate = await trx
      .selectFrom('backend_gate')
      .select(['share', 'changed_dt', 'failures', 'closed_until', 'usual_latency_ms', 'reason'])
      .forUpdate()
      .executeTakeFirstOrThrow();
    const changed = change(gate);
    if (changed !== gate) await trx.updateTable('backend_gate').set(changed).execute();
  });

/** Opens a closed gate, so that the backend is tried at once; if it was in trouble, with one device. False: the gate was open. */
export const reopenGate = async (db: Db): Promise<boolean> => {
  const reopened = await db
    .updateTable('backend_gate')
    .set({ closed_until: null })
    .where('closed_until', 'is not', null)
    .executeTakeFirst();
  return reopened.numUpdatedRows > 0n;
};
