import { createHash } from 'node:crypto';
import type { Db } from '../../lib/db/database.ts';
import { insertDraft, makeAvailable } from '../../lib/firmware/draft-queries.ts';
import type { Firmware, FirmwareRequirement } from '../../lib/firmware/firmware.ts';
import { upsertDevices } from '../../lib/fleet/change-queries.ts';
import { NewDevice } from '../../lib/fleet/new-device.ts';
import type { Log } from '../../lib/log.ts';
import type { Confirmation } from '../../lib/report/confirmation.ts';
import { UpdateRequest } from '../../lib/update/update-request.ts';

/** When tests begin, unless they say otherwise. */
export const startOfTime = new Date('2026-11-24T08:00:00.000Z');

/** So that what a device says of the time before a test can be true. */
export const registeredLongAgo = new Date('2024-01-01T00:00:00.000Z');

/** A clock that stands still until it is told to go on. */
export class TestClock {
  #now: Date;

  constructor(now: Date = startOfTime) {
    this.#now = now;
  }

  readonly now = (): Date => this.#now;

  advance(seconds: number): void {
    this.#now = new Date(this.#now.getTime() + seconds * 1000);
  }
}

/** Who asks for a change. */
export const actor = { subject: 'admin', request_id: 'request-1' };

export const silentLog: Log = { info: () => {}, warn: () => {}, error: () => {} };

let counter = 0;
const unique = (): number => {
  counter += 1;
  return counter;
};

/** An available firmware; the one made later is the newer one. */
export const givenFirmware = async (
  db: Db,
  {
    hardware_type = 'vega_mcu',
    version = `1.${unique()}.0`,
    bytes = Buffer.from(`firmware ${unique()}`),
    file_link = 's3://memory/firmwares/x?versionId=1',
    requires = [] as FirmwareRequirement[],
    minimum_from_version_num = null as number | null,
    revisions = null as string[] | null,
  } = {},
): Promise<Firmware & { version_num: number }> => {
  const object_key = `firmwares/${hardware_type}/${version}/firmware.bin`;
  const draft = await insertDraft(db, {
    hardware_type,
    version,
    object_key,
    size_bytes: null,
    sha256: null,
    requires,
    minimum_from_version_num,
    revisions,
    comment: '',
    created_by: 'test',
    created_dt: startOfTime,
  });
  if (!draft) throw new Error(`${hardware_type} ${version} exists`);
  const digest = (algorithm: string) => createHash(algorithm).update(bytes).digest('hex');
  const facts = { file_link, size_bytes: bytes.length, sha256: digest('sha256'), sha1: digest('sha1'), md5: digest('md5') };
  const available = await makeAvailable(db, { id: draft.id, object_key }, facts);
  if (!available) throw new Error('not available');
  return { ...draft, ...facts, status: 'available', version_num: available.version_num };
};

/** Devices with ids of their own; scooters of version 1 unless said otherwise. */
export const givenDevices = async (db: Db, count = 1, device: Partial<NewDevice> = {}): Promise<string[]> => {
  const kind = device.kind ?? 'scooter';
  const devices = Array.from({ length: count }, () =>
    NewDevice.parse({
      external_id: `${kind === 'scooter' ? 'S' : 'C'}-${unique()}`,
      ...(kind === 'scooter' && { version: 1 }),
      ...device,
      kind,
    }),
  );
  await upsertDevices(db, devices, registeredLongAgo);
  return devices.map(({ external_id }) => external_id);
};

/** A valid request with its defaults filled in. */
export const updateRequest = (request: Record<string, unknown>) => ({
  ...UpdateRequest.parse(request),
  idempotency_key: undefined,
  created_by: 'admin',
  request_id: 'request-1',
});

export const confirmation = (report: Partial<Confirmation> & { external_id: string; version: string }): Confirmation => ({
  kind: 'scooter',
  hardware_type: 'vega_mcu',
  status: 'SUCCEEDED',
  occurred_dt: startOfTime,
  ...report,
});
