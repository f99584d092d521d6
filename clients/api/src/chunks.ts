import type { Client } from './client.ts';
import type { Device, RegisterDevicesBodyDevicesItem } from './generated.ts';

/** What one request takes. */
const devicesPerRegistration = 10_000;
const devicesPerLookUp = 1_000;

/** Registers any number of devices, in as many requests as it takes. Repeating it changes nothing. */
export const registerAll = async (client: Client, devices: readonly RegisterDevicesBodyDevicesItem[]): Promise<void> => {
  for (const chunk of chunksOf(devices, devicesPerRegistration)) await client.registerDevices({ devices: chunk });
};

/** What any number of devices run, in as many requests as it takes; those that are not known are left out. */
export const lookUpAll = async (client: Client, kind: Device['kind'], external_ids: readonly string[]): Promise<Device[]> => {
  const found: Device[] = [];
  for (const chunk of chunksOf(external_ids, devicesPerLookUp)) {
    found.push(...(await client.lookUpDevices({ kind, external_ids: chunk })).items);
  }
  return found;
};

function* chunksOf<Item>(items: readonly Item[], size: number): Generator<Item[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}
