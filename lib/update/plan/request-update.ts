import { writeAuditLine } from '../../audit/audit-queries.ts';
import type { Clock } from '../../clock.ts';
import type { Db, Trx } from '../../db/database.ts';
import { violatedConstraint } from '../../db/database-error.ts';
import { findIdempotentRequest, keepAnswer, keyReused } from '../../db/idempotent-requests.ts';
import { DomainError } from '../../errors.ts';
import type { Firmware } from '../../firmware/firmware.ts';
import { findFirmware, findFirmwareForPlan } from '../../firmware/firmware-queries.ts';
import { hashOf } from '../../http/idempotency.ts';
import type { Queue } from '../../ports/queue.ts';
import { firstStepDelaySeconds } from '../../walk.ts';
import type { AdvanceMessage } from '../messages.ts';
import { wakeUpdate } from '../reach/wake-update.ts';
import { getRequestedUpdate } from '../shown-update-queries.ts';
import { countEligible, type Update } from '../update.ts';
import { insertUpdate, lockUpdate, type NewUpdate, setPlan } from '../update-queries.ts';
import type { UpdateRequest } from '../update-request.ts';
import { beginPlan, endAbandonedExecutions } from './abandoned-queries.ts';
import { planCanary } from './canary.ts';
import { chooseTargets } from './chosen-targets.ts';
import type { Choice, WantedFirmware } from './eligibility.ts';
import { insertExecutions } from './plan-queries.ts';

export interface RequestUpdateDeps {
  db: Db;
  advances: Queue<AdvanceMessage>;
  /** Whether there is a bus that the update's events go to (../walk/tell-events.ts). */
  tellsEvents?: boolean;
  /** An update of more devices waits until somebody else approves it; null or missing: none does. */
  approvalAbove?: number | null;
  now: Clock;
}

type IdempotentUpdate = NonNullable<Awaited<ReturnType<typeof findIdempotentRequest<Update>>>>;

export interface RequestUpdate extends UpdateRequest {
  idempotency_key: string | undefined;
  created_by: string;
  request_id: string;
  /** Set when the failed devices of an ended update are tried again. */
  retry_of_update_id?: number;
}

/** Each beginning but the first follows a commit of another request for the same devices. */
const mostBeginnings = 20;

/**
 * Plans an update: the update and one execution per eligible device in one transaction. Two requests at one moment cannot both take
 * a device: the unique index decides. A repeated idempotency key gets the first answer again and plans nothing;
 * if the update has not finished, its messages are sent again.
 *
 * @throws `firmware.not_available`, `request.invalid` for a filter that names something that does not exist, `update.executions_removed`,
 *   `update.canceling`, `update.nothing_eligible` with the reasons, `update.idempotency_key_reused` for another body under a known key;
 *   `queue.unavailable`: nothing is stored then.
 */
export async function requestUpdate(deps: RequestUpdateDeps, input: RequestUpdate): Promise<Update> {
  const created_dt = deps.now();
  for (let begun = 1; ; begun += 1) {
    try {
      return await deps.db.transaction().execute((trx) => request(trx, deps, input, created_dt));
    } catch (error) {
      // Another request has taken one of the devices meanwhile, and has been committed. So this one begins anew, and finds it in flight.
      if (violatedConstraint(error) !== 'update_executions_unfinished_key' || begun === mostBeginnings) throw error;
    }
  }
}

const request = async (trx: Trx, deps: RequestUpdateDeps, input: RequestUpdate, created_dt: Date): Promise<Update> => {
  const { idempotency_key, created_by, allow_downgrade, force, unknown_version } = input;
  const request_hash = hashOfRequest(input);
  // This comes first, so that a repeated request gets its answer even if the firmware has been withdrawn since.
  const known = idempotency_key && (await findIdempotentRequest<Update>(trx, 'update', created_by, idempotency_key));
  if (known) return answerAgain(trx, deps, known, request_hash);
  const firmware = toWanted(await findFirmwareForPlan(trx, input.firmware_id));
  if (firmware.version_num === null) throw notAvailable(await findFirmware(trx, firmware.id));
  const targets = await chooseTargets(trx, input.targets);
  const id = await insertUpdate(trx, toNewUpdate(input, { request_hash, created_dt, told: deps.tellsEvents ? '' : null }));
  if (id === undefined) {
    // Another request with the same key was under way and has just been committed.
    const other = await findIdempotentRequest<Update>(trx, 'update', created_by, idempotency_key ?? '');
    if (!other) throw new Error('An update that could not be inserted because its key is known is not known');
    return answerAgain(trx, deps, other, request_hash);
  }
  const choice = { targets, firmware, allow_downgrade, force, unknown_version, now: created_dt };
  await plan(trx, id, choice, input.canary, deps);
  const answer = await getRequestedUpdate(trx, id);
  if (idempotency_key !== undefined) await keepAnswer(trx, 'update', answer);
  await auditRequest(trx, input, answer);
  // The last act before the commit (../README.md, "A committed row and its message").
  await deps.advances.send([{ update_id: id, step: 0, created_dt }], { delaySeconds: firstStepDelaySeconds });
  return answer;
};

