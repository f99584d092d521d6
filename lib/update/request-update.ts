import { createHash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import { findFirmware } from '../firmware/firmware-queries.ts';
import type { Queue } from '../ports/queue.ts';
import type { WantedFirmware } from './eligibility.ts';
import { insertExecutions } from './execution-queries.ts';
import type { AdvanceMessage } from './messages.ts';
import type { Update, UpdateRequest } from './update.ts';
import { findIdempotentUpdate, getRequestedUpdate, insertUpdate, setPlanned } from './update-queries.ts';

export interface RequestUpdateDeps {
  db: Db;
  advances: Queue<AdvanceMessage>;
  now: Clock;
}

export interface RequestUpdate extends UpdateRequest {
  idempotency_key: string | undefined;
  created_by: string;
  request_id: string;
}

/** The messages of a step are visible no sooner than this, so that the commit has nearly always happened by then. */
const firstStepDelaySeconds = 1;

/**
 * Plans an update: the update and one execution per eligible device in one transaction. Two requests at one moment cannot both take
 * a device: the unique index decides. The same idempotency key again answers the same and changes nothing.
 *
 * @throws `firmware.not_found`, `firmware.not_available`, `update.nothing_eligible` with the reasons,
 *   `update.idempotency_key_reused` for another body under a known key; `queue.unavailable`: nothing is stored then.
 */
export async function requestUpdate(deps: RequestUpdateDeps, input: RequestUpdate): Promise<Update> {
  const { idempotency_key, created_by, request_id, ...request } = input;
  const request_hash = hashOf(request);
  const created_dt = deps.now();
  return deps.db.transaction().execute(async (trx) => {
    const firmware = await getWantedFirmware(trx, request.firmware_id);
    const inserted = await insertUpdate(trx, {
      firmware_id: firmware.id,
      ...request.rollout,
      allow_downgrade: request.allow_downgrade,
      comment: request.comment,
      idempotency_key: idempotency_key ?? null,
      request_hash,
      request_id,
      created_by,
      created_dt,
    });
    if (!inserted) return answerAgain(trx, created_by, idempotency_key, request_hash);

    const { targets, allow_downgrade } = request;
    const planned = await insertExecutions(trx, { update_id: inserted.id, targets, firmware, allow_downgrade, now: created_dt });
    if (!planned.ELIGIBLE && !planned.ALREADY_ON_TARGET) {
      throw new DomainError('update.nothing_eligible', 'None of the chosen devices can be updated', { answer: { not_eligible: planned } });
    }
    await setPlanned(trx, inserted.id, planned);
    const answer = await getRequestedUpdate(trx, inserted.id);
    // The last act before the commit; README.md of this folder says why.
    await deps.advances.send([{ update_id: inserted.id, step: 0, created_dt }], { delaySeconds: firstStepDelaySeconds });
    return answer;
  });
}

const getWantedFirmware = async (db: Db, id: number): Promise<WantedFirmware> => {
  const errors = [{ in: 'body', path: 'firmware_id', message: 'is not the id of an available firmware' }] as const;
  const firmware = await findFirmware(db, id);
  if (!firmware) throw new DomainError('firmware.not_available', `There is no firmware ${id}`, { errors });
  const { hardware_type, version_num, status, reason } = firmware;
  if (status === 'available' && version_num !== null) return { id, hardware_type, version_num };
  throw new DomainError('firmware.not_available', `Firmware ${id} is ${status}${reason ? `: ${reason}` : ''}`, {
    errors,
    answer: { firmware_status: status },
  });
};

const answerAgain = async (trx: Trx, created_by: string, idempotency_key: string | undefined, request_hash: string): Promise<Update> => {
  const known = idempotency_key && (await findIdempotentUpdate(trx, created_by, idempotency_key));
  if (!known) throw new Error('An update that could not be inserted because its key is known is not known');
  if (known.request_hash === request_hash) return getRequestedUpdate(trx, known.id);
  throw new DomainError('update.idempotency_key_reused', 'This Idempotency-Key was used for another request', {
    errors: [{ in: 'header', path: 'idempotency-key', message: 'was used for another request' }],
    answer: { update_id: known.id },
  });
};

/** The request after defaults are filled in, keys in one order: how a caller writes it does not matter. */
const hashOf = (request: UpdateRequest): string => createHash('sha256').update(JSON.stringify(request, sortKeys)).digest('hex');

const sortKeys = (_key: string, value: unknown): unknown =>
  value !== null && typeof value === 'object' && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value;
