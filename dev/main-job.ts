// The main job, shown to the user: register the fleet, upload a firmware, update all devices, read what they run. It uses the HTTP API only.
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type AddZoneBody,
  ApiProblem,
  all,
  type Client,
  createClient,
  type Device,
  lookUpAll,
  type RegisterDevicesBodyDevicesItem as NewDevice,
  registerAll,
  startUpdate,
  type Update,
  uploadFirmware,
} from '../clients/api/src/index.ts';
import type { SignedFile } from '../clients/cli/src/signing/statement.ts';
import { bar, type Display } from './display.ts';
import { mostAtWork, type Stretch } from './most-at-work.ts';
import { findOpenUpdate, rests, showTakenIn } from './taken-in.ts';

type Counts = Update['counts'];

export interface FirmwareFile {
  hardware_type: string;
  kind: Device['kind'];
  /** Only these devices; all of the kind when absent. */
  external_ids?: string[];
  /** The next free 1.x.0 when absent. */
  version?: string;
  /** The last part of the file's key in S3. */
  filename?: string;
  bytes: Uint8Array<ArrayBuffer>;
  comment: string;
  /** Of scooters: how many per cent of those of a zone may be at work at one moment, at most; any number when absent. */
  maximum_unavailable_percentage?: number;
  /** Signs it as its author. */
  sign?: ((file: SignedFile) => Promise<string[]>) | undefined;
  /** The update stays open for devices that come later. */
  continuous?: boolean;
}

export interface UpdateResult {
  id: number;
  firmware_id: number;
  hardware_type: string;
  version: string;
  status: Update['status'];
  counts: Counts;
  /** Of all updates with a budget together. */
  zone_use?: ZoneUse[];
  /** Numbers that contradict each other; empty when all is right. */
  contradictions: string[];
}

/** How many scooters a zone may miss at one moment, and how many it did. */
export interface ZoneUse {
  zone: string;
  devices: number;
  /** How many of them may be at work at one moment. */
  budget: number;
  most_at_work: number;
}

export interface MainJob {
  api_url: string;
  token: string;
  /** Of somebody else, who approves updates that need it. */
  approver_token?: string | undefined;
  fleet: readonly NewDevice[];
  /** Scooters that come to the fleet when a continuous update has updated the others. */
  later?: readonly NewDevice[];
  /** Where devices of the fleet stand. */
  zones?: readonly AddZoneBody[];
  /** The deadline of a device that was asked. */
  inProgressMinutes?: number;
  files: FirmwareFile[];
  display: Display;
  signal?: AbortSignal;
  /** Gives up when no execution moves for so long. */
  stallSeconds?: number;
}

const POLL_MILLISECONDS = 300;
const REGISTRATION_SECONDS = 60;
const STALL_SECONDS = 120;
/** The deadline of a silent device. */
const IN_PROGRESS_MINUTES = 0.5;
const UNSUCCESSFUL = ['FAILED', 'TIMED_OUT', 'REJECTED', 'CANCELED', 'REMOVED'] as const;

