import { isDeepStrictEqual } from 'node:util';
import { actor } from '../../../support/fixtures.ts';
import { claim } from './claim.ts';
import type { Snapshot } from './snapshot.ts';
import type { ControlAction, DeviceFields, Fact } from './world.ts';

/**
 * What must be true of the devices, of where they stand and of what admins change, between two snapshots: by hand, from the guarantees
 * (docs/architecture.md), without the code that keeps them.
 */

type Device = Snapshot['devices'][number];
type Firmware = Snapshot['firmwares'][number];
type Execution = Snapshot['executions'][number];
type Update = Snapshot['updates'][number];
type Line = Snapshot['lines'][number];

/** What happened between two snapshots. */
export interface Span {
  news: readonly Fact[];
  before: Snapshot;
  after: Snapshot;
}

const finals = ['SUCCEEDED', 'FAILED', 'TIMED_OUT', 'REJECTED', 'CANCELED', 'REMOVED'];
export const isFinal = ({ status }: { status: string }): boolean => finals.includes(status);
export const isUnasked = ({ phase }: Execution): boolean => ['waiting', 'released', 'offered'].includes(phase);
/** Nobody has asked its device, nor may have. */
export const isSupersedable = (execution: Execution): boolean => isUnasked(execution) && !execution.is_unanswered;

/** A firmware without revisions fits all; otherwise a device whose revision nobody has told does not fit. */
export const fits = ({ revisions }: Pick<Firmware, 'revisions'>, { revision }: Pick<Device, 'revision'>): boolean =>
  revisions === null || (revision !== null && revisions.includes(revision));

/** The device is at work, about to be asked, or may be at work because an answer is missing. */
const isOut = ({ phase, is_unanswered }: Execution): boolean =>
  ['released', 'calling', 'offered', 'asked', 'canceling', 'installed'].includes(phase) || (phase === 'waiting' && is_unanswered);
export const isOutOfService = ({ executions }: Snapshot, external_id: string): boolean =>
  executions.some((execution) => execution.external_id === external_id && isOut(execution));

const calledIn = (news: readonly Fact[]) => news.filter((fact) => fact.kind === 'called');
const deviceIn = ({ devices }: Snapshot, external_id: string) => devices.find((device) => device.external_id === external_id);
const firmwareIn = ({ firmwares }: Snapshot, id: number) => firmwares.find((firmware) => firmware.id === id);

/** Every accepted change is there, nothing else has changed, and the audit knows just these changes (G1, G13). */
export const checkChanges = (span: Span): void => {
  const { after, before } = span;
  const expected = new Expected(before);
  for (const fact of span.news) expected.take(fact, span);
  claim(
    isDeepStrictEqual([...expected.devices.values()].sort(byId), after.devices.map(fieldsOf).sort(byId)),
    'devices are as they were changed',
    [...expected.devices.values()],
  );
  claim(isDeepStrictEqual([...expected.firmwares.values()], after.firmwares), 'firmwares are as they were changed', after.firmwares);
  claim(isDeepStrictEqual([...expected.windows], windowsOf(after)), 'windows are as they were changed', after.zones);
  checkLines(expected, after.lines);
};

const byId = (a: Device, b: Device) => a.external_id.localeCompare(b.external_id);
const fieldsOf = ({ external_id, zone, tags, revision, is_retired }: Device): Device => ({ external_id, zone, tags, revision, is_retired });
const windowsOf = ({ zones }: Snapshot) => zones.map(({ name, maintenance_window: window }) => [name, window && pickWindow(window)]);
const pickWindow = ({ from, until }: { from: string; until: string }) => ({ from, until });

interface ExpectedLine extends Pick<Line, 'action' | 'resource' | 'resource_id'> {
  /** Fields of its outcome; undefined: they are not judged. */
  outcome?: Record<string, unknown>;
}

