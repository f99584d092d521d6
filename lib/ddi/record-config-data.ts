import type { Clock } from '../clock.ts';
import type { Db, Trx } from '../db/database.ts';
import { sendAhead } from '../db/pipeline.ts';
import { DomainError } from '../errors.ts';
import { listVersionAttributes } from '../firmware/hardware-type-queries.ts';
import type { Queue } from '../ports/queue.ts';
import type { Report } from '../report/confirmation.ts';
import { recordReports } from '../report/record-reports.ts';
import type { AdvanceMessage } from '../update/messages.ts';
import { workStateOf } from '../update/reach/device-work.ts';
import { noteDetails } from '../update/reach/device-work-queries.ts';
import { readVersions, type ToldVersion, toAttributes } from './config-data.ts';
import { type IotDevice, listWork, storeConfigData } from './iot-device-queries.ts';
import type { ConfigData } from './protocol.ts';

export interface RecordConfigDataDeps {
  db: Db;
  /** Missing: no update is woken. */
  advances?: Queue<AdvanceMessage> | undefined;
  now: Clock;
}

/**
 * The device tells its attributes, among them the versions that it runs; each version is a report like any other. A value that cannot be a
 * version does not affect the others; it is noted with the execution that waits for this version, and the device is asked again. `remove`
 * takes attributes away and says nothing about versions.
 *
 * @throws `request.invalid`, after everything else is stored, naming every attribute that should be a version and is not.
 */
export async function recordConfigData(
  { db, advances, now }: RecordConfigDataDeps,
  device: IotDevice,
  configData: ConfigData,
): Promise<void> {
  const occurred_dt = now();
  const { mode, data } = configData;
  const versions = mode === 'remove' ? [] : readVersions(await listVersionAttributes(db, device.kind, device.version), data);
  const reports = versions.flatMap((each) => toReport(device, each, occurred_dt));
  const errors = versions.flatMap(({ attribute, told }) =>
    told && 'problem' in told ? [{ in: 'body' as const, path: `data.${attribute}`, message: told.problem }] : [],
  );
  await db.transaction().execute(async (trx) => {
    if (reports.length > 0) await recordReports(trx, reports, occurred_dt, { advances });
    await noteUntold(trx, device, versions, occurred_dt);
    const isWantedAgain = errors.length > 0;
    await sendAhead(trx, [storeConfigData(device.device_id, toAttributes(configData), { isWantedAgain, now: occurred_dt })]);
  });
  const summary = errors.map(({ path, message }) => `${path} (${message})`).join(', ');
  if (errors.length > 0) throw new DomainError('request.invalid', `Wrong, and all others stored: ${summary}`, { errors });
}

const toReport = ({ kind, external_id }: IotDevice, { hardware_type, told }: ToldVersion, occurred_dt: Date): Report[] =>
  told && 'version' in told
    ? [{ kind, external_id, hardware_type, version: told.version, status: 'SUCCEEDED', occurred_dt, source: 'config_data' }]
    : [];

/** Notes, with an execution that waits for proof, what the device told instead, so that a later end at the deadline has an explanation. */
const noteUntold = async (trx: Trx, device: IotDevice, versions: readonly ToldVersion[], now: Date): Promise<void> => {
  const untold = versions.filter(({ told }) => !(told && 'version' in told));
  if (untold.length === 0) return;
  const notes = (await listWork(trx, device, now)).flatMap((work) => {
    const version = untold.find(({ hardware_type }) => hardware_type === work.hardware_type);
    const state = workStateOf(work);
    if (!version || !['working', 'canceling', 'proving'].includes(state)) return [];
    // A device at work has nothing to prove yet.
    if (!version.told && state !== 'proving') return [];
    return [{ device_id: device.device_id, execution_id: work.execution_id, note: noteOf(version) }];
  });
  await sendAhead(trx, noteDetails(notes));
};

const noteOf = ({ attribute, told }: ToldVersion): string =>
  told && 'problem' in told
    ? `The device told ${attribute} = ${told.sent}, which was not taken: ${told.problem}`
    : `The device told its attributes without ${attribute}`;
