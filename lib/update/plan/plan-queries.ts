import { type RawBuilder, sql } from 'kysely';
import * as z from 'zod/mini';
import type { Db, Trx } from '../../db/database.ts';
import type { DeviceKind } from '../../fleet/device.ts';
import { filteredDevices } from '../../fleet/device-filter-queries.ts';
import { inService } from '../../fleet/group-members.ts';
import { decodeCursor, listOf, type Page, toPage } from '../../http/page.ts';
import { requestedText } from '../../text.ts';
import type { ZoneBudget } from '../budget-queries.ts';
import { reasons } from '../execution.ts';
import type { Eligibility } from '../update.ts';
import type { Planned } from '../update-queries.ts';
import type { ZoneWindow } from '../zone-rules.ts';
import type { DryRun, PartChanges } from './dry-run.ts';
import { type Choice, classifiedDevices, detailOf, isEligible, takesPart, type WantedFirmware } from './eligibility.ts';

/**
 * Part of a statement: inserts an execution for each of the classified devices in `planned`, in the order of device ids, so that two plans cannot
 * wait for each other in a circle.
 */
export const insertPlanned = (
  planned: RawBuilder<unknown>,
  { update_id, hardware_type, now, tellsEvents }: { update_id: number; hardware_type: string; now: Date; tellsEvents: boolean },
): RawBuilder<unknown> => {
  const status = sql`CASE WHEN ${isEligible} THEN 'QUEUED' ELSE 'SUCCEEDED' END`;
  return sql`
    INSERT INTO update_executions
      (update_id, device_id, hardware_type, channel, zone, status, phase, told_status, reason, queued_dt, finished_dt)
    SELECT ${update_id}::integer, device_id, ${hardware_type}, channel, zone,
           -- Its first status is no change, so no event tells it.
           ${status}, CASE WHEN ${isEligible} THEN 'waiting' ELSE 'ended' END, ${tellsEvents ? status : sql`NULL`},
           CASE WHEN ${isEligible} THEN NULL ELSE ${reasons.alreadyOnTarget} END,
           ${now}::timestamptz,
           CASE WHEN ${isEligible} THEN NULL ELSE ${now}::timestamptz END
    FROM (${planned}) planned
    ORDER BY device_id`;
};

/** So many devices are planned by one statement: it sorts their rows in memory, and has time to spare on a machine that is busy. */
const mostPlannedAtOnce = 50_000;

/** An older update, and how many of its executions a newer one supersedes. */
export interface Superseded {
  update_id: number;
  executions: number;
}

interface Plan {
  planned: Planned;
  /** How many executions succeeded at once. */
  already_on_target: number;
  includes_iot: boolean;
  superseded: Superseded[];
}

/**
 * Queues one execution per eligible device and notes which devices are left out and why: of a filter that means many devices,
 * {@link mostPlannedAtOnce} by each statement. A device that has to be taken over from an older update first is claimed instead. The rows are
 * inserted in the order of device ids, so that two requests cannot wait for each other in a circle.
 *
 * @throws the violation of `update_executions_unfinished_key` when another request has taken one of the devices meanwhile.
 */
export const insertExecutions = async (
  trx: Trx,
  update_id: number,
  choice: Choice,
  { tellsEvents = false, atOnce = mostPlannedAtOnce }: { tellsEvents?: boolean | undefined; atOnce?: number } = {},
): Promise<Plan> => {
  const plan: Omit<Plan, 'superseded'> = { planned: {}, already_on_target: 0, includes_iot: false };
  const superseded = new Map<number, number>();
  for (const part of await partsOf(trx, choice, atOnce)) {
    const rows = await insertPart(trx, update_id, part, tellsEvents);
    for (const { eligibility, n, n_free, includes_iot } of rows) {
      plan.planned[eligibility] = (plan.planned[eligibility] ?? 0) + n;
      if (eligibility === 'ALREADY_ON_TARGET') plan.already_on_target += n_free;
      plan.includes_iot ||= includes_iot ?? false;
    }
    for (const older of rows[0]?.superseded ?? []) {
      superseded.set(older.update_id, (superseded.get(older.update_id) ?? 0) + older.executions);
    }
  }
  return { ...plan, superseded: [...superseded].toSorted(([a], [b]) => a - b).map(([id, executions]) => ({ update_id: id, executions })) };
};

/** The choice in parts of `size` devices, in the order of their ids. A choice of fewer devices is not divided. */
const partsOf = async (trx: Trx, choice: Choice, size: number): Promise<Choice[]> => {
  const parts: Choice[] = [];
  let above = 0;
  for (;;) {
    const upTo = await findLastOf(trx, choice, above, size);
    if (upTo === undefined) break;
    parts.push({ ...choice, among: { above, upTo } });
    above = upTo;
  }
  return parts.length === 0 ? [choice] : [...parts, { ...choice, among: { above, upTo: highestId } }];
};

