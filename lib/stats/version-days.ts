import { addSeconds } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { findHardwareType } from '../firmware/hardware-type-queries.ts';
import { findUnknownHardwareType, missingSubjects } from '../firmware/missing-subjects.ts';
import { shareOf, type VersionDays } from './stats.ts';
import { type DayCounts, listDayCounts } from './version-day-queries.ts';

const secondsPerDay = 86_400;
const textOf = (time: Date): string => time.toISOString().slice(0, 10);

/**
 * The share of the devices that ran each version, at the end of each of the last days, including today.
 *
 * @throws `request.invalid` when there is no such hardware type.
 */
export async function getVersionDays(db: Db, hardware_type: string, days: number, now: Date): Promise<VersionDays> {
  if (!(await findHardwareType(db, hardware_type))) {
    throw missingSubjects(await findUnknownHardwareType(db, { in: 'query', path: 'hardware_type' }, hardware_type));
  }
  const first = textOf(addSeconds(now, -(days - 1) * secondsPerDay));
  const { begun, current } = await listDayCounts(db, hardware_type, first);
  return { hardware_type, days: endsOfDays(begun, current, { first, days }).map(toShares) };
}

/**
 * Counts are kept at the beginning of each day that has reports. So the counts at the end of a day are those at the beginning of the next such
 * day; after the last of them, those of now. About the time before the first such day nothing is known.
 */
export const endsOfDays = (
  begun: readonly DayCounts[],
  current: Omit<DayCounts, 'day'>,
  { first, days }: { first: string; days: number },
): DayCounts[] => {
  const [earliest] = begun;
  if (!earliest) return [];
  const all = Array.from({ length: days }, (_, i) => textOf(addSeconds(new Date(`${first}T00:00:00Z`), i * secondsPerDay)));
  let next = 0;
  return all.flatMap((day) => {
    while ((begun[next]?.day ?? '9') <= day) next += 1;
    return day >= earliest.day ? [{ ...(begun[next] ?? current), day }] : [];
  });
};

const toShares = ({ day, device_count: devices, versions }: DayCounts): VersionDays['days'][number] => {
  const shown = Object.entries(versions).map(([version, n]) => ({ version, devices: n, share: shareOf(n, devices) }));
  const others = devices - shown.reduce((sum, version) => sum + version.devices, 0);
  return {
    day,
    devices,
    versions: shown.sort((a, b) => b.devices - a.devices || (a.version < b.version ? -1 : 1)),
    other_versions: { devices: others, share: shareOf(others, devices) },
  };
};
