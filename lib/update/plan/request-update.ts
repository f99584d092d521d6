import { type NewAuditLine, writeAuditLines } from '../../audit/audit-queries.ts';
import type { Clock } from '../../clock.ts';
import type { Db, Trx } from '../../db/database.ts';
import { violatedConstraint } from '../../db/database-error.ts';
import { findIdempotentRequest, keepAnswer, keyReused } from '../../db/idempotent-requests.ts';
import { DomainError } from '../../errors.ts';
import { findFirmware, findFirmwareForPlan } from '../../firmware/firmware-queries.ts';
import type { DeviceFilter } from '../../fleet/device-filter.ts';
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
import { insertExecutions, type Superseded } from './plan-queries.ts';
import { endReplaced, lockReplaced, wakeReplaced } from './replace-update.ts';
import { noteDevicesInFlight } from './take-in-queries.ts';
import { mostTakenOver } from './take-over.ts';
import { holdOlderUpdates, type OlderUpdate, takeOverDevices } from './take-over-queries.ts';
import { notAvailable, toWanted } from './wanted-firmware.ts';

export interface RequestUpdateDeps {
  db: Db;
  advances: Queue<AdvanceMessage>;
  /** Whether there is a bus that the update's events go to (../walk/tell-events.ts). */
  tellsEvents?: boolean;
  /** An update of more devices waits until somebody else approves it; null or missing: none does. */
  approvalAbove?: number | null;
  /** Fewer than usual ({@link mostTakenOver}), so that a test needs only a few devices. */
  mostTakenOver?: number;
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

/** How often a plan is begun: anew each time that another request for the same devices was committed meanwhile. */
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
  const targets = await chooseTargets(trx, input);
  const isAnyStopped = await beginPlan(trx, input.supersede);
  const replaced = await lockReplaced(trx, input, firmware);
  const id = await insertUpdate(trx, toNewUpdate(input, firmware, { request_hash, created_dt, told: deps.tellsEvents ? '' : null }));
  if (id === undefined) {
    // Another request with the same key was under way and has just been committed.
    const other = await findIdempotentRequest<Update>(trx, 'update', created_by, idempotency_key ?? '');
    if (!other) throw new Error('An update that could not be inserted because its key is known is not known');
    return answerAgain(trx, deps, other, request_hash);
  }
  const choice = { targets, firmware, allow_downgrade, force, unknown_version, now: created_dt };
  const isReplacing = replaced && !needsApproval(0, deps.approvalAbove, input.continuous);
  const caller = { subject: created_by, request_id: input.request_id };
  const looking = isReplacing ? await endReplaced(trx, replaced, id, caller, created_dt) : [];
  const older = input.supersede ? await holdOlderUpdates(trx, id, firmware.hardware_type) : [];
  const superseded = await plan(trx, id, choice, input, { ...deps, older, isAnyStopped: isAnyStopped || replaced !== undefined });
  const answer = await getRequestedUpdate(trx, id);
  if (idempotency_key !== undefined) await keepAnswer(trx, 'update', answer);
  await auditRequest(trx, input, answer, superseded);
  if (isReplacing) await wakeReplaced(trx, deps.advances, { replaced, looking }, created_dt);
  // The last act before the commit (../README.md, "A committed row and its message").
  const steps = [{ update_id: id, step: 0, created_dt }, ...stepsOf(older, superseded)];
  await deps.advances.send(steps, { delaySeconds: firstStepDelaySeconds });
  return answer;
};

/** Bounds the messages of one request. Other updates that lose devices notice it with their next step. */
const maximumWoken = 50;

/** The next steps of updates that lose devices: one that has none left, and sleeps until a window opens, then ends at once. */
const stepsOf = (older: readonly OlderUpdate[], superseded: readonly Superseded[]): AdvanceMessage[] => {
  const losing = new Set(superseded.map(({ update_id }) => update_id));
  const woken = older.filter(({ id }) => losing.has(id)).slice(0, maximumWoken);
  return woken.map(({ id, next_step, created_dt }) => ({ update_id: id, step: next_step, created_dt }));
};

const auditRequest = async (
  trx: Trx,
  { created_by, request_id, targets, supersede, retry_of_update_id }: RequestUpdate,
  answer: Update,
  superseded: readonly Superseded[],
) => {
  const {
    id,
    firmware_id,
    hardware_type,
    firmware_version,
    counts,
    not_eligible,
    rollout,
    comment,
    created_dt,
    continuous,
    replaces_update_id,
  } = answer;
  const outcome = {
    ...{ firmware_id, hardware_type, firmware_version, rollout, comment },
    targets: 'external_ids' in targets ? { kind: targets.kind, devices: targets.external_ids.length } : targets,
    needs_approval: answer.approval !== null,
    ...{ eligible: counts.QUEUED, already_on_target: counts.SUCCEEDED, not_eligible },
    ...(retry_of_update_id !== undefined && { retry_of_update_id }),
    ...(continuous && { continuous, replaces_update_id }),
    ...(supersede && { superseded }),
  };
  const line = (update_id: number, action: string, what: object): NewAuditLine => ({
    ...{ action, resource: 'update', resource_id: String(update_id), outcome: { ...what } },
  });
  const ofOthers = superseded.map(({ update_id, executions }) => line(update_id, 'supersede', { by_update_id: id, canceled: executions }));
  await writeAuditLines(trx, { subject: created_by, request_id }, [line(id, 'request', outcome), ...ofOthers], created_dt);
};

