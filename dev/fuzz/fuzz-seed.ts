// A small catalogue and fleet in which generated requests find something: without it nearly all of them would end in 404.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, createClient, startUpdate, type UpdateRequest, uploadFirmware } from '../../clients/api/src/index.ts';
import type { Stack } from '../stack/stack.ts';

/** What there is, by the name of the parameter or field that asks for it. */
export interface Seed {
  firmware_ids: number[];
  update_ids: number[];
  assembly_ids: number[];
  observation_ids: number[];
  scooters: string[];
  cabinets: string[];
  /** A cabinet with work of its own, as its device protocol names it. */
  controller: { id: string; token: string; action_ids: number[]; module_ids: number[]; filename: string };
}

const SCOOTERS = 30;
const POLLING = 'C-POLLS';
const WAIT_SECONDS = 60;

export async function seed(stack: Stack): Promise<Seed> {
  const client = createClient({ url: stack.api_url, token: stack.token });
  const scooters = named('S-', SCOOTERS);
  const cabinets = [POLLING, ...named('C-', 5)];
  await client.registerDevices({
    devices: [
      ...scooters.map((external_id, index) => ({ kind: 'scooter' as const, external_id, version: ((index % 2) + 1) as 1 | 2 })),
      ...cabinets.map((external_id) => ({ kind: 'cabinet' as const, external_id })),
    ],
  });
  const { token } = await client.issueDeviceToken('cabinet', POLLING, {});

  const mcu = await upload(client, 'vega_mcu', '1.1.0');
  const newer = await upload(client, 'vega_mcu', '1.2.0');
  const gsm = await upload(client, 'vega_gsm', '7.0');
  const box = await upload(client, 'cabinet', '2.0');
  const reserved = await client.uploadFirmware({ hardware_type: 'audio_lock', version: '3.0', size_bytes: 64, sha256: 'a'.repeat(64) });
  const ended = await request(client, mcu, { kind: 'scooter', external_ids: scooters.slice(0, 10) });
  const open = await request(client, newer, { kind: 'scooter', external_ids: scooters.slice(10) }, { maximum_per_minute: 1 });
  const polled = await request(client, box, { kind: 'cabinet', external_ids: [POLLING] });
  const observation = await client.requestObservation({ targets: { external_ids: scooters } }, {});
  const assembly = await client.requestAssembly({ hardware_type: 'yandex_iot', version: '2.1', parts: [{ firmware_id: gsm }] }, {});
  await waitFor('the first update has ended', async () => (await client.getUpdate(ended)).finished_dt !== null);
  const { items } = await client.listExecutions(polled, {});
  return {
    firmware_ids: [mcu, newer, gsm, box, reserved.id],
    update_ids: [ended, open, polled],
    assembly_ids: [assembly.id],
    observation_ids: [observation.id],
    // Not the one that polls: its token would be replaced by another.
    ...{ scooters, cabinets: cabinets.slice(1) },
    controller: {
      ...{ id: `cabinet.${POLLING}`, token, filename: 'firmware.bin' },
      ...{ action_ids: items.map(({ id }) => id), module_ids: [box] },
    },
  };
}

const named = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}${index + 1}`);

const upload = async (client: Client, hardware_type: string, version: string): Promise<number> =>
  (await uploadFirmware(client, { hardware_type, version }, new Blob([new Uint8Array(randomBytes(1_000))]))).id;

const request = async (
  client: Client,
  firmware_id: number,
  targets: UpdateRequest['targets'],
  rollout: NonNullable<UpdateRequest['rollout']> = {},
): Promise<number> => (await startUpdate(client, { firmware_id, targets, rollout, canary: null })).id;

async function waitFor(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + WAIT_SECONDS * 1_000;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`Not so after ${WAIT_SECONDS} s: ${what}`);
    await sleep(100);
  }
}