/** Rejects when a step cannot be done: a file that is refused, an update that stands still. */
export async function runMainJob(job: MainJob): Promise<UpdateResult[]> {
  const { display, fleet, files, signal } = job;
  // A database that recovers from a crash of its own needs a few seconds.
  const api = createClient({ url: job.api_url, token: job.token, signal, attempts: 10 });
  const follow = (updates: Update[]) => followUpdates(api, updates, display, { stallSeconds: job.stallSeconds ?? STALL_SECONDS, signal });

  const unfinished: Update[] = [];
  for (const status of ['WAITING_FOR_APPROVAL', 'SCHEDULED', 'IN_PROGRESS'] as const)
    for await (const update of all((page) => api.listUpdates({ status, ...page }))) if (!update.continuous) unfinished.push(update);
  if (unfinished.length > 0) {
    display.line(`Going on with update ${unfinished.map(({ id }) => id).join(' and ')} of the last run`);
    await approveWaiting(unfinished, job);
    await follow(unfinished);
  }

  const { zones = [], inProgressMinutes = IN_PROGRESS_MINUTES } = job;
  for (const zone of zones) await addZone(api, zone);
  await registerAll(api, fleet);
  display.line(
    `Registered ${describeFleet(fleet)}${zones.length === 0 ? '' : ` in the zones ${zones.map(({ name }) => name).join(', ')}`}`,
  );

  const requested = await Promise.all(
    files.map(async (file) => {
      const firmware = await upload(api, file, display, signal);
      const { kind, external_ids, maximum_unavailable_percentage } = file;
      const targets = external_ids ? { kind, external_ids } : { filter: { kind } };
      const { id } = await startUpdate(api, {
        firmware_id: firmware.id,
        targets,
        timeouts: { in_progress_minutes: inProgressMinutes },
        // Somebody may have given one of the zones a window; the next start does not wait for the night.
        ...(zones.length > 0 && { ignore_window: true }),
        ...(maximum_unavailable_percentage !== undefined && { rollout: { maximum_unavailable_percentage } }),
        ...(file.continuous && { continuous: true, replaces_update_id: await findOpenUpdate(api, file.hardware_type) }),
        comment: file.comment,
      });
      const whom = external_ids ? `${external_ids.length} ${kind}s` : `every ${kind}`;
      const budget =
        maximum_unavailable_percentage === undefined ? '' : `, at most ${maximum_unavailable_percentage} % of each zone at one moment`;
      display.line(`Update ${id}: ${whom} to ${file.hardware_type} ${firmware.version}${budget}`);
      return api.getUpdate(id);
    }),
  );
  await approveWaiting(requested, job);
  const ended = await follow(requested);
  const results: UpdateResult[] = [];
  for (const [i, update] of ended.entries()) {
    const { kind, external_ids } = files[i] as FirmwareFile;
    const targeted = fleet.filter((device) => device.kind === kind && (external_ids?.includes(device.external_id) ?? true));
    results.push(await summarize(api, update, { kind, targeted }, display));
  }
  for (const [i, update] of ended.entries()) {
    const { later = [] } = job;
    if (update.continuous && later.length > 0)
      results[i]?.contradictions.push(...(await showTakenIn(api, update, later, { display, signal })));
  }
  const limited = ended.filter((_, i) => files[i]?.maximum_unavailable_percentage !== undefined);
  return zones.length === 0 || limited.length === 0 ? results : checkBudgets(results, await measureZones(api, limited, job), display);
}

/** Where the stack demands that somebody else approves an update, the second person of the demo does. */
async function approveWaiting(updates: readonly Update[], { api_url, approver_token, display, signal }: MainJob): Promise<void> {
  for (const { id } of updates.filter(({ status }) => status === 'WAITING_FOR_APPROVAL')) {
    if (approver_token === undefined) {
      display.line(`Update ${id} waits until somebody else than who requested it approves it: scu update approve ${id}`);
      continue;
    }
    const approver = createClient({ url: api_url, token: approver_token, ...(signal && { signal }) });
    const { update } = await approver.approveUpdate(id, { remark: 'approved by the second person of the demo' });
    display.line(`Update ${id} needs the approval of somebody else: ${update.approval?.decided_by} has approved it`);
  }
}

/** A zone that somebody has changed since the last start stays as it is. */
const addZone = (api: Client, zone: AddZoneBody): Promise<unknown> =>
  api.addZone(zone).catch((error: unknown) => {
    if (!(error instanceof ApiProblem) || error.status !== 409) throw error;
  });

/** How many scooters of each zone were at work at one moment, at most, on all updates together; by the times that the service has stored. */
async function measureZones(api: Client, updates: readonly Update[], { fleet, zones = [] }: MainJob): Promise<ZoneUse[]> {
  const zoneOf = new Map(fleet.map(({ external_id, zone }) => [external_id, zone]));
  const stretches: Stretch[] = [];
  for (const { id } of updates) {
    for await (const { external_id, sent_dt, finished_dt } of all((page) => api.listExecutions(id, page))) {
      const zone = zoneOf.get(external_id);
      if (zone && sent_dt && finished_dt)
        stretches.push({ zone, device: external_id, from: Date.parse(sent_dt), until: Date.parse(finished_dt) });
    }
  }
  const most = mostAtWork(stretches);
  const percentage = Math.min(...updates.map(({ rollout }) => rollout.maximum_unavailable_percentage));
  return Promise.all(
    zones.map(async ({ name: zone }) => {
      const { total: devices = 0 } = await api.listDevices({ kind: 'scooter', zone, retired: false, total: true, limit: 1 });
      return { zone, devices, budget: Math.max(1, Math.floor((percentage * devices) / 100)), most_at_work: most.get(zone) ?? 0 };
    }),
  );
}

