// A stock client against the running service: Debian's SWUpdate takes signed packages that our API serves.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFailed } from 'vitest';
import { type Client, createClient, startUpdate, uploadFirmware } from '../../clients/api/src/index.ts';
import { type Stack, startStack } from '../../dev/stack/stack.ts';
import { buildPackage, createSigner, type Signer } from '../../dev/swupdate/swupdate-package.ts';
import { copyReadable, createDeviceFolder, findWhySwupdateIsMissing, keepOutput, Swupdate } from '../support/swupdate.ts';

const missing = findWhySwupdateIsMissing();
if (missing)
  console.error(`\n\n!!! SWUpdate CANNOT BE TRIED HERE: ${missing}. The protocol of devices is not held against a real client.\n\n`);

const logs = fileURLToPath(new URL('../../.build/swupdate-logs', import.meta.url));

describe.skipIf(missing)('Debian’s SWUpdate', () => {
  const directory = mkdtempSync(join(tmpdir(), 'swupdate-test-'));
  let stack: Stack;
  let api: Client;
  let signer: Signer;
  let stranger: Signer;
  const open: { stop(): unknown }[] = [];
  let running: Swupdate | undefined;

  beforeAll(async () => {
    [signer, stranger] = [createSigner(directory, 'signer'), createSigner(directory, 'stranger')];
    stack = await startStack({ isBuilt: true, simulator: { scooters: 0, cabinets: 0 } });
    api = createClient({ url: stack.api_url, token: stack.token });
  });
  afterEach(async () => {
    for (const each of open.splice(0).reverse()) await each.stop();
  });
  afterAll(async () => {
    await stack?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  /** A cabinet with a token, and the folder that it installs into. */
  const givenCabinet = async (external_id: string) => {
    await api.registerDevices({ devices: [{ kind: 'cabinet', external_id }] });
    const { token } = await api.issueDeviceToken('cabinet', external_id);
    const { folder, read, remove } = createDeviceFolder();
    open.push({ stop: remove });
    const certificate = copyReadable(signer.certificate, join(folder, 'cert.pem'));
    const printed: string[] = [];
    onTestFailed(() => {
      const file = keepOutput(logs, external_id, printed.join('\n=== restarted\n'));
      console.error(`What SWUpdate has printed is in ${file}`);
    });
    return {
      external_id,
      token,
      folder,
      read,
      start: (options: { token?: string; confirm?: 'success' | 'failure' } = {}) => {
        const client = new Swupdate(folder, {
          ...{ url: stack.ddi_url, controllerId: `cabinet.${external_id}`, token, certificate },
          ...options,
          attributes: { cabinet_version: read('version') ?? '1.0.0', serial: external_id },
        });
        running = client;
        open.push({
          stop: async () => {
            running = undefined;
            await client.stop();
            printed.push(client.output);
          },
        });
        return client;
      },
      device: () => api.getCabinet(external_id),
    };
  };
  type Cabinet = Awaited<ReturnType<typeof givenCabinet>>;

  const givenFirmware = async (version: string, bytes: Buffer) => {
    const file = new Blob([new Uint8Array(bytes)]);
    const request = { hardware_type: 'cabinet', version, filename: `cabinet-${version}.swu`, comment: 'a real package' };
    return (await uploadFirmware(api, request, file)).id;
  };
  const packageFor = ({ folder }: Cabinet, version: string, by: Signer = signer) =>
    buildPackage(directory, by, {
      version,
      files: [{ path: join(folder, 'version'), bytes: Buffer.from(version) }],
    });
  const request = async (firmware_id: number, { external_id }: Cabinet) =>
    (await startUpdate(api, { firmware_id, targets: { kind: 'cabinet', external_ids: [external_id] }, comment: 'by swupdate' })).id;
  const executionOf = async (updateId: number) => {
    const { items } = await api.listExecutions(updateId);
    return items[0];
  };
  const until = async (isSo: () => Promise<boolean | undefined>, what: string, seconds = 40) => {
    for (const deadline = Date.now() + seconds * 1_000; !(await isSo()); await sleep(200)) {
      if (running && !running.isRunning) throw new Error(`SWUpdate has ended before ${what}`);
      if (Date.now() > deadline) throw new Error(`After ${seconds} s it is not so that ${what}`);
    }
  };
  const hasSeen = async (cabinet: Cabinet, version: string) =>
    (await cabinet.device()).firmwares.some((firmware) => firmware.version === version);

  it('registers, takes a package, installs it, and is seen running it after its restart', async () => {
    const cabinet = await givenCabinet('C-good');
    let client = cabinet.start();
    await until(() => hasSeen(cabinet, '1.0.0'), 'the cabinet has told its version');

    const firmware = await givenFirmware('2.0.0', packageFor(cabinet, '2.0.0'));
    const update = await request(firmware, cabinet);
    await until(async () => cabinet.read('version') === '2.0.0', 'the package is installed');
    expect(await executionOf(update)).toMatchObject({ status: 'IN_PROGRESS' });

    await client.stop(); // the restart, after which its boot script tells the new version
    client = cabinet.start({ confirm: 'success' });
    await until(async () => (await executionOf(update))?.status === 'SUCCEEDED', 'the execution has succeeded');
    expect((await cabinet.device()).firmwares).toMatchObject([{ hardware_type: 'cabinet', version: '2.0.0', firmware_id: firmware }]);
    await until(async () => (await api.getUpdate(update)).status === 'COMPLETED', 'the update is completed');
    expect(cabinet.read('version')).toBe('2.0.0');
  });

  it('says why a package is not for it, and stays as it was', async () => {
    const cabinet = await givenCabinet('C-strange');
    cabinet.start();
    await until(() => hasSeen(cabinet, '1.0.0'), 'the cabinet has told its version');
    const update = await request(await givenFirmware('2.1.0', packageFor(cabinet, '2.1.0', stranger)), cabinet);
    await until(async () => (await executionOf(update))?.status === 'FAILED', 'the execution has failed');
    const execution = await executionOf(update);
    expect(execution).toMatchObject({ reason: 'DEVICE_FAILED' });
    expect(execution?.detail).toMatch(/sign|verif|certificate/i);
    expect(cabinet.read('version')).toBeUndefined();
  });

  it('is told to stop before it downloads, and does not install', async () => {
    const cabinet = await givenCabinet('C-canceled');
    const poll = async () =>
      (await (
        await fetch(`${stack.ddi_url}/default/controller/v1/cabinet.${cabinet.external_id}`, {
          headers: { authorization: `TargetToken ${cabinet.token}` },
        })
      ).json()) as { _links: { deploymentBase?: { href: string } } };
    await poll();
    const update = await request(await givenFirmware('2.2.0', packageFor(cabinet, '2.2.0')), cabinet);
    // It has asked what to do, and lost its power: the execution is under way, and nothing is downloaded yet.
    await until(async () => (await poll())._links.deploymentBase !== undefined, 'it is offered the update');
    const { href = '' } = (await poll())._links.deploymentBase ?? {};
    expect((await fetch(href, { headers: { authorization: `TargetToken ${cabinet.token}` } })).status).toBe(200);
    await api.cancelUpdate(update, {});
    expect(await executionOf(update)).toMatchObject({ status: 'IN_PROGRESS', reason: 'CANCEL_REQUESTED' });

    cabinet.start();
    await until(async () => (await executionOf(update))?.status === 'CANCELED', 'the execution is canceled');
    expect(await executionOf(update)).toMatchObject({ reason: 'UPDATE_CANCELED' });
    expect(cabinet.read('version')).toBeUndefined();
  });

  it('is refused with a token that is wrong, asks again, and changes nothing', async () => {
    const cabinet = await givenCabinet('C-wrong');
    const client = cabinet.start({ token: 'wrong' });
    await until(async () => /401|authenticat|unauthorized/i.test(client.output), 'it has noticed');
    expect((await cabinet.device()).firmwares).toEqual([]);
  });
});
