// `npm run swupdate:device`: a cabinet for a stock SWUpdate, beside a running `npm start`: its token, and a signed package as its update.
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createApiClient } from './api-client.ts';
import { readPrivateJson, writePrivateFile } from './private-file.ts';
import type { StackDescription } from './stack.ts';
import { buildPackage, createSigner, swupdateConfiguration } from './swupdate-package.ts';

const LOCAL = fileURLToPath(new URL('../.local', import.meta.url));
const FOLDER = join(LOCAL, 'swupdate');
const EXTERNAL_ID = 'C-SWUPDATE';
const REGISTRATION_SECONDS = 60;

async function main(): Promise<void> {
  const stack = readPrivateJson<StackDescription>(join(LOCAL, 'stack.json'));
  if (!stack) throw new Error('There is no .local/stack.json: start the service with `npm start` and leave it running.');
  const api = createApiClient({ url: stack.api_url, token: stack.token });
  mkdirSync(FOLDER, { recursive: true });

  await api.registerDevices([{ kind: 'cabinet', external_id: EXTERNAL_ID, version: null, channel: 'iot' }]);
  const token = await api.issueDeviceToken('cabinet', EXTERNAL_ID);
  writePrivateFile(join(FOLDER, 'suricatta'), `-t default -u ${stack.ddi_url} -i cabinet.${EXTERNAL_ID} -k ${token}`);
  const configuration = join(FOLDER, 'swupdate.cfg');
  if (!existsSync(configuration)) writeFileSync(configuration, swupdateConfiguration({ cabinet_version: '1.0.0' }));

  // The package brings the configuration in which the device tells its version: so it tells the new one after its restart.
  const signer = createSigner(FOLDER);
  const version = `swupdate-${new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}`;
  const bytes = buildPackage(FOLDER, signer, {
    version,
    files: [{ path: configuration, bytes: Buffer.from(swupdateConfiguration({ cabinet_version: version })) }],
  });
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const firmware = { hardware_type: 'cabinet', version, filename: `${version}.swu`, comment: 'By npm run swupdate:device', sha256 };
  const { id: firmware_id } = await api.uploadFirmware(firmware, new Uint8Array(bytes));
  for (
    const deadline = Date.now() + REGISTRATION_SECONDS * 1_000;
    (await api.firmware(firmware_id)).status !== 'available';
    await sleep(200)
  ) {
    if (Date.now() > deadline)
      throw new Error(`Firmware ${firmware_id} was not registered within ${REGISTRATION_SECONDS} s of its upload.`);
  }
  const targets = { kind: 'cabinet', external_ids: [EXTERNAL_ID] };
  const { id } = await api.requestUpdate({ firmware_id, targets, comment: firmware.comment }, randomUUID());

  const folder = relative(process.cwd(), FOLDER);
  const client = `swupdate -f ${folder}/swupdate.cfg -H board:1.0 -k ${folder}/signer.cert.pem -B none -M -m -u`;
  console.log(
    `Cabinet ${EXTERNAL_ID} waits for ${firmware.filename}, by update ${id}. The device (stop it with Ctrl-C when it has installed):\n`,
  );
  console.log(`  ${client} "$(cat ${folder}/suricatta)"\n`);
  console.log('Its restart, after which it tells its new version:\n');
  console.log(`  ${client} "$(cat ${folder}/suricatta) -c 2"\n`);
  console.log('What has become of it:\n');
  console.log(`  curl -s -H 'authorization: Bearer ${stack.token}' '${stack.api_url}/v1/updates/${id}/executions'`);
}

await main().catch((error: unknown) => {
  console.error((error as Error).message);
  process.exitCode = 1;
});