const auditRequest = async (trx: Trx, { created_by, request_id, targets, retry_of_update_id }: RequestUpdate, answer: Update) => {
  const { id, firmware_id, hardware_type, firmware_version, counts, not_eligible, rollout, comment, created_dt } = answer;
  const outcome = {
    ...{ firmware_id, hardware_type, firmware_version, rollout, comment },
    targets: 'external_ids' in targets ? { kind: targets.kind, devices: targets.external_ids.length } : targets,
    needs_approval: answer.approval !== null,
    ...{ eligible: counts.QUEUED, already_on_target: counts.SUCCEEDED, not_eligible },
    ...(retry_of_update_id !== undefined && { retry_of_update_id }),
  };
  const line = { action: 'request', resource: 'update', resource_id: String(id), outcome } as const;
  await writeAuditLine(trx, { subject: created_by, request_id }, line, created_dt);
};

/**
 * A release may be deployed between a request and its repetition. Fields that the former release did not know count only when they differ from
 * their defaults, so that both releases make the same hash.
 */
const hashOfRequest = ({ idempotency_key: _key, created_by: _caller, request_id: _id, retry_of_update_id, ...request }: RequestUpdate) => {
  const { maximum_unavailable_percentage, ...rollout } = request.rollout;
  return hashOf({
    ...request,
    rollout: { ...rollout, ...(maximum_unavailable_percentage !== 100 && { maximum_unavailable_percentage }) },
    window: request.window ?? undefined,
    ignore_window: request.ignore_window || undefined,
    retry_of_update_id,
  });
};

const toNewUpdate = (input: RequestUpdate, rest: Pick<NewUpdate, 'request_hash' | 'created_dt' | 'told'>): NewUpdate => {
  const { firmware_id, rollout, timeouts, retry, abort, start_dt, allow_downgrade, force, unknown_version, comment } = input;
  return {
    ...{ firmware_id, abort, start_dt, allow_downgrade, force, unknown_version, comment, ...timeouts, ...rollout },
    window: input.window,
    ignore_window: input.ignore_window,
    number_of_retries: retry.number_of_retries,
    retry_failure_types: retry.failure_types,
    retry_of_update_id: input.retry_of_update_id ?? null,
    idempotency_key: input.idempotency_key ?? null,
    request_id: input.request_id,
    created_by: input.created_by,
    ...rest,
  };
};

/** Inserts the executions of an update, and stores how many devices its canary has. */
const plan = async (
  trx: Trx,
  id: number,
  choice: Choice,
  canary: UpdateRequest['canary'],
  { tellsEvents, approvalAbove }: Pick<RequestUpdateDeps, 'tellsEvents' | 'approvalAbove'>,
): Promise<void> => {
  if ((await beginPlan(trx)) && !(await endAbandonedExecutions(trx, choice))) throw canceling();
  const { planned, includes_iot } = await insertExecutions(trx, id, choice, tellsEvents);
  const eligible = countEligible(planned);
  if (eligible === 0 && !planned.ALREADY_ON_TARGET) {
    throw new DomainError('update.nothing_eligible', 'None of the chosen devices can be updated', { answer: { not_eligible: planned } });
  }
  await setPlan(trx, id, {
    planned,
    includes_iot,
    canary: planCanary(canary, eligible),
    needs_approval: needsApproval(eligible, approvalAbove),
  });
};

/** Whether somebody else has to approve an update of so many devices. */
export const needsApproval = (eligible: number, approvalAbove: number | null | undefined): boolean =>
  approvalAbove != null && eligible > approvalAbove;

const canceling = (): DomainError =>
  new DomainError(
    'update.canceling',
    'More than 10,000 of the chosen devices are still in an update that was just stopped. Its executions are being ended, ' +
      'which takes a minute or two. Repeat the request then, or name up to 10,000 devices: these can be updated at once',
    { retryAfterSeconds: 15 },
  );

/** A firmware that exists but is not available has no `version_num`. @throws `firmware.not_available` when there is no such firmware. */
export const getWantedFirmware = async (db: Db, id: number): Promise<WantedFirmware> => {
  return toWanted(await findFirmware(db, id));
};

const toWanted = (firmware: Firmware | undefined): WantedFirmware => {
  if (!firmware) throw notAvailable(undefined);
  const { id, hardware_type, assembly_id, requires, minimum_from_version_num, status } = firmware;
  return {
    id,
    hardware_type,
    assembly_id,
    requires,
    minimum_from_version_num,
    version_num: status === 'available' ? firmware.version_num : null,
  };
};

const notAvailable = (firmware: Firmware | undefined): DomainError => {
  const { status, reason } = firmware ?? {};
  const message = firmware ? `is ${status}${reason ? `: ${reason}` : ''}` : 'is not the id of a firmware';
  return new DomainError('firmware.not_available', `The firmware ${message}`, {
    errors: [{ in: 'body', path: 'firmware_id', message }],
    ...(status && { answer: { firmware_status: status } }),
  });
};

const answerAgain = async (
  trx: Trx,
  { advances, now }: RequestUpdateDeps,
  known: IdempotentUpdate,
  request_hash: string,
): Promise<Update> => {
  if (known.request_hash === request_hash) {
    const answer = known.answer ?? (await getRequestedUpdate(trx, known.id));
    const locked = await lockUpdate(trx, known.id);
    if (locked) await wakeUpdate(trx, advances, locked, now());
    return answer;
  }
  throw keyReused('update', known.id);
};