/**
 * Another release of the service may be deployed between a request and its repetition. Fields that the former release did not know count only
 * when they differ from their defaults, so that both releases make the same hash.
 */
const hashOfRequest = ({ idempotency_key: _key, created_by: _caller, request_id: _id, retry_of_update_id, ...request }: RequestUpdate) => {
  const { maximum_unavailable_percentage, ...rollout } = request.rollout;
  return hashOf({
    ...request,
    rollout: { ...rollout, ...(maximum_unavailable_percentage !== 100 && { maximum_unavailable_percentage }) },
    window: request.window ?? undefined,
    ignore_window: request.ignore_window || undefined,
    continuous: request.continuous || undefined,
    replaces_update_id: request.replaces_update_id ?? undefined,
    supersede: request.supersede || undefined,
    retry_of_update_id,
  });
};

const toNewUpdate = (
  input: RequestUpdate,
  firmware: WantedFirmware,
  rest: Pick<NewUpdate, 'request_hash' | 'created_dt' | 'told'>,
): NewUpdate => {
  const { firmware_id, rollout, timeouts, retry, abort, start_dt, allow_downgrade, force, unknown_version, supersede, comment } = input;
  return {
    ...{ firmware_id, abort, start_dt, allow_downgrade, force, unknown_version, supersede, comment, ...timeouts, ...rollout },
    window: input.window,
    ignore_window: input.ignore_window,
    number_of_retries: retry.number_of_retries,
    retry_failure_types: retry.failure_types,
    retry_of_update_id: input.retry_of_update_id ?? null,
    ...openingOf(input, firmware, rest.created_dt),
    idempotency_key: input.idempotency_key ?? null,
    request_id: input.request_id,
    created_by: input.created_by,
    ...rest,
  };
};

/** What only a continuous update has. When it has been open for a minute, it looks at all devices once more (take-in.ts). */
const openingOf = ({ continuous, targets, replaces_update_id }: RequestUpdate, firmware: WantedFirmware, created_dt: Date) => ({
  continuous,
  targets: continuous && !('external_ids' in targets) ? targets : null,
  open_group: continuous && 'group' in targets ? targets.group : null,
  heeds_all_types:
    continuous && (firmware.requires.length > 0 || 'group' in targets || ('filter' in targets && dependsOnVersions(targets.filter))),
  replaces_update_id,
  woken_dt: continuous ? created_dt : null,
  looked_at_device_id: continuous ? 0 : null,
});

/** Whether the filter asks what devices run, of this hardware type or of another one. */
const dependsOnVersions = ({ running, not_running, older_than_firmware_id, unknown_version }: DeviceFilter): boolean =>
  [running, not_running, older_than_firmware_id, unknown_version].some((condition) => condition !== undefined);

interface PlanDeps extends Pick<RequestUpdateDeps, 'tellsEvents' | 'approvalAbove' | 'mostTakenOver'> {
  isAnyStopped: boolean;
  /** Updates that are held while this one supersedes them. */
  older: readonly OlderUpdate[];
}

/** Inserts the executions of an update, and stores how many devices its canary has. Answers which older updates lose devices to it. */
const plan = async (
  trx: Trx,
  id: number,
  choice: Choice,
  { canary, continuous, supersede }: UpdateRequest,
  { tellsEvents = false, approvalAbove, mostTakenOver: limit = mostTakenOver, isAnyStopped, older }: PlanDeps,
): Promise<Superseded[]> => {
  const isAbandonedInFlight = isAnyStopped && !(await endAbandonedExecutions(trx, choice));
  // These updates take in later what cannot be ended at once.
  if (isAbandonedInFlight && !continuous && !supersede) throw canceling();
  const decided = { ...choice, isAbandonedInFlight, supersedesBelow: supersede ? id : null };
  const { planned, already_on_target, includes_iot, superseded } = await insertExecutions(trx, id, decided, { tellsEvents });
  let takenOnTarget = 0;
  if (superseded.length > 0) {
    const held = older.map((update) => update.id);
    const takeOver = { ...choice, update_id: id, filter: null, held, limit, tellsEvents, hasEnded: false };
    takenOnTarget = (await takeOverDevices(trx, takeOver)).alreadyOnTarget;
  }
  const eligible = countEligible(planned);
  const takesInLater = (continuous || supersede) && Boolean(planned.UPDATE_IN_FLIGHT);
  if (takesInLater && !supersede) await noteDevicesInFlight(trx, id, choice.firmware.hardware_type);
  if (eligible === 0 && !planned.ALREADY_ON_TARGET && !continuous && !takesInLater) {
    throw new DomainError('update.nothing_eligible', 'None of the chosen devices can be updated', { answer: { not_eligible: planned } });
  }
  await setPlan(trx, id, {
    planned,
    already_on_target: already_on_target + takenOnTarget,
    includes_iot,
    canary: planCanary(canary, eligible, continuous || takesInLater),
    needs_approval: needsApproval(eligible, approvalAbove, continuous),
  });
  return superseded;
};

/** Whether somebody else has to approve an update of so many devices. A continuous one may grow to any number. */
export const needsApproval = (eligible: number, approvalAbove: number | null | undefined, continuous: boolean): boolean =>
  approvalAbove != null && (continuous || eligible > approvalAbove);

const canceling = (): DomainError =>
  new DomainError(
    'update.canceling',
    'More than 10,000 of the chosen devices are still in an update that was just stopped. Its executions are being ended, ' +
      'which takes a minute or two. Repeat the request then, or name up to 10,000 devices: these can be updated at once',
    { retryAfterSeconds: 15 },
  );

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