function checkBudgets(results: readonly UpdateResult[], uses: ZoneUse[], display: Display): UpdateResult[] {
  const shown = uses.map(({ zone, devices, budget, most_at_work }) => `${zone} ${most_at_work} of ${devices} (${budget} may be)`);
  display.line();
  display.line(`Scooters at work at one moment, at most, by the service's times: ${shown.join(', ')}`);
  const exceeded = uses
    .filter(({ budget, most_at_work }) => most_at_work > budget)
    .map(({ zone, budget, most_at_work }) => `${most_at_work} were at work in zone ${zone} at one moment, and ${budget} may be`);
  for (const contradiction of exceeded) display.line(`  DOES NOT ADD UP: ${contradiction}`);
  return results.map((result) => ({ ...result, zone_use: uses, contradictions: [...result.contradictions, ...exceeded] }));
}

async function upload(api: Client, file: FirmwareFile, display: Display, signal: AbortSignal | undefined) {
  const { hardware_type, filename, bytes, comment, sign } = file;
  const version = file.version ?? (await nextFreeVersion(api, hardware_type));
  const request = { hardware_type, version, ...(filename !== undefined && { filename }), comment };
  const firmware = await uploadFirmware(api, request, new Blob([bytes]), {
    ...{ signal, registrationSeconds: REGISTRATION_SECONDS },
    sign: sign && ((uploaded) => sign({ hardware_type, version, ...uploaded })),
  });
  display.line(`Uploaded ${hardware_type} ${version}: ${bytes.byteLength} bytes to S3, SHA-256 ${firmware.sha256?.slice(0, 12)}…`);
  const signed = sign ? ', signed by its author' : '';
  display.line(`Firmware ${firmware.id} is available: ${hardware_type} ${version}${signed}, registered by the S3 event`);
  return firmware;
}

async function nextFreeVersion(api: Client, hardwareType: string): Promise<string> {
  const taken = new Set<string>();
  for await (const { version } of all((page) => api.listFirmwares({ hardware_type: hardwareType, ...page }))) taken.add(version);
  let minor = 1;
  while (taken.has(`1.${minor}.0`)) minor += 1;
  return `1.${minor}.0`;
}

const isDone = (update: Update): boolean => update.finished_dt !== null || rests(update);

/** Shows all of them as one bar until the last has ended, or has nothing to do but to stay open. */
async function followUpdates(
  api: Client,
  started: Update[],
  display: Display,
  { stallSeconds, signal }: { stallSeconds: number; signal: AbortSignal | undefined },
): Promise<Update[]> {
  const startedAt = Date.now();
  const finishedBefore = finishedIn(totalOf(started));
  let updates = started;
  let lastCounts = '';
  let lastChangeAt = Date.now();
  for (;;) {
    updates = await Promise.all(updates.map((update) => (isDone(update) ? update : api.getUpdate(update.id))));
    const counts = totalOf(updates);
    const minutes = (Date.now() - startedAt) / 60_000;
    // Reports left over from a killed run come all at once, and would look like a pace of a million per minute at first.
    const pace = minutes < 0.03 ? 0 : (finishedIn(counts) - finishedBefore) / minutes;
    display.progress(describeProgress(counts, pace));
    if (updates.every(isDone)) break;
    if (JSON.stringify(counts) !== lastCounts) {
      lastCounts = JSON.stringify(counts);
      lastChangeAt = Date.now();
    }
    if (Date.now() - lastChangeAt > stallSeconds * 1_000) {
      display.done();
      throw new Error(`Nothing has moved for ${stallSeconds} s: ${describeCounts(counts)}.`);
    }
    await sleep(POLL_MILLISECONDS, undefined, { signal });
  }
  display.done();
  return updates;
}