/** What admins change, and the lines that the audit must have of it. */
class Expected {
  readonly devices: Map<string, Device>;
  readonly firmwares: Map<number, Firmware>;
  readonly windows: Map<string, { from: string; until: string } | null>;
  readonly lines: ExpectedLine[] = [];
  /** Updates for which the backend may have been tried again. */
  readonly resumed: number[] = [];
  /** Requests beside which another one came, which may have taken over what they had claimed. */
  readonly crossed: number[] = [];

  constructor(before: Snapshot) {
    this.devices = new Map(before.devices.map((device) => [device.external_id, fieldsOf(device)]));
    this.firmwares = new Map(before.firmwares.map((firmware) => [firmware.id, firmware]));
    this.windows = new Map(before.zones.map(({ name, maintenance_window: window }) => [name, window && pickWindow(window)]));
  }

  take(fact: Fact, span: Span): void {
    switch (fact.kind) {
      case 'requested':
        this.#takeRequest(fact, span);
        break;
      case 'retried':
        this.#expect('request', 'update', fact.update_id);
        break;
      case 'control ended':
        this.#takeControl(fact, span);
        break;
      case 'changed device':
        this.#takeChange(fact);
        break;
      case 'not found':
        claim(!this.devices.has(fact.external_id), 'a device that is registered is found', fact);
        break;
      case 'registered':
        this.#takeRegistration(fact);
        break;
      case 'changed window':
        this.#takeWindow(fact);
        break;
      case 'changed firmware':
        this.#takeFirmware(fact);
    }
  }

  #expect(action: string, resource: string, id: number | string | null, outcome?: ExpectedLine['outcome']): void {
    this.lines.push({ action, resource, resource_id: id === null ? null : String(id), ...(outcome && { outcome }) });
  }

  #takeRequest({ update_id, request, isAlone }: Extract<Fact, { kind: 'requested' }>, { after }: Span): void {
    const { replaces_update_id: replaced, firmware_id } = request;
    this.#expect('request', 'update', update_id, { firmware_id, needs_approval: false });
    const reason = `REPLACED: ${update_id}`;
    if (replaced !== null) this.#expect('replace', 'update', replaced, { after: { status: 'CANCELED', reason } });
    if (!isAlone) {
      this.crossed.push(update_id);
      return;
    }
    const claimed = new Set(after.claims.filter((c) => c.update_id === update_id).map((c) => `${c.device_id} ${c.hardware_type}`));
    const isToCome = (e: Execution) => claimed.has(`${e.device_id} ${e.hardware_type}`) && isSupersedable(e);
    const taken = Map.groupBy(
      after.executions.filter((e) => e.reason === `SUPERSEDED: ${update_id}` || (e.update_id < update_id && isToCome(e))),
      (execution) => execution.update_id,
    );
    for (const [older, { length: canceled }] of taken) this.#expect('supersede', 'update', older, { by_update_id: update_id, canceled });
  }

  #takeControl({ update_id, action, changed, isAlone }: Extract<Fact, { kind: 'control ended' }>, span: Span): void {
    const name = nameOf(action);
    if (isAlone)
      claim(changed === hasChanged(update_id, span), 'a control says whether it has changed anything', { update_id, name, changed });
    if (changed) this.#expect(name, 'update', update_id);
    else if (name === 'resume') this.resumed.push(update_id);
  }

  #takeChange({ external_id, change }: Extract<Fact, { kind: 'changed device' }>): void {
    const device = this.devices.get(external_id);
    claim(device !== undefined, 'a device that can be changed is registered', external_id);
    if (!device) return;
    const changed = withFields(device, change);
    const names = differingIn(device, changed);
    if (names.length === 0) return;
    this.devices.set(external_id, changed);
    const action = names.includes('is_retired') ? (changed.is_retired ? 'retire' : 'reinstate') : 'change';
    const pick = (of: Device) => Object.fromEntries(names.filter((name) => name !== 'is_retired').map((name) => [name, of[name]]));
    // When it was retired is stored as a time.
    this.#expect(
      action,
      'device',
      `scooter/${external_id}`,
      action === 'change' ? { before: pick(device), after: pick(changed) } : undefined,
    );
  }

  #takeRegistration({ devices, answer }: Extract<Fact, { kind: 'registered' }>): void {
    const counts = { created: 0, changed: 0, unchanged: 0 };
    for (const { external_id, ...given } of devices) {
      const known = this.devices.get(external_id);
      const none: Device = { external_id, zone: null, tags: [], revision: null, is_retired: false };
      const device = withFields(known ?? none, given);
      counts[known ? (differingIn(known, device).length > 0 ? 'changed' : 'unchanged') : 'created'] += 1;
      this.devices.set(external_id, device);
    }
    claim(isDeepStrictEqual({ ...answer }, counts), 'a registration says what it has done', answer, counts);
    const { created, changed } = counts;
    if (created + changed > 0) this.#expect('register', 'device', null, { created, changed });
  }

  #takeWindow({ zone, window }: Extract<Fact, { kind: 'changed window' }>): void {
    if (!isDeepStrictEqual(this.windows.get(zone), window)) this.#expect('change', 'zone', zone);
    this.windows.set(zone, window);
  }

  #takeFirmware({ firmware_id, change }: Extract<Fact, { kind: 'changed firmware' }>): void {
    const firmware = this.firmwares.get(firmware_id);
    if (!firmware) return;
    const changed = { ...firmware, ...change };
    if (!isDeepStrictEqual(firmware, changed)) this.#expect('status' in change ? 'withdraw' : 'change', 'firmware', firmware_id);
    this.firmwares.set(firmware_id, changed);
  }
}