const highestId = 2_147_483_647;

/** The last id of so many chosen devices with the lowest ids above another one; undefined: there are not so many. */
const findLastOf = async (trx: Trx, { targets, firmware, now }: Choice, above: number, size: number): Promise<number | undefined> => {
  if (!('filter' in targets)) return undefined;
  const among = sql`d.id > ${above}`;
  const devices = filteredDevices(inService(targets.filter), { now, firmware_id: firmware.id, isPart: true, among });
  const { rows } = await sql<{ id: number }>`SELECT id FROM (${devices}) d ORDER BY id OFFSET ${size - 1} LIMIT 1`.execute(trx);
  return rows[0]?.id;
};

/**
 * Part of the statement that plans an update which supersedes. It counts the devices that older updates lose to this one. It claims those devices, and
 * devices that other updates have at work. Claims of older updates on these devices, and on all others that take part, end.
 */
const claimed = (update_id: number, { hardware_type }: WantedFirmware) => sql`, older AS (
      SELECT other_update_id AS update_id, count(*) AS executions FROM classified
      WHERE ${takesPart} AND superseded_id IS NOT NULL
      GROUP BY other_update_id
    ), claimed AS (
      INSERT INTO update_claims (update_id, device_id, hardware_type)
      SELECT ${update_id}::integer, device_id, ${hardware_type} FROM classified
      WHERE (${takesPart} AND superseded_id IS NOT NULL) OR eligibility = 'UPDATE_IN_FLIGHT'
      ORDER BY device_id
    ), unclaimed AS (
      DELETE FROM update_claims c USING classified
      WHERE c.device_id = classified.device_id AND c.hardware_type = ${hardware_type} AND c.update_id < ${update_id}
        AND (${takesPart} OR eligibility = 'UPDATE_IN_FLIGHT')
    )`;

interface PartRow {
  eligibility: Eligibility;
  n: number;
  /** Of these, how many need not be taken over from an older update. */
  n_free: number;
  includes_iot: boolean | null;
  superseded: Superseded[];
}

const insertPart = async (trx: Trx, update_id: number, choice: Choice, tellsEvents: boolean): Promise<PartRow[]> => {
  const { firmware, now } = choice;
  const supersedes = choice.supersedesBelow != null;
  const { rows } = await sql<PartRow>`
    WITH classified AS MATERIALIZED (
      ${classifiedDevices(choice)}
    ), inserted AS (
      ${insertPlanned(sql`SELECT * FROM classified WHERE ${takesPart} AND superseded_id IS NULL`, { update_id, hardware_type: firmware.hardware_type, now, tellsEvents })}
    ), excluded AS (
      INSERT INTO update_exclusions (update_id, kind, external_id, reason, detail)
      SELECT ${update_id}::integer, kind, external_id, eligibility, ${detailOf(firmware)}
      FROM classified
      WHERE NOT ${takesPart}
    )${supersedes ? claimed(update_id, firmware) : sql``}
    SELECT eligibility, count(*) AS n, count(*) FILTER (WHERE superseded_id IS NULL) AS n_free,
           bool_or(${takesPart} AND channel = 'iot') AS includes_iot,
           ${supersedes ? sql`(SELECT coalesce(jsonb_agg(o ORDER BY o.update_id), '[]') FROM older o)` : sql`'[]'::jsonb`} AS superseded
    FROM classified GROUP BY eligibility`.execute(trx);
  return rows;
};

type EligibilityGroup = DryRun['reasons'][number];

/** Eligible devices of a zone, with the rules of that zone. */
export interface EligibleZone extends ZoneWindow, ZoneBudget {
  kind: DeviceKind;
  count: number;
}

export interface Eligibilities {
  /** By eligibility, each group with its number and its first devices. */
  reasons: EligibilityGroup[];
  /** The zones of the devices that would be updated. */
  zones: EligibleZone[];
  superseded: DryRun['superseded'];
}

