// Where the simulated fleet stands.
import type { AddZoneBody, RegisterDevicesBodyDevicesItem as NewDevice } from '../clients/api/src/index.ts';

export const localZones = [
  { name: 'north', time_zone: 'Europe/Moscow', comment: 'Harbour and university' },
  { name: 'centre', time_zone: 'Europe/Moscow', comment: 'Busy at any hour' },
  { name: 'south', time_zone: 'Europe/Moscow', comment: 'Parks and the airport' },
] as const satisfies AddZoneBody[];

/** Every third device of a list in one zone; one in nine is collected at night, one in forty is ridden by employees. */
export const inLocalZones = (devices: readonly NewDevice[]): NewDevice[] =>
  devices.map((device, index) => ({
    ...device,
    zone: localZones[index % localZones.length]?.name ?? null,
    tags: [...(index % 9 === 0 ? ['night'] : []), ...(index % 40 === 1 ? ['staff'] : [])],
  }));