const withFields = (device: Device, { zone, tags, revision, retired }: DeviceFields): Device => ({
  ...device,
  ...(zone !== undefined && { zone }),
  ...(tags !== undefined && { tags: tags.toSorted() }),
  ...(revision !== undefined && { revision }),
  ...(retired !== undefined && { is_retired: retired }),
});

const differingIn = (one: Device, other: Device) =>
  (['zone', 'tags', 'revision', 'is_retired'] as const).filter((name) => !isDeepStrictEqual(one[name], other[name]));

const nameOf = (action: ControlAction): string =>
  typeof action === 'object' ? 'change_pace' : action === 'force-cancel' ? 'cancel' : action;

/** Whether an update is another one than before in what callers decide about, or has executions that were just canceled. */
const hasChanged = (update_id: number, { before, after }: Span): boolean => {
  const decided = (update: Update | undefined) =>
    update && [update.status, update.reason, update.cancels_all, update.maximum_per_minute, update.maximum_in_progress, update.exponential];
  const [one, other] = [before, after].map(({ updates }) => decided(updates.find(({ id }) => id === update_id)));
  const canceled = ({ executions }: Snapshot) => executions.filter((e) => e.update_id === update_id && e.status === 'CANCELED').length;
  return !isDeepStrictEqual(one, other) || canceled(before) !== canceled(after);
};

const checkLines = ({ lines: expected, resumed, crossed }: Expected, lines: readonly Line[]): void => {
  const left = [...lines];
  for (const line of expected) {
    const at = left.findIndex((each) => isLine(each, line));
    claim(at >= 0, 'G13: no change is without its audit line', line, lines);
    left.splice(at, 1);
  }
  // A resume of an update that runs changes it only by trying the backend again.
  const isTry = ({ action, resource_id, outcome }: Line) =>
    action === 'resume' && resumed.includes(Number(resource_id)) && outcome['backend_tried_again'] === true;
  const isCrossed = ({ action, outcome }: Line) => action === 'supersede' && crossed.includes(Number(outcome['by_update_id']));
  const unexplained = left.filter((line) => !isTry(line) && !isCrossed(line));
  claim(unexplained.length === 0, 'G13: no audit line is without its change', unexplained);
  claim(
    lines.every(({ caller }) => caller === actor.subject),
    'G13: a line names who has asked for the change',
    lines,
  );
};