async function summarize(
  api: Client,
  update: Update,
  { kind, targeted }: { kind: Device['kind']; targeted: readonly NewDevice[] },
  display: Display,
): Promise<UpdateResult> {
  const { id, firmware_id, hardware_type, firmware_version: version, status, counts, not_eligible, late_successes } = update;
  const devices = await lookUpAll(
    api,
    kind,
    targeted.map(({ external_id }) => external_id),
  );
  const running = devices.map((device) => installedOf(device, hardware_type));
  const updated = running.filter((firmware) => firmware?.version === version);

  display.line();
  display.line(`Update ${id} (${hardware_type} ${version}) is ${status}: ${describeCounts(counts)}`);
  const perVersion = Map.groupBy(running, (firmware) => firmware?.version ?? 'not known');
  display.line(`  ${kind}s per version: ${[...perVersion].map(([name, group]) => `${name}: ${group.length}`).join(', ')}`);
  const times = updated.flatMap((firmware) => firmware?.firmware_update_time ?? []).sort((a, b) => a - b);
  if (times.length > 0) {
    const [p50, p90, p99] = [0.5, 0.9, 0.99].map((share) => `${(times[Math.ceil(share * times.length) - 1] ?? 0).toFixed(1)} s`);
    display.line(`  update time: p50 ${p50}, p90 ${p90}, p99 ${p99}`);
  }
  for (const unsuccessful of UNSUCCESSFUL) {
    if (counts[unsuccessful] === 0) continue;
    const reasons = new Map<string, string[]>();
    for await (const { external_id, reason, detail } of all((page) => api.listExecutions(id, { status: unsuccessful, ...page }))) {
      const why = [reason, detail].filter(Boolean).join(': ') || 'no reason given';
      reasons.set(why, [...(reasons.get(why) ?? []), external_id]);
    }
    for (const [why, ids] of reasons)
      display.line(`  ${unsuccessful} ${ids.length}× ${why} (${ids.slice(0, 5).join(', ')}${ids.length > 5 ? ', …' : ''})`);
  }

  const contradictions = [
    ...(status === 'COMPLETED' || rests(update) ? [] : [`the update is ${status}, not COMPLETED`]),
    ...mismatch(`executions and devices left out`, sum(counts) + sum(not_eligible), `${kind}s in the fleet`, targeted.length),
    ...mismatch(`${kind}s on ${version}`, updated.length, 'executions SUCCEEDED, and those seen late', counts.SUCCEEDED + late_successes),
    ...(counts.SUCCEEDED > 0 ? [] : ['no device was updated']),
  ];
  for (const contradiction of contradictions) display.line(`  DOES NOT ADD UP: ${contradiction}`);
  return { id, firmware_id, hardware_type, version, status, counts, contradictions };
}

const mismatch = (left: string, leftNumber: number, right: string, rightNumber: number): string[] =>
  leftNumber === rightNumber ? [] : [`${left} are ${leftNumber}, ${right} are ${rightNumber}`];

const installedOf = (device: Device, hardwareType: string) => device.firmwares.find(({ hardware_type }) => hardware_type === hardwareType);

const sum = (numbers: Record<string, number>): number => Object.values(numbers).reduce((total, number) => total + number, 0);

const finishedIn = (counts: Counts): number => sum(counts) - counts.QUEUED - counts.IN_PROGRESS;

const totalOf = (updates: Update[]): Counts => {
  const total: Counts = { QUEUED: 0, IN_PROGRESS: 0, SUCCEEDED: 0, FAILED: 0, TIMED_OUT: 0, REJECTED: 0, CANCELED: 0, REMOVED: 0 };
  for (const { counts } of updates) for (const status of Object.keys(total) as (keyof Counts)[]) total[status] += counts[status] ?? 0;
  return total;
};

const describeCounts = (counts: Counts): string =>
  Object.entries(counts)
    .filter(([, number]) => number > 0)
    .map(([status, number]) => `${number} ${status}`)
    .join(', ') || 'no executions';

const describeProgress = (counts: Counts, pace: number): string => {
  const share = sum(counts) === 0 ? 0 : finishedIn(counts) / sum(counts);
  return `${bar(share)} ${String(Math.floor(share * 100)).padStart(3)} %  ${describeCounts(counts)}  ${Math.round(pace)}/min`;
};

const describeFleet = (fleet: readonly NewDevice[]): string =>
  [...Map.groupBy(fleet, ({ kind }) => kind)].map(([kind, devices]) => `${devices.length} ${kind}s`).join(' and ');