/** The eligibility of the chosen devices, in one statement that changes nothing. */
export const listEligibilityGroups = async (db: Db, choice: Choice, devicesPerGroup: number): Promise<Eligibilities> => {
  const { rows } = await sql<EligibilityGroup & Omit<Eligibilities, 'reasons'>>`
    WITH classified AS (
      ${classifiedDevices(choice)}
    ), numbered AS (
      SELECT external_id, eligibility, other_update_id, revision, row_number() OVER (PARTITION BY eligibility ORDER BY external_id COLLATE "C") AS n
      FROM classified
    ), standing AS (
      SELECT c.zone, c.kind, c.count, z.time_zone, z.maintenance_window, coalesce(z.maximum_unavailable_percentage, 100) AS percentage
      FROM (SELECT zone, kind, count(*) AS count FROM classified WHERE ${isEligible} GROUP BY zone, kind) c
      LEFT JOIN zones z ON z.name = c.zone
    ), older AS (
      SELECT other_update_id AS update_id, count(superseded_id) AS executions, count(*) - count(superseded_id) AS at_work
      FROM classified
      WHERE ${choice.supersedesBelow != null}::boolean
        AND ((${takesPart} AND superseded_id IS NOT NULL) OR eligibility = 'UPDATE_IN_FLIGHT')
      GROUP BY other_update_id
    )
    SELECT eligibility AS reason, count(*) AS count,
           jsonb_agg(
             jsonb_build_object(
               'external_id', external_id,
               'other_update_id', CASE eligibility WHEN 'UPDATE_IN_FLIGHT' THEN other_update_id END,
               'detail', ${detailOf(choice.firmware)}
             ) ORDER BY n
           ) FILTER (WHERE n <= ${devicesPerGroup}) AS devices,
           (SELECT coalesce(jsonb_agg(s ORDER BY s.zone), '[]') FROM standing s) AS zones,
           (SELECT coalesce(jsonb_agg(o ORDER BY o.update_id), '[]') FROM older o) AS superseded
    FROM numbered GROUP BY eligibility ORDER BY 2 DESC, 1`.execute(db);
  const { zones = [], superseded = [] } = rows[0] ?? {};
  return { reasons: rows.map(({ zones: _, superseded: __, ...group }) => group), zones, superseded };
};

/** What an update with the package of an assembly would change of each part on the eligible devices, the most frequent change first. */
export const listPartChanges = async (db: Db, choice: Choice, assembly_id: number): Promise<PartChanges[]> => {
  const { rows } = await sql<PartChanges>`
    WITH eligible AS MATERIALIZED (
      SELECT device_id FROM (${classifiedDevices(choice)}) c WHERE ${isEligible}
    ), changes AS (
      SELECT p.position, r.reported_version AS from_version, f.version_num AS from_version_num, count(*) AS count,
             CASE
               WHEN r.firmware_id = part.id THEN 'NONE'
               WHEN f.version_num < part.version_num THEN 'UPGRADE'
               WHEN f.version_num > part.version_num THEN 'DOWNGRADE'
               ELSE 'UNKNOWN'
             END AS change
      FROM assembly_parts p
      JOIN firmwares part ON part.id = p.firmware_id
      CROSS JOIN eligible e
      LEFT JOIN device_firmwares r ON r.device_id = e.device_id AND r.hardware_type = part.hardware_type
      LEFT JOIN firmwares f ON f.id = r.firmware_id
      WHERE p.assembly_id = ${assembly_id}
      GROUP BY 1, 2, 3, 5
    )
    SELECT part.id AS firmware_id, part.hardware_type, part.version, part.version_num,
           (
             SELECT coalesce(jsonb_agg(to_jsonb(c) - 'position' ORDER BY c.count DESC, c.from_version), '[]')
             FROM changes c WHERE c.position = p.position
           ) AS changes
    FROM assembly_parts p JOIN firmwares part ON part.id = p.firmware_id
    WHERE p.assembly_id = ${assembly_id}
    ORDER BY p.position`.execute(db);
  return rows;
};

const EligibilityCursor = z.tuple([requestedText(128)]);

/** A page of the chosen devices that have one eligibility. */
export const listEligibilityDevices = async (
  db: Db,
  choice: Choice,
  { reason, limit, cursor }: { reason: Eligibility; limit: number; cursor?: string | undefined },
): Promise<Page<EligibilityGroup['devices'][number]>> => {
  const { firmware, now: _now, ...conditions } = choice;
  const list = listOf('eligibility', { ...conditions, firmware_id: firmware.id, reason }, { in: 'body', path: 'dry_run.cursor' });
  const after = decodeCursor(list, EligibilityCursor, cursor);
  const { rows } = await sql<EligibilityGroup['devices'][number]>`
    SELECT external_id, CASE eligibility WHEN 'UPDATE_IN_FLIGHT' THEN other_update_id END AS other_update_id, ${detailOf(firmware)} AS detail
    FROM (${classifiedDevices(choice)}) c
    WHERE eligibility = ${reason} AND external_id COLLATE "C" > ${after?.[0] ?? ''}
    ORDER BY external_id COLLATE "C"
    LIMIT ${limit + 1}`.execute(db);
  return toPage(list, rows, limit, (row) => [row.external_id]);
};