const isLine = ({ outcome, ...line }: Line, { outcome: expected = {}, ...wanted }: ExpectedLine): boolean =>
  line.action === wanted.action &&
  line.resource === wanted.resource &&
  line.resource_id === wanted.resource_id &&
  Object.entries(expected).every(([name, value]) => isDeepStrictEqual(outcome[name], value));

/**
 * Nobody is asked for a firmware that does not fit; a device leaves an update only because it is retired or does not fit, and the reason says
 * what it is. A change amid deliveries may come before or after them.
 */
export const checkRevisions = ({ news, before, after }: Span): void => {
  const pairs = (external_id: string, firmware_id: number) =>
    [before, after].flatMap((one) =>
      [before, after].flatMap((other) => {
        const device = deviceIn(one, external_id);
        const firmware = firmwareIn(other, firmware_id);
        return device && firmware ? [{ device, firmware }] : [];
      }),
    );
  const executions = new Map(after.executions.map((execution) => [execution.id, execution]));
  for (const { commands } of calledIn(news)) {
    for (const { execution_id } of commands) {
      const execution = executions.get(execution_id);
      if (!execution) continue;
      const possible = pairs(execution.external_id, execution.firmware_id);
      claim(
        possible.some(({ device, firmware }) => fits(firmware, device)),
        'nobody is asked for a firmware that does not fit',
        execution,
        possible,
      );
    }
  }
  const ended = new Set(before.executions.filter(isFinal).map(({ id }) => id));
  for (const execution of after.executions) {
    if (execution.status !== 'REMOVED' || ended.has(execution.id)) continue;
    const possible = pairs(execution.external_id, execution.firmware_id);
    const why = possible.flatMap(({ device, firmware }) => [
      ...(device.is_retired ? ['RETIRED_DEVICE'] : []),
      ...(fits(firmware, device)
        ? []
        : [`HARDWARE_MISMATCH: revision ${device.revision ?? 'unknown'}, fits ${firmware.revisions?.join(', ')}`]),
    ]);
    claim(why.includes(execution.reason ?? ''), 'a device leaves an update because it is retired or does not fit', execution, possible);
  }
};

/** Zone north, in which every second device may be out of service. */
const budgetOf = ({ devices }: Snapshot): number =>
  Math.max(1, Math.floor(devices.filter(({ zone, is_retired }) => zone === 'north' && !is_retired).length / 2));

/**
 * G10, of all updates together. Where devices have left the zone meanwhile, those at work may be more; but no other one is asked then.
 */
export const checkBudget = ({ before, after }: Span): void => {
  const [were, are] = [before, after].map((snapshot) =>
    snapshot.devices.filter(({ external_id, zone }) => zone === 'north' && isOutOfService(snapshot, external_id)).map((d) => d.external_id),
  ) as [string[], string[]];
  const isLess = are.every((external_id) => were.includes(external_id));
  const most = Math.max(budgetOf(before), budgetOf(after));
  claim(isLess || are.length <= most, `G10: at most ${most} devices of zone north are out of service`, are, were);
};

/** Of every day, in local time. */
export interface Window {
  from: string;
  until: string;
}

/** Minutes of a day in which the windows of histories are open. */
const minuteOf = (time: string) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3));
const isOpenAt = (window: Window | null, at: Date, hoursAhead: number): boolean => {
  if (!window) return true;
  const minute = (at.getUTCHours() * 60 + at.getUTCMinutes() + hoursAhead * 60) % 1_440;
  const [from, until] = [minuteOf(window.from), minuteOf(window.until)];
  return from < until ? minute >= from && minute < until : minute >= from || minute < until;
};

