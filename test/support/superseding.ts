import type { Db } from '../../lib/db/database.ts';
import { givenFirmware } from './fixtures.ts';
import { createUpdateService, type UpdateService } from './update-service.ts';

type Instead = Parameters<UpdateService['request']>[2];

/** An older update of so many devices, and the firmware that is to take its place. */
export const givenOlder = async (db: Db, devices: number, request: Record<string, unknown> = {}) => {
  const service = createUpdateService(db);
  const old = await service.given({ devices, ...request });
  const fix = await givenFirmware(db);
  const body = { firmware_id: fix.id, targets: { external_ids: old.external_ids }, supersede: true };
  const supersede = (more: Record<string, unknown> = {}, instead: Instead = {}) => service.request({ ...body, ...more }, {}, instead);
  return { service, old, fix, body, supersede };
};

export const dispatchAll = async ({ deps, dispatch }: UpdateService) => {
  for (const message of deps.dispatches.take()) await dispatch(message);
};

/** Does the next step of an update, whatever became of its message. */
export const stepOf = async (db: Db, service: UpdateService, id: number, instead: Parameters<UpdateService['advance']>[1] = {}) => {
  const row = await db.selectFrom('updates').select(['next_step', 'created_dt']).where('id', '=', id).executeTakeFirstOrThrow();
  await service.advance({ update_id: id, step: row.next_step, created_dt: row.created_dt }, instead);
};

/** The executions of an update by device: status and reason. */
export const endsOf = async ({ executions }: UpdateService, id: number): Promise<Record<string, string>> =>
  Object.fromEntries(
    (await executions(id)).map(({ external_id, status, reason }) => [external_id, reason ? `${status} ${reason}` : status]),
  );
