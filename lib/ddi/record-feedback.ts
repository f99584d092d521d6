import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { sendAhead } from '../db/pipeline.ts';
import { DomainError } from '../errors.ts';
import type { Queue } from '../ports/queue.ts';
import type { Report } from '../report/confirmation.ts';
import { recordReports } from '../report/record-reports.ts';
import type { AdvanceMessage } from '../update/messages.ts';
import { type DeviceWork, workStateOf } from '../update/reach/device-work.ts';
import { findEndedWork, noteProgress } from '../update/reach/device-work-queries.ts';
import { cancelWordOf, detailOf, wordOf } from './feedback.ts';
import { type IotDevice, listWork, wantConfigData } from './iot-device-queries.ts';
import type { ActionFeedback } from './protocol.ts';

export interface RecordFeedbackDeps {
  db: Db;
  /** Missing: no update is woken. */
  advances?: Queue<AdvanceMessage> | undefined;
  now: Clock;
}

/**
 * Stores what a device says about something that it was offered. Late and repeated feedback is accepted, because clients send it until it is,
 * but it changes nothing any more.
 *
 * `closed` with success is no proof yet, unless the hardware type says so: the device is asked for its version. All tries of an execution are
 * one action of the protocol, so feedback about an earlier try can be told only by its `timestamp`.
 *
 * @throws `execution.not_found` for an action that is not this device's own.
 */
export async function recordFeedback(
  deps: RecordFeedbackDeps,
  device: IotDevice,
  actionId: number,
  feedback: ActionFeedback,
): Promise<void> {
  const word = wordOf(feedback);
  const work = await findOwnWork(deps, device, actionId);
  if (!work) return;
  const detail = detailOf(feedback);
  if (word === 'at_work') return noteProgress(deps.db, { device_id: device.device_id, execution_id: actionId, detail, now: deps.now() });
  const isBelieved = word === 'installed' && work.proof === 'feedback';
  const said = isBelieved ? { status: 'SUCCEEDED' as const, version: work.wanted_version } : { status: statuses[word], version: null };
  const { hardware_type } = work;
  await record(deps, device, { ...said, hardware_type, execution_id: actionId, detail: detail ?? undefined }, feedback.timestamp);
}

const statuses = { installed: 'INSTALLED', failed: 'FAILED', declined: 'REJECTED', canceled: 'CANCELED' } as const;

/**
 * What a device answers when it is asked to stop.
 *
 * @throws `execution.not_found` for an action that is not this device's own.
 */
export async function recordCancelFeedback(
  deps: RecordFeedbackDeps,
  device: IotDevice,
  actionId: number,
  feedback: ActionFeedback,
): Promise<void> {
  const word = cancelWordOf(feedback);
  const work = await findOwnWork(deps, device, actionId);
  if (!work || word === 'at_work') return;
  const status = word === 'canceled' ? 'CANCELED' : 'CANCEL_REFUSED';
  await record(deps, device, {
    ...{ status, version: null, hardware_type: work.hardware_type },
    ...{ execution_id: actionId, detail: detailOf(feedback) ?? undefined },
  });
}

interface OwnWork {
  hardware_type: string;
  proof: DeviceWork['proof'];
  wanted_version: string;
}

/** Undefined when feedback can change nothing: the device never took the execution, or it has ended and a later one has followed. */
const findOwnWork = async ({ db, now }: RecordFeedbackDeps, device: IotDevice, actionId: number): Promise<OwnWork | undefined> => {
  const work = (await listWork(db, device, now())).find(({ execution_id }) => execution_id === actionId);
  if (!work) {
    const ended = await findEndedWork(db, device.device_id, actionId);
    if (!ended) throw new DomainError('execution.not_found', `This device has no such action ${actionId}`);
    return ended.is_latest ? ended : undefined;
  }
  const { hardware_type, proof, firmware } = work;
  const isTaken = ['working', 'canceling', 'proving'].includes(workStateOf(work));
  return isTaken ? { hardware_type, proof, wanted_version: firmware.version } : undefined;
};

type Said = Pick<Report, 'status' | 'version' | 'hardware_type' | 'execution_id' | 'detail'>;

const record = (
  { db, advances, now }: RecordFeedbackDeps,
  { device_id, kind, external_id }: IotDevice,
  said: Said,
  occurred_dt = now(),
): Promise<void> =>
  db.transaction().execute(async (trx) => {
    await recordReports(trx, [{ ...said, kind, external_id, occurred_dt, source: 'feedback' }], now(), { advances });
    // However it has ended, the service wants to know what the device runs now.
    await sendAhead(trx, [wantConfigData(device_id)]);
  });
