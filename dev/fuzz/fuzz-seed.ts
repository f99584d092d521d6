// A small catalogue and fleet in which generated requests find something: without it nearly all of them would end in 404.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, createClient, startUpdate, type UpdateRequest, uploadFirmware } from '../../clients/api/src/index.ts';
import type { Stack } from '../stack/stack.ts';

/** Values that exist, by the name of the parameter or field that takes them. */
export interface Seed {
  hardware_types: string[];
  firmware_ids: number[];
  /** Parts of packages. */
  part_ids: number[];
  /** Some have ended, some are running, and some begin in years. */
  update_ids: number[];
  /** For requests that pause and resume; no request cancels these. */
  running_update_ids: number[];
  assembly_ids: number[];
  observation_ids: number[];
  zones: string[];
  scooters: string[];
  cabinets: string[];
  controller: Controller;
}

/** A cabinet that polls and has work. Its actions (executions) are grouped by the kind of request that uses them. */
interface Controller {
  id: string;
  token: string;
  filename: string;
  /** The firmwares whose files it is to install. */
  module_ids: number[];
  to_install: number[];
  /** For feedback, which ends them; so no other requests use these. */
  to_report: number[];
  to_stop: number[];
  to_report_stopped: number[];
  installed: number[];
}

const SCOOTERS = 30;
/** The device in the document's examples, with which generated requests begin. */
const POLLING = 'C-17';
const TENANT = 'default';
const ACTIONS = { to_install: 3, to_report: 4, to_stop: 2, to_report_stopped: 4, installed: 2 } as const;
const SCHEDULED_UPDATES = 4;
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
  const zones = await inTurn(['north', 'south'], async (name) => (await client.addZone({ name, time_zone: 'Europe/Berlin' })).name);
  // This comes first, so that its actions have the smallest ids, which requests at the lower bound of a parameter use.
  const controller = await giveWork(stack, client);

  const mcu = await upload(client, 'vega_mcu', '1.1.0');
  const newer = await upload(client, 'vega_mcu', '1.2.0');
  const gsm = await upload(client, 'vega_gsm', '7.0');
  const reserved = await client.uploadFirmware({ hardware_type: 'audio_lock', version: '3.0', size_bytes: 64, sha256: 'a'.repeat(64) });
  const ended = await request(client, { firmware_id: mcu, targets: { external_ids: scooters.slice(0, 10) } });
  const begin = (external_ids: string[]) =>
    request(client, { firmware_id: newer, targets: { external_ids }, rollout: { maximum_per_minute: 1 } });
  const open = await begin(scooters.slice(10, 20));
  const running = await begin(scooters.slice(20));
  const scheduled = await inTurn(scooters.slice(0, SCHEDULED_UPDATES), (scooter) =>
    request(client, { firmware_id: gsm, targets: { external_ids: [scooter] }, start_dt: '2100-01-01T00:00:00Z' }),
  );
  const observation = await client.requestObservation({ targets: { external_ids: scooters } }, {});
  const assembly = await client.requestAssembly({ hardware_type: 'yandex_iot', version: '2.1', parts: [{ firmware_id: gsm }] }, {});
  await waitFor('the first update has ended', async () => (await client.getUpdate(ended)).finished_dt !== null);
  return {
    hardware_types: ['vega_mcu', 'vega_gsm', 'cabinet'],
    firmware_ids: [mcu, newer, gsm, reserved.id],
    part_ids: [gsm],
    running_update_ids: [running],
    update_ids: [ended, open, ...scheduled],
    assembly_ids: [assembly.id],
    observation_ids: [observation.id],
    // Without the polling cabinet: a request would replace its token.
    ...{ zones, scooters, cabinets: cabinets.slice(1), controller },
  };
}

/** Makes the polling cabinet take as many actions as needed. Each has its own hardware type, because a device has one execution per type. */
async function giveWork(stack: Stack, client: Client): Promise<Controller> {
  const { token } = await client.issueDeviceToken('cabinet', POLLING, {});
  const base = `${stack.api_url}/${TENANT}/controller/v1/cabinet.${POLLING}`;
  const headers = { authorization: `TargetToken ${token}`, 'content-type': 'application/json' };
  const ask = (path: string, body?: object) =>
    fetch(`${base}${path}`, { headers, ...(body && { method: 'POST', body: JSON.stringify(body) }) });
  const report = (id: number, execution: string) =>
    ask(`/deploymentBase/${id}/feedback`, { status: { execution, result: { finished: 'success' } } });

  const count = Object.values(ACTIONS).reduce((sum, each) => sum + each, 0);
  const given = await inTurn(named('part_', count), async (name) => {
    await client.addHardwareType({ name, device_kind: 'cabinet', channel: 'iot', max_size_bytes: 1_000_000, proof: 'feedback' });
    const firmware_id = await upload(client, name, '1.0');
    const targets = { kind: 'cabinet' as const, external_ids: [POLLING] };
    const update_id = await request(client, { firmware_id, targets, timeouts: { in_progress_minutes: 1_000 } });
    const [execution] = (await client.listExecutions(update_id, {})).items;
    if (!execution) throw new Error(`Update ${update_id} has no execution`);
    return { firmware_id, update_id, action_id: execution.id };
  });
  for (const { action_id } of given) {
    await waitFor(`action ${action_id} is offered and taken`, async () => {
      await ask('');
      return (await ask(`/deploymentBase/${action_id}`)).ok;
    });
  }
  const take = (number: number) => given.splice(0, number);
  const toInstall = take(ACTIONS.to_install);
  const toReport = take(ACTIONS.to_report);
  const toStop = take(ACTIONS.to_stop);
  const toReportStopped = take(ACTIONS.to_report_stopped);
  for (const { update_id } of [...toStop, ...toReportStopped]) await client.cancelUpdate(update_id, {});
  for (const { action_id } of given) await report(action_id, 'closed');
  const actionIds = (actions: typeof given) => actions.map(({ action_id }) => action_id);
  return {
    ...{ id: `cabinet.${POLLING}`, token, filename: 'firmware.bin', module_ids: toInstall.map(({ firmware_id }) => firmware_id) },
    ...{ to_install: actionIds(toInstall), to_report: actionIds(toReport), installed: actionIds(given) },
    ...{ to_stop: actionIds(toStop), to_report_stopped: actionIds(toReportStopped) },
  };
}

const named = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}${index + 1}`);

async function inTurn<Item, Made>(items: readonly Item[], make: (item: Item) => Promise<Made>): Promise<Made[]> {
  const made: Made[] = [];
  for (const item of items) made.push(await make(item));
  return made;
}

const upload = async (client: Client, hardware_type: string, version: string): Promise<number> =>
  (await uploadFirmware(client, { hardware_type, version }, new Blob([new Uint8Array(randomBytes(1_000))]))).id;

const request = async (client: Client, update: UpdateRequest): Promise<number> =>
  (await startUpdate(client, { canary: null, ...update })).id;

async function waitFor(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + WAIT_SECONDS * 1_000;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`Still not true after ${WAIT_SECONDS} s: ${what}`);
    await sleep(100);
  }
}
