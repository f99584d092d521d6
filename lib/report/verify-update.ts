import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import type { Log } from '../log.ts';
import { type Backend, BackendRefusal, BackendUnavailable, onlyAsked } from '../ports/backend.ts';
import type { Queue } from '../ports/queue.ts';
import type { AdvanceMessage, VerifyMessage } from '../update/messages.ts';
import { noteOutage, noteReturn } from '../update/outage-queries.ts';
import { listUnprovenDevices, noteLookUp } from '../update/reach/look-up-queries.ts';
import { toReports } from './observed-reports.ts';
import { recordReports } from './record-reports.ts';

export interface VerifyUpdateDeps {
  db: Db;
  backend: Pick<Backend, 'findVersions'>;
  /** Missing: no update is woken. */
  advances?: Queue<AdvanceMessage> | undefined;
  log: Log;
  now: Clock;
}

const reservedMilliseconds = 4_000;
const longestCallMilliseconds = 20_000;

/**
 * Asks the backend what those devices of a chunk run that have not reported, and stores the answer. An execution whose version is seen has
 * succeeded; the others go on waiting. If the backend is down, the next look-up asks again, so this is no error.
 *
 * @throws `database.unavailable`: the message has to come again.
 */
export async function verifyUpdate(deps: VerifyUpdateDeps, { dispatch_id }: VerifyMessage, remainingMilliseconds: number): Promise<void> {
  const { db } = deps;
  const devices = await listUnprovenDevices(db, dispatch_id);
  const [first] = devices;
  if (!first) return;
  const askedDt = deps.now();
  // All devices of an update are of one kind, the one its hardware type fits.
  const call = {
    idempotencyKey: `verify-${dispatch_id}-${askedDt.getTime()}`,
    requestId: first.request_id,
    timeoutMilliseconds: Math.max(1, Math.min(longestCallMilliseconds, remainingMilliseconds - reservedMilliseconds)),
  };
  try {
    const ids = devices.map(({ external_id }) => external_id);
    const found = onlyAsked(await deps.backend.findVersions(first.kind, ids, call), ids);
    const { reports } = toReports(found.map((device) => ({ ...device, kind: first.kind })));
    if (reports.length > 0) await db.transaction().execute((trx) => recordReports(trx, reports, deps.now(), { advances: deps.advances }));
    // Noted after the answers are stored: the devices that are still unproven then were not seen with the wanted version.
    await noteLookUp(db, dispatch_id, { ...first, askedDt });
    await noteReturn(db, ['backend'], deps.now());
  } catch (error) {
    if (!(error instanceof BackendUnavailable || error instanceof BackendRefusal)) throw error;
    if (error instanceof BackendUnavailable) await noteOutage(db, 'backend', askedDt);
    deps.log.warn('backend could not be asked for versions', { dispatch_id, error });
  }
}
