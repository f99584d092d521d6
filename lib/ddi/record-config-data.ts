import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import { listVersionAttributes } from '../firmware/hardware-type-queries.ts';
import { FirmwareVersion } from '../firmware/version.ts';
import { recordReports } from '../report/record-reports.ts';
import { type IotDevice, markConfigData } from './iot-device-queries.ts';
import type { ConfigData } from './protocol.ts';

/**
 * The device tells its attributes, among them the versions that it runs: each is a report like any other. Attributes that name no version
 * are not kept.
 *
 * @throws `request.invalid` for a version that can be none.
 */
export async function recordConfigData({ db, now }: { db: Db; now: Clock }, device: IotDevice, { mode, data }: ConfigData): Promise<void> {
  const { device_id, kind, external_id, version: generation } = device;
  const occurred_dt = now();
  const attributes = mode === 'remove' ? [] : await listVersionAttributes(db, kind, generation);
  const reports = attributes.flatMap(({ hardware_type, attribute }) => {
    const value = data[attribute];
    if (value === undefined || value === null || value === '') return [];
    const version = parseVersion(attribute, value);
    return [{ kind, external_id, hardware_type, version, status: 'SUCCEEDED' as const, occurred_dt, source: 'config_data' as const }];
  });
  await db.transaction().execute(async (trx) => {
    if (reports.length > 0) await recordReports(trx, reports, occurred_dt);
    await markConfigData(trx, device_id, occurred_dt);
  });
}

const parseVersion = (attribute: string, value: unknown): string => {
  const result = FirmwareVersion.safeParse(typeof value === 'number' ? String(value) : value);
  if (result.success) return result.data;
  const errors = result.error.issues.map(({ message }) => ({ in: 'body' as const, path: `data.${attribute}`, message }));
  throw new DomainError('request.invalid', `Wrong: data.${attribute} (${errors[0]?.message})`, { errors });
};