/** G11: nobody was asked outside the windows that his zone and his update had at that moment. Moscow is three hours ahead all year. */
export const checkWindows = ({ news, before, after }: Span): void => {
  const windows = [before, after].map(({ zones }) => zones.find(({ name }) => name === 'north')?.maintenance_window ?? null);
  for (const { at, commands } of calledIn(news)) {
    for (const { execution_id, external_id } of commands) {
      const execution = after.executions.find(({ id }) => id === execution_id);
      const window = (after.updates.find(({ id }) => id === execution?.update_id)?.window ?? null) as Window | null;
      const zone = deviceIn(after, external_id)?.zone;
      const isOpen =
        (zone !== 'north' || windows.some((ofZone) => isOpenAt(ofZone, at, 3))) && isOpenAt(window, at, zone === 'north' ? 3 : 0);
      claim(isOpen, 'G11: a device is asked only inside its windows', { external_id, zone, window, windows, at });
    }
  }
};

/** What the filters of histories mean. */
export const isMeant = (targets: unknown, { zone, tags, revision, is_retired }: Device): boolean => {
  const { filter } = targets as { filter: { zone?: string; tags?: { all: string[] }; revision?: string } };
  const isInZone = filter.zone === undefined || (filter.zone === 'none' ? zone === null : zone === filter.zone);
  const isOfRevision = filter.revision === undefined || filter.revision === revision;
  return !is_retired && isInZone && isOfRevision && (filter.tags?.all ?? []).every((tag) => tags.includes(tag));
};

/** A device that an open update means and may update, and has not taken in. */
export interface Untaken {
  update: Update;
  device: Device;
  tries: Execution[];
}

/**
 * G12: the devices that open updates still have to take in. Those do not count that are in flight, have had their try, or are meant by another
 * open update that was requested later.
 */
export const listUntaken = (
  snapshot: Snapshot,
  catalogue: readonly { id: number; hardware_type: string; version_num: number }[],
): Untaken[] => {
  const { executions, updates, known, devices } = snapshot;
  const open = updates.filter(({ continuous, status }) => continuous && status === 'IN_PROGRESS');
  const catalogued = (id: number | null | undefined) => catalogue.find((firmware) => firmware.id === id);
  return open.flatMap((update) => {
    const firmware = catalogued(update.firmware_id);
    const stored = firmwareIn(snapshot, update.firmware_id);
    if (!firmware || !stored) return [];
    const { hardware_type } = firmware;
    const younger = open.filter(({ id, firmware_id }) => id > update.id && catalogued(firmware_id)?.hardware_type === hardware_type);
    return devices.flatMap((device) => {
      const isTheirs = younger.some((other) => isMeant(other.targets, device));
      if (!isMeant(update.targets, device) || isTheirs || !fits(stored, device)) return [];
      const isItsOwn = (row: { external_id: string; hardware_type: string }) =>
        row.external_id === device.external_id && row.hardware_type === hardware_type;
      const all = executions.filter(isItsOwn);
      const row = known.find(isItsOwn);
      const runs = catalogued(row?.firmware_id);
      const isDowngrade = runs !== undefined && runs.version_num > firmware.version_num && !update.allow_downgrade;
      const failed = all.filter((e) => e.status === 'FAILED' && e.firmware_id === firmware.id && !e.late_success_dt);
      if (runs?.id === firmware.id || isDowngrade || failed.length >= 3 || !all.every(isFinal)) return [];
      const tries = all.filter(({ update_id }) => update_id === update.id);
      return tries.some((execution) => isTry(execution, row)) ? [] : [{ update, device, tries }];
    });
  });
};

/**
 * Whether an execution keeps its device from coming back: it was given up to a younger update, or has failed. It comes back when it was seen to
 * run another version since. One whose turn did not come in time waits until something about it changes.
 */
const isTry = (execution: Execution, row: Snapshot['known'][number] | undefined): boolean => {
  const { status, reason, sent_dt, finished_dt } = execution;
  if (reason?.startsWith('SUPERSEDED')) return true;
  const hasFailed = ['FAILED', 'TIMED_OUT', 'REJECTED'].includes(status) && (sent_dt !== null || reason === 'QUEUED_TOO_LONG');
  return hasFailed && !(row && finished_dt && row.firmware_update_dt > finished_dt);
};
