import type { Db } from '../db/database.ts';
import type { DeviceKind } from './device.ts';
import type { DeviceWithHistory } from './device-detail.ts';
import { deviceNotFound } from './device-exists.ts';
import { findDeviceWithAttributes, type HistoryFilter, listDevicesWithFirmwares, listHistory } from './device-queries.ts';
import type { Device } from './shown-device.ts';

/** @throws `device.not_found` */
export async function getDevice(db: Db, kind: DeviceKind, external_id: string): Promise<Device> {
  const [device] = await listDevicesWithFirmwares(db, kind, [external_id]);
  if (!device) throw deviceNotFound(kind, external_id);
  return device;
}

export interface DeviceQuery extends HistoryFilter {
  /** Whether the past is wanted too. */
  history: boolean;
}

/**
 * A device with what it runs and its attributes; with a page of its history if the caller asks for it.
 *
 * @throws `device.not_found`
 */
export async function getDeviceWithHistory(db: Db, { history, ...filter }: DeviceQuery): Promise<DeviceWithHistory> {
  const { kind, external_id } = filter;
  const device = await findDeviceWithAttributes(db, kind, external_id);
  if (!device) throw deviceNotFound(kind, external_id);
  return history ? { ...device, history: await listHistory(db, filter) } : device;
}

/** Known devices in the order of their ids, and the ids that no device has, each once. */
export async function lookUpDevices(
  db: Db,
  kind: DeviceKind,
  externalIds: readonly string[],
): Promise<{ items: Device[]; unknown: string[] }> {
  const items = await listDevicesWithFirmwares(db, kind, externalIds);
  const known = new Set(items.map(({ external_id }) => external_id));
  return { items, unknown: [...new Set(externalIds)].filter((id) => !known.has(id)) };
}
