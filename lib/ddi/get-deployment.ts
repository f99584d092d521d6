import type { Clock } from '../clock.ts';
import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import { parseFirmwareKey } from '../firmware/firmware.ts';
import { type FileCheckDeps, isFileThere } from '../firmware/lost-file.ts';
import { type SignManifest, toManifestFacts } from '../firmware/manifest.ts';
import type { Storage } from '../ports/storage.ts';
import { notingOutages } from '../update/outage-queries.ts';
import { type DeviceWork, type OfferedFirmware, type WorkState, workStateOf } from '../update/reach/device-work.ts';
import { findInstalled } from '../update/reach/device-work-queries.ts';
import { takeOffer } from '../update/reach/offer-queries.ts';
import { type IotDevice, listWork } from './iot-device-queries.ts';
import type { CancelAction, Deployment } from './protocol.ts';

export interface DeploymentDeps {
  db: Db;
  signManifest: SignManifest;
  now: Clock;
}

/**
 * The device takes its offer: from now on it counts as asked. Asking again changes nothing.
 *
 * @param url where the device's own routes begin
 * @throws `execution.not_found` for another device's execution, or one that is not offered now.
 */
export async function getDeployment(deps: DeploymentDeps, device: IotDevice, actionId: number, url: string): Promise<Deployment> {
  const { db, signManifest, now } = deps;
  const moment = now();
  const work = await findWork(db, device, { actionId, states: ['offered', 'working', 'canceling'] }, moment);
  // The manifest is signed before the device counts as asked: without signing keys the service cannot tell it what to install.
  const { manifest } = await notingOutages(deps, () => signManifest(manifestFactsOf(work)));
  if (workStateOf(work) === 'offered' && !(await takeOffer(db, device.device_id, actionId, moment))) throw notFound(actionId);
  return toDeployment(actionId, work, url, manifest);
}

/**
 * What the device has installed by one of its executions.
 *
 * @throws `execution.not_found`
 */
export async function getInstalled(
  { db }: Pick<DeploymentDeps, 'db'>,
  device: IotDevice,
  actionId: number,
  url: string,
): Promise<Deployment> {
  const installed = await findInstalled(db, device.device_id, actionId);
  if (!installed) throw notFound(actionId);
  return toDeployment(actionId, installed, url);
}

const manifestFactsOf = ({ hardware_type, firmware, allow_downgrade, manifest_counter }: DeviceWork) => {
  const { version_num } = firmware;
  if (version_num === null) throw new Error('An execution is for a firmware that was never available');
  return toManifestFacts({ ...firmware, hardware_type, version_num }, { allow_downgrade, counter: manifest_counter });
};

/** @throws `execution.not_found` when nothing is to be canceled. */
export async function getCancelAction(
  { db, now }: Pick<DeploymentDeps, 'db' | 'now'>,
  device: IotDevice,
  actionId: number,
): Promise<CancelAction> {
  await findWork(db, device, { actionId, states: ['canceling'] }, now());
  return { id: String(actionId), cancelAction: { stopId: String(actionId) } };
}

export interface ArtifactDeps extends FileCheckDeps {
  storage: Pick<Storage, 'hasObject' | 'signDownload' | 'fromLink'>;
  now: Clock;
}

export interface ArtifactRequest {
  softwareModuleId: number;
  filename: string;
  method: 'GET' | 'HEAD';
}

/**
 * A fresh link to a file that the device is at work on. Costs no write, so a client may fetch it in as many ranges as it likes.
 *
 * @throws `execution.not_found` for a file that is not part of its work, or whose firmware was withdrawn or does not fit the device any more; `storage.unavailable`
 */
export const getArtifactLink = (deps: ArtifactDeps, device: IotDevice, request: ArtifactRequest): Promise<string> =>
  notingOutages(deps, () => linkArtifact(deps, device, request));

const linkArtifact = async (deps: ArtifactDeps, device: IotDevice, request: ArtifactRequest): Promise<string> => {
  const { softwareModuleId, filename, method } = request;
  const { db, storage, now } = deps;
  const work = (await listWork(db, device, now())).find(
    (each) =>
      each.firmware.id === softwareModuleId && isSameName(filenameOf(each.firmware), filename) && downloadable.has(workStateOf(each)),
  );
  // This replaces a question whether the storage answers at all.
  if (work?.firmware.status !== 'available' || !work.fits || !(await isFileThere(deps, work.firmware))) {
    throw new DomainError('execution.not_found', 'This device has no such file to download');
  }
  return (await storage.signDownload(storage.fromLink(work.firmware.file_link), method)).url;
};

const downloadable: ReadonlySet<WorkState> = new Set(['offered', 'working']);

const findWork = async (
  db: Db,
  device: IotDevice,
  { actionId, states }: { actionId: number; states: readonly WorkState[] },
  now: Date,
): Promise<DeviceWork> => {
  const found = (await listWork(db, device, now)).find(({ execution_id }) => execution_id === actionId);
  if (!found || !states.includes(workStateOf(found))) throw notFound(actionId);
  return found;
};

const notFound = (actionId: number) => new DomainError('execution.not_found', `This device has no such action ${actionId}`);

/** The last part of the key in S3. It keeps its ending, because SWUpdate only takes files with the right one. */
const filenameOf = ({ object_key }: OfferedFirmware): string => parseFirmwareKey(object_key)?.filename ?? 'firmware.bin';

/**
 * Proxies and emulated gateways decode an address once more than they should, so that `50%2541.bin` arrives as `50A.bin`. The comparison may be
 * lax, because the file is found by the id in the path and not by its name.
 */
const isSameName = (filename: string, asked: string): boolean => filename === asked || decodeFully(filename) === decodeFully(asked);

const decodeFully = (text: string): string => {
  let decoded = text;
  try {
    while (/%[0-9a-f]{2}/i.test(decoded)) decoded = decodeURIComponent(decoded);
  } catch {
    // The text is not percent-encoded.
  }
  return decoded;
};

/**
 * One chunk with one artifact, because rauc takes no more. Its `metadata` has the manifest, by which a device verifies where the file is from
 * (lib/firmware/README.md); clients that do not know it ignore it.
 */
const toDeployment = (
  actionId: number,
  { hardware_type, firmware }: { hardware_type: string; firmware: OfferedFirmware },
  url: string,
  manifest?: string,
): Deployment => {
  const metadata = manifest === undefined ? {} : { metadata: [{ key: 'manifest', value: manifest }] };
  const filename = filenameOf(firmware);
  const href = `${url}/softwaremodules/${firmware.id}/artifacts/${encodeURIComponent(filename)}`;
  const { sha1, md5, sha256, size_bytes, version } = firmware;
  const artifact = { filename, hashes: { sha1, md5, sha256 }, size: size_bytes, _links: { download: { href }, 'download-http': { href } } };
  return {
    id: String(actionId),
    deployment: {
      download: 'forced',
      update: 'forced',
      chunks: [{ part: hardware_type, version, name: hardware_type, artifacts: [artifact], ...metadata }],
    },
  };
};
