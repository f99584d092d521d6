import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../../db/database.ts';
import type { Proof } from '../../firmware/hardware-type.ts';
import { fitsRevision, revisionsOf } from '../../firmware/revision-queries.ts';
import { longestDetail } from '../execution.ts';
import { atWork, unfinished } from '../predicates.ts';
import { mayAsk, type UpdateWindow, type ZoneWindow } from '../zone-rules.ts';
import type { DeviceWork, OfferedFirmware } from './device-work.ts';

/** A device says that it is at work, without further words: this is written at most once in so many seconds. */
const progressSeconds = 10;

/**
 * The device says that it is at work: its deadline counts from now. Its words are kept until it says more, because SWUpdate says here what
 * went wrong, and at the end only that something did. Without words this is written at most once in {@link progressSeconds}.
 */
export const noteProgress = async (
  db: Db,
  { device_id, execution_id, detail, now }: { device_id: number; execution_id: number; detail: string | null; now: Date },
): Promise<void> => {
  await sql`
    UPDATE update_executions e SET progress_dt = ${now}, detail = coalesce(${detail}, e.detail)
    WHERE e.id = ${execution_id} AND e.device_id = ${device_id} AND ${atWork}
      AND (${detail}::text IS NOT NULL OR coalesce(e.progress_dt, e.sent_dt) < ${now}::timestamptz - make_interval(secs => ${progressSeconds}))`.execute(
    db,
  );
};

/** A note of the service that is kept with an execution until it ends. */
export interface ExecutionNote {
  device_id: number;
  execution_id: number;
  note: string;
}

/** Puts the service's notes before the words of devices at work, each note once. No notes: no statement. */
export const noteDetails = (notes: readonly ExecutionNote[]): RawBuilder<unknown>[] => {
  if (notes.length === 0) return [];
  const statement = sql`
    UPDATE update_executions e SET detail = left(concat_ws(E'\n', n.note, e.detail), ${longestDetail}::integer)
    FROM unnest(
      ${notes.map((n) => n.execution_id)}::integer[], ${notes.map((n) => n.device_id)}::integer[], ${notes.map((n) => n.note)}::text[]
    ) AS n (id, device_id, note)
    WHERE e.id = n.id AND e.device_id = n.device_id AND ${atWork} AND position(n.note IN coalesce(e.detail, '')) = 0`;
  return [statement];
};

export interface EndedWork {
  hardware_type: string;
  proof: Proof;
  wanted_version: string;
  /** Whether this is the device's last execution for its hardware type, so that words about it are about what the device runs now. */
  is_latest: boolean;
}

/** An ended execution that this device had taken; undefined for an execution of another device. */
export const findEndedWork = async (db: Db, device_id: number, execution_id: number): Promise<EndedWork | undefined> => {
  const { rows } = await sql<EndedWork>`
    SELECT e.hardware_type, h.proof, f.version AS wanted_version,
           e.sent_dt IS NOT NULL AND NOT EXISTS (
             SELECT FROM update_executions later
             WHERE later.device_id = e.device_id AND later.hardware_type = e.hardware_type AND later.id > e.id
           ) AS is_latest
    FROM update_executions e
    JOIN updates u ON u.id = e.update_id
    JOIN firmwares f ON f.id = u.firmware_id
    JOIN hardware_types h ON h.name = e.hardware_type
    WHERE e.id = ${execution_id} AND e.device_id = ${device_id}`.execute(db);
  return rows[0];
};

const firmwareColumns = sql`
  f.id AS firmware_id, f.status AS firmware_status, f.version, f.object_key, f.file_link, f.size_bytes, f.sha1, f.sha256, f.md5,
  f.version_num, f.requires, f.minimum_from_version_num, f.author_signatures, f.signed_parts`;

interface FirmwareRow extends Omit<OfferedFirmware, 'id' | 'status'> {
  firmware_id: number;
  firmware_status: OfferedFirmware['status'];
}

const toFirmware = ({ firmware_id, firmware_status, ...file }: FirmwareRow): OfferedFirmware => ({
  id: firmware_id,
  status: firmware_status,
  version: file.version,
  object_key: file.object_key,
  file_link: file.file_link,
  size_bytes: file.size_bytes,
  sha1: file.sha1,
  sha256: file.sha256,
  md5: file.md5,
  version_num: file.version_num,
  requires: file.requires,
  minimum_from_version_num: file.minimum_from_version_num,
  author_signatures: file.author_signatures,
  signed_parts: file.signed_parts,
});

/** The firmware that this device has installed by this execution; undefined if the execution is another device's or has not succeeded. */
export const findInstalled = async (
  db: Db,
  device_id: number,
  execution_id: number,
): Promise<{ hardware_type: string; firmware: OfferedFirmware } | undefined> => {
  const { rows } = await sql<FirmwareRow & { hardware_type: string }>`
    SELECT e.hardware_type, ${firmwareColumns}
    FROM update_executions e JOIN updates u ON u.id = e.update_id JOIN firmwares f ON f.id = u.firmware_id
    WHERE e.id = ${execution_id} AND e.device_id = ${device_id} AND e.status = 'SUCCEEDED'`.execute(db);
  const [row] = rows;
  return row && { hardware_type: row.hardware_type, firmware: toFirmware(row) };
};

const isWorkOf = (device_id: RawBuilder<unknown>) => sql`e.device_id = ${device_id} AND e.channel = 'iot' AND ${unfinished}`;

/** Whether {@link listDeviceWork} of `devices d` has any. */
export const hasDeviceWork = sql<boolean>`EXISTS (SELECT FROM update_executions e WHERE ${isWorkOf(sql`d.id`)})`;

/** How many devices an update was planned for: `countEligible` as SQL, because that module is too large for a poll's function. */
const eligibleDevices = sql`
  coalesce((u.planned->>'ELIGIBLE')::integer, 0) + coalesce((u.planned->>'ELIGIBLE_UNKNOWN_VERSION')::integer, 0)`;

type DeviceWorkRow = Omit<DeviceWork, 'firmware' | 'is_open'> & FirmwareRow & ZoneWindow & UpdateWindow;

/** The unfinished executions of a device that polls, usually one or two, the oldest first. */
export const listDeviceWork = async (db: Db, device_id: number, now: Date): Promise<DeviceWork[]> => {
  const { rows } = await sql<DeviceWorkRow>`
    SELECT e.id AS execution_id, e.hardware_type, h.proof, e.phase, u.status AS update_status, ${eligibleDevices} AS devices, u.allow_downgrade, u.manifest_counter,
           e.zone, z.time_zone, z.maintenance_window, u."window", u.ignore_window,
           ${fitsRevision(revisionsOf('f'), sql`d.revision`)} AS fits, ${firmwareColumns}
    FROM update_executions e
    JOIN updates u ON u.id = e.update_id
    JOIN firmwares f ON f.id = u.firmware_id
    JOIN hardware_types h ON h.name = e.hardware_type
    JOIN devices d ON d.id = e.device_id
    LEFT JOIN zones z ON z.name = e.zone
    WHERE ${isWorkOf(sql`${device_id}`)}
    ORDER BY e.id`.execute(db);
  return rows.map((row) => ({
    execution_id: row.execution_id,
    hardware_type: row.hardware_type,
    proof: row.proof,
    phase: row.phase,
    update_status: row.update_status,
    is_open: mayAsk(row, now),
    fits: row.fits,
    devices: row.devices,
    allow_downgrade: row.allow_downgrade,
    manifest_counter: row.manifest_counter,
    firmware: toFirmware(row),
  }));
};
