// `npm run swupdate:device`: a cabinet for a stock SWUpdate, beside a running `npm start`: its token, and a signed package as its update.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createClient, startUpdate, uploadFirmware } from '../../clients/api/src/index.ts';
import { readPrivateJson, writePrivateFile } from '../../ops/private-file.ts';
import { keepLocalAuthor } from '../stack/local-author.ts';
import type { StackDescription } from '../stack/stack.ts';
import { buildPackage, createSigner, swupdateConfiguration } from './swupdate-package.ts';

const LOCAL = fileURLToPath(new URL('../../.local', import.meta.url));
const FOLDER = join(LOCAL, 'swupdate');
const EXTERNAL_ID = 'C-SWUPDATE';

async function main(): Promise<void> {
  const stack = readPrivateJson<StackDescription>(join(LOCAL, 'stack.json'));
  if (!stack) throw new Error('There is no .local/stack.json: start the service with `npm start` and leave it running.');
  const api = createClient({ url: stack.api_url, token: stack.token });
  mkdirSync(FOLDER, { recursive: true });

  await api.registerDevices({ devices: [{ kind: 'cabinet', external_id: EXTERNAL_ID, version: null, channel: 'iot' }] });
  const { token } = await api.issueDeviceToken('cabinet', EXTERNAL_ID);
  writePrivateFile(join(FOLDER, 'suricatta'), `-t default -u ${stack.ddi_url} -i cabinet.${EXTERNAL_ID} -k ${token}`);
  const configuration = join(FOLDER, 'swupdate.cfg');
  if (!existsSync(configuration)) writeFileSync(configuration, swupdateConfiguration({ cabinet_version: '1.0.0' }));

  // The package contains the configuration file from which the device tells its version, so that after its restart it tells the new one.
  const signer = createSigner(FOLDER);
  const version = `swupdate-${new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}`;
  const bytes = buildPackage(FOLDER, signer, {
    version,
    files: [{ path: configuration, bytes: Buffer.from(swupdateConfiguration({ cabinet_version: version })) }],
  });
  const firmware = { hardware_type: 'cabinet', version, filename: `${version}.swu`, comment: 'By npm run swupdate:device' };
  const author = await keepLocalAuthor(LOCAL, [firmware.hardware_type]);
  const { id: firmware_id } = await uploadFirmware(api, firmware, new Blob([new Uint8Array(bytes)]), {
    sign: (file) => author.sign({ hardware_type: firmware.hardware_type, version, ...file }),
  });
  const targets = { kind: 'cabinet' as const, external_ids: [EXTERNAL_ID] };
  const { id } = await startUpdate(api, { firmware_id, targets, comment: firmware.comment });

  const folder = relative(process.cwd(), FOLDER);
  const client = `swupdate -f ${folder}/swupdate.cfg -H board:1.0 -k ${folder}/signer.cert.pem -B none -M -m -u`;
  console.log(
    `Cabinet ${EXTERNAL_ID} waits for ${firmware.filename}, by update ${id}. The device (stop it with Ctrl-C when it has installed):\n`,
  );
  console.log(`  ${client} "$(cat ${folder}/suricatta)"\n`);
  console.log('Its restart, after which it tells its new version:\n');
  console.log(`  ${client} "$(cat ${folder}/suricatta) -c 2"\n`);
  console.log('Then see the result:\n');
  console.log(`  curl -s -H 'authorization: Bearer ${stack.token}' '${stack.api_url}/v1/updates/${id}/executions'`);
}

await main().catch((error: unknown) => {
  console.error((error as Error).message);
  process.exitCode = 1;
});
