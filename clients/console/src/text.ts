// Every English text of the console. Another language is another file of this shape.
import type { AuditLine, DryRun, Execution, Group, Stats, Update, Wait, WaitsFor } from '../../api/src/index.ts';
import { formatClock, formatDateTime, formatDuration, formatList, formatNumber, formatRelative, formatShare } from './format.ts';
import type { PackageDraft, WrongPackage } from './package/package-draft.ts';
import type { Gauge, Situation } from './update/situation.ts';
import type { Verdict } from './update/verdict.ts';
import type { Look, Warning } from './upload/file-looks.ts';
import { canarySizeOf, type Draft, isContinuous, type Wrong } from './wizard/draft.ts';

const count = (number: number, one: string, many = `${one}s`): string => `${formatNumber(number)} ${number === 1 ? one : many}`;
const devices = (number: number): string => count(number, 'device');

const executionStatus: Record<Execution['status'], string> = {
  QUEUED: 'Waiting',
  IN_PROGRESS: 'At work',
  SUCCEEDED: 'Succeeded',
  FAILED: 'Failed',
  TIMED_OUT: 'Timed out',
  REJECTED: 'Rejected',
  CANCELED: 'Canceled',
  REMOVED: 'Removed',
};

const updateStatus: Record<Update['status'], string> = {
  SCHEDULED: 'Scheduled',
  WAITING_FOR_APPROVAL: 'Waits for approval',
  IN_PROGRESS: 'Running',
  PAUSED: 'Paused',
  COMPLETED: 'Completed',
  CANCELED: 'Canceled',
  ABORTED: 'Stopped by a rule',
};

const eligibility: Record<DryRun['reasons'][number]['reason'], string> = {
  ELIGIBLE: 'will be updated',
  ELIGIBLE_UNKNOWN_VERSION: 'will be updated; what they run now is in no catalogue',
  ALREADY_ON_TARGET: 'run it already',
  UNKNOWN_DEVICE: 'are not registered',
  HARDWARE_MISMATCH: 'do not have this hardware, or another revision of it',
  UPDATE_IN_FLIGHT: 'are in another update now',
  DOWNGRADE: 'run a newer version',
  REQUIRES_NEWER: 'have to run something newer first',
  BLOCKED: 'have failed this firmware three times',
  UNKNOWN_VERSION: 'run a version that is in no catalogue',
  FIRMWARE_NOT_AVAILABLE: 'cannot have it: the firmware is not available',
  RETIRED_DEVICE: 'are retired',
};

/** The reasons of the API, in words. One that is missing here is shown as it is. */
const reason: Record<string, string> = {
  ALREADY_ON_TARGET: 'Ran it already',
  DEFERRED: 'Put off by the device or the backend',
  RETRY: 'Another try',
  VERSION_MISMATCH: 'Says it is done, but runs another version',
  DEVICE_FAILED: 'The device failed',
  DEVICE_REJECTED: 'The device refused',
  BACKEND_REJECTED: 'The backend refused',
  QUEUED_TOO_LONG: 'Waited too long for its turn',
  NOT_CONFIRMED: 'Was not seen on the new version in time',
  UPDATE_CANCELED: 'The update was canceled',
  UPDATE_ABORTED: 'The update was stopped by a rule',
  FIRMWARE_WITHDRAWN: 'The firmware was withdrawn',
  FIRMWARE_LOST: 'The file of the firmware is missing',
  RETIRED_DEVICE: 'The device was retired',
  SUPERSEDED: 'Taken over by update',
  HARDWARE_MISMATCH: 'The firmware does not fit its hardware, or this revision of it',
  DEVICE_CANCELED: 'The device stopped when it was asked to',
  AWAITING_PROOF: 'Says it is done; what it runs is being looked up',
  FAILURE_RATE: 'too many failures',
  CANARY_FAILED: 'the canary failed',
  REPLACED: 'replaced by update',
  REJECTED: 'not approved',
  CANCEL_REQUESTED: 'Asked to stop',
  CANCEL_REFUSED: 'Goes on although it was asked to stop',
};

const waits: Record<WaitsFor['cause'], string> = {
  APPROVAL: 'waits until somebody approves the update',
  START: 'waits for the start of the update',
  RESUME: 'waits until the update is resumed',
  STEP: 'the next step of the update is late',
  CANARY: 'waits for the canary',
  WINDOW: 'waits until its maintenance window opens',
  BUDGET: 'waits until others of its zone are back in service',
  PACE: 'waits for its turn',
  RETRY: 'waits for its next try',
  DEFERRAL: 'is asked again later',
  HANDOVER: 'its command is on its way to the backend',
  BACKEND: 'waits for the backend',
  POLL: 'waits until the device asks for work',
  DEVICE: 'installs; its proof is awaited',
  END: 'ends with the next step',
};

/** `waits until the maintenance window opens, in 5 hr.` */
const waitsFor = ({ cause, until_dt, place }: WaitsFor): string =>
  [
    waits[cause] ?? cause,
    place === null ? '' : `, ${place === 1 ? 'as the next one' : `behind ${formatNumber(place - 1)} others`}`,
    until_dt === null ? '' : `, ${formatRelative(until_dt, new Date())}`,
  ].join('');

/** What follows them is the number of another update. */
const namesAnUpdate = new Set(['REPLACED', 'SUPERSEDED']);

/** A code with what stands behind it in words: `FAILURE_RATE: 20 of 162 devices asked ended as FAILED or TIMED_OUT`. */
const spoken = (whole: string): string => {
  const [, code = '', rest = ''] = /^([A-Z_]+)(?::\s*(.*))?$/s.exec(whole) ?? [];
  if (code === '') return whole;
  const words = rest.replaceAll(/\b[A-Z_]{4,}\b/g, (word) => executionStatus[word as Execution['status']]?.toLowerCase() ?? word);
  return [reason[code] ?? code, words].filter(Boolean).join(namesAnUpdate.has(code) ? ' #' : ': ');
};
const because = (why: string | null): string => (why === null ? '' : `: ${spoken(why)}`);

/** What an update does now, and why; the first thing on its page. */
const situation = (now: Situation): string => {
  switch (now.kind) {
    case 'ended': {
      const succeeded = `${formatNumber(now.succeeded)} of ${devices(now.total)} succeeded`;
      if (now.status === 'COMPLETED')
        return now.failed === 0 ? `Done: ${succeeded}.` : `Done: ${succeeded}, ${formatNumber(now.failed)} did not.`;
      return `${now.status === 'ABORTED' ? 'Stopped by a rule' : 'Canceled'}${because(now.reason)}. ${succeeded}.`;
    }
    case 'stopping':
      return `${now.status === 'ABORTED' ? 'Stopped by a rule' : 'Canceled'}${because(now.reason)}. Nobody else is asked${now.atWork === 0 ? '; those that wait are being ended' : `; ${devices(now.atWork)} still at work`}.`;
    case 'paused':
      return `Paused${because(now.reason)}. ${devices(now.waiting)} wait until it is resumed; ${formatNumber(now.atWork)} at work finish.`;
    case 'late':
      return `Its next step was due ${now.due === null ? 'long ago' : `at ${formatDateTime(now.due)}`} and has not come. Pause and resume it: that sends its message again.`;
    case 'waitsForApproval':
      return `Waits until somebody else than ${now.by} approves it.`;
    case 'scheduled':
      return now.start === null ? 'Begins in a moment.' : `Begins ${formatDateTime(now.start)}.`;
    case 'staysOpen':
      return `Stays open: it waits for devices that come to match${now.since === null ? '' : `, since ${formatDateTime(now.since)}`}.`;
    case 'withdrawn':
      return `The firmware was withdrawn: nobody else is asked. ${devices(now.atWork)} at work.`;
    case 'lost':
      return `Waits until the file of the firmware is there again. ${devices(now.atWork)} at work.`;
    case 'nobodyLeft':
      return now.supersedes
        ? 'All of its devices have ended. It waits for those that are still at work for older updates, and takes them in then.'
        : 'All of its devices have ended; the update ends in a moment.';
    case 'everybodyAsked':
      return `Everybody has been asked. ${devices(now.atWork)} still at work.`;
    case 'backendAway':
      return `The backend does not answer${because(now.reason)}. It is tried again at ${formatClock(now.until)}; nobody is asked until then.`;
    case 'canaryStarts':
      return `A canary of ${devices(now.size)} goes first; everybody else waits for it.`;
    case 'canaryAtWork':
      return `The canary goes first: ${formatNumber(now.open)} of its ${devices(now.size)} have not ended. The rest follows when ${now.percentage} % have succeeded.`;
    case 'canaryWaits':
      return `The canary has ended. The rest follows at ${formatClock(now.until)}, when its waiting time is over.`;
    case 'putOff':
      return `${devices(now.waiting)} cannot just now and are asked again by and by; ${formatNumber(now.atWork)} at work.`;
    case 'atLimit':
      return `${devices(now.atWork)} at work, as many as may be at once. The next ones follow as these end.`;
    case 'waitsForWindow':
      return now.until === null
        ? `${devices(now.waiting)} wait for a maintenance window that never opens.`
        : `${devices(now.waiting)} wait for the next maintenance window, which opens ${formatDateTime(now.until)}.`;
    case 'atBudget':
      return `${devices(now.atWork)} at work, as many as the budgets of their zones allow. The next ones follow as these end.`;
    case 'nobodyAsked':
      return `Nobody was asked in the last minute; ${devices(now.waiting)} wait: see below for what.`;
    case 'asking':
      return `Devices are being asked, up to ${formatNumber(now.perMinute)} a minute${now.slowedTo === null ? '' : `; the backend slows it down to ${formatShare(now.slowedTo)}`}.`;
  }
};

const looks: Record<Look, string> = {
  empty: 'an empty file',
  elf: 'an ELF program',
  gzip: 'a gzip archive',
  zip: 'a ZIP archive',
  cpio: 'a cpio archive',
  'git-lfs': 'a pointer of Git LFS, not the file itself',
  html: 'a web page, perhaps of a login',
  ihex: 'Intel HEX',
  srec: 'Motorola S-records',
  text: 'plain text',
  binary: 'binary data',
};

const kinds = { scooter: 'Scooter', cabinet: 'Cabinet' } as const;
const kindOf = (kind: 'scooter' | 'cabinet', number: number): string => count(number, kind);

const wrong: Record<NonNullable<Wrong[Exclude<keyof Wrong, 'filter'>]>, string> = {
  number: 'A whole number is needed here.',
  percentage: 'Between 0 and 100.',
  tooMany: 'At most 10,000 ids. Choose more by a filter.',
  none: 'At least one id.',
  comment: 'A comment is needed when devices go back to an older version, or windows do not count.',
  group: 'Which group?',
  hours: 'From when until when, and on which days?',
  passing: 'An update that stays open cannot have "Not seen for" among its conditions.',
};

const kindsMany = { scooter: 'scooters', cabinet: 'cabinets' } as const;
const channels = { telematics: 'through the backend', iot: 'polls by itself' } as const;

type Running = NonNullable<Group['filter']['running']>;
const runningOf = (running: Running): string =>
  'firmware_id' in running ? `firmware ${running.firmware_id}` : `${running.hardware_type} ${running.version}`;

/** A filter in words: `scooters, in zone north, tagged night`. */
const filterOf = (filter: Group['filter']): string => {
  const { kind, external_id_prefix: prefix, version, channel, zone, tags, revision, running, not_running } = filter;
  const { older_than_firmware_id: older, unknown_version, not_seen_days, not_seen_since, retired } = filter;
  return [
    kind === undefined ? 'all devices' : kindsMany[kind],
    prefix && `ids beginning with ${prefix}`,
    version && (version === 'none' ? 'with an IoT of their own' : `generation ${version}`),
    channel && `reached ${channel === 'iot' ? 'by their own polling' : channels[channel]}`,
    zone && (zone === 'none' ? 'in no zone' : `in zone ${zone}`),
    tags?.all && `tagged ${tags.all.join(' and ')}`,
    tags?.any && `tagged ${tags.any.join(' or ')}`,
    tags?.none && `not tagged ${tags.none.join(' or ')}`,
    revision && `revision ${revision}`,
    running && `running ${runningOf(running)}`,
    not_running && `not running ${runningOf(not_running)}`,
    older && `running something older than firmware ${older}`,
    unknown_version && `on a version of ${unknown_version} that is in no catalogue`,
    not_seen_days && `not seen for ${count(not_seen_days, 'day')}`,
    not_seen_since && `not seen since ${formatDateTime(not_seen_since)}`,
    retired && 'retired',
  ]
    .filter(Boolean)
    .join(', ');
};

const ofWhom = ({ choice, filter, group }: Draft): string => {
  if (choice === 'group') return ` of group ${group}`;
  if (choice === 'ids' || filter.zone === '') return '';
  return filter.zone === 'none' ? ' without a zone' : ` of zone ${filter.zone}`;
};

/** What the update would do, in one sentence, or what is missing. */
const sentence = ({
  draft,
  firmware,
  plan,
  isReady,
  isCounting,
}: {
  draft: Draft;
  firmware: { hardware_type: string; version: string } | undefined;
  plan: DryRun | undefined;
  isReady: boolean;
  isCounting: boolean;
}): string => {
  if (!firmware) return 'Choose a firmware first.';
  if (!plan) return isCounting ? 'Who takes part is being counted …' : 'Choose devices.';
  if (plan.eligible === 0 && !isContinuous(draft)) return 'No device would be updated: see why above.';
  if (!isReady) return isCounting ? 'Who takes part is being counted …' : 'Something is not filled in as it should be: see above.';
  const canary = canarySizeOf(draft, plan.eligible);
  return [
    `Updates ${kindOf(draft.kind, plan.eligible)}${ofWhom(draft)}${isContinuous(draft) ? ', and those that come to match later,' : ''} to ${firmware.hardware_type} ${firmware.version}`,
    ...(canary > 0 ? [`, ${formatNumber(canary)} first`] : []),
    `, at most ${formatNumber(Number(draft.perMinute))} a minute`,
    ...(draft.window === 'own' ? [`, between ${draft.hours.from} and ${draft.hours.until}`] : []),
    ...(draft.window !== 'ignore' && plan.when.later.some(({ cause }) => cause === 'WINDOW')
      ? [', within the windows of their zones']
      : []),
    ...(draft.window === 'ignore' ? [', outside maintenance windows too'] : []),
    ...(draft.budget === '' ? [] : [`, never more than ${draft.budget} % of a zone at once`]),
    ...(draft.atWork === '' ? [] : [` and ${formatNumber(Number(draft.atWork))} at once`]),
    ...(draft.start === '' ? [] : [`, from ${formatDateTime(draft.start)} on`]),
    `; ${draft.stopAction === 'ABORT' ? 'stops' : 'pauses'} when ${draft.stopAt} % have failed.`,
  ].join('');
};

/** What a caller can change. */
const things: Record<AuditLine['resource'], string> = {
  update: 'Update',
  firmware: 'Firmware',
  assembly: 'Package',
  device: 'Device',
  group: 'Group',
  zone: 'Zone',
  hardware_type: 'Hardware type',
  observation: 'Look-up',
  author_key: 'Author key',
  author_root: 'Root of author keys',
};

/** What was done with it. One that is missing here is shown as it is. */
const deeds: Record<string, string> = {
  add: 'added',
  approve: 'approved',
  cancel: 'canceled',
  change: 'changed',
  change_pace: 'pace changed',
  delete: 'deleted',
  issue_token: 'new token',
  pause: 'paused',
  publish: 'published',
  register: 'registered',
  reject: 'not approved',
  request: 'requested',
  resume: 'resumed',
  retire: 'retired',
  sign: 'signed',
  tag: 'tagged',
};

type GateText = Pick<Stats['backend_gate'], 'failures' | 'reason'>;

export const text = {
  product: 'scooters-updater',
  yes: 'Yes',
  no: 'No',
  lacksScope: (scope: string) => `Your login lacks the scope ${scope}.`,
  executionStatus,
  updateStatus,
  eligibility,
  reason,
  spoken,
  situation,
  wrong,
  kinds,
  kindsMany,
  channels,
  filterOf,
  firmwareStatus: {
    awaiting_upload: 'Awaits its file',
    awaiting_signature: 'Awaits a signature',
    available: 'Available',
    lost: 'File missing',
    withdrawn: 'Withdrawn',
    rejected: 'Rejected',
  },
  waitsFor,

  places: {
    overview: 'Overview',
    updates: 'Updates',
    firmwares: 'Firmware',
    packages: 'Packages',
    fleet: 'Fleet',
    statistics: 'Statistics',
    groups: 'Groups',
    zones: 'Zones',
    audit: 'Changes',
  },
  frame: {
    skip: 'Skip to the content',
    menu: 'Menu',
    pages: 'Pages',
    docs: 'API',
    logOut: 'Log out',
    theme: 'Colours',
    themes: { system: 'As the system', light: 'Light', dark: 'Dark' },
    unreachable: 'The service cannot be reached just now. What you see may be old; it is tried again by itself.',
  },
  notFound: { title: 'There is no such page', says: 'The address leads nowhere.' },
  login: {
    title: 'Log in',
    notSetUp: 'Nobody can log in here yet: this stage has no CONSOLE_CLIENT_ID.',
    loggedOut: 'You are logged out of the console.',
    failed: 'You are not logged in.',
    issuerSays: (issuer: string, message: string) => `${issuer} says: ${message}`,
    logIn: 'Log in',
    ended: 'Your login has ended.',
    again: 'Log in again',
  },
  states: {
    loading: 'Loading …',
    more: 'Show more',
    tryAgain: 'Try again',
    leave: 'Leave it',
    refused: 'Refused',
    failed: 'That did not work',
    noReason: 'The service gives no reason.',
    requestId: 'Request',
  },
  filters: {
    any: 'Any',
    nothing: 'Nothing matches. Change the filters above.',
    further: 'More conditions',
    tags: 'Tags',
    tagsHint: 'All of these, with spaces between.',
    anyTags: 'One of these tags',
    noTags: 'None of these tags',
    days: 'days',
    service: 'Service',
    inService: 'In service',
    retired: 'Retired',
    version: 'What they run',
    compare: { running: 'this version', not_running: 'another version', older: 'an older version', unknown: 'a version in no catalogue' },
    type: 'Of hardware type',
    of: { running: 'Which version', not_running: 'Another than', older: 'Older than' },
    wrong: {
      type: 'Of which hardware type?',
      version: 'Which version?',
      notInCatalogue: 'No available firmware has this version.',
      number: 'A whole number of days.',
    },
  },
  charts: {
    asTable: 'The same as a table',
    time: 'Time',
    bucket: (from: number, until: number | null, number: number) =>
      `${formatDuration(from)} to ${until === null ? 'any' : formatDuration(until)}: ${count(number, 'installation')}`,
  },
  overview: {
    running: 'Running now',
    nothingRuns: 'No update is running.',
    fleet: 'Fleet',
    newest: 'On the newest version',
    recent: 'Ended last',
    allSeen: (days: number) => `all seen in the last ${count(days, 'day')}`,
    notSeen: (late: number, never: number, days: number) =>
      `${formatNumber(late)} not seen for ${count(days, 'day')}${never > 0 ? `, ${formatNumber(never)} of them never` : ''}`,
    late: 'updates whose next step is late',
    runNewest: (number: number, version: string) => `${devices(number)} on ${version}`,
    noNewest: 'no version is available',
    unknown: (number: number) => `${formatNumber(number)} on a version in no catalogue`,
  },
  updates: {
    title: 'Updates',
    start: 'New update',
    none: 'There was no update yet. One begins with a firmware.',
    number: 'Number',
    status: 'Status',
    firmware: 'Firmware',
    progress: 'Progress',
    devices: 'Devices',
    comment: 'Comment',
    by: 'Requested by',
    requested: 'Requested',
  },
  update: {
    titleOf: (id: number) => `Update ${id}`,
    title: ({ id }: Pick<Update, 'id'>) => `Update ${id}`,
    progress: 'Progress',
    asOf: (clock: string) => `as of ${clock}`,
    stale: (clock: string) => `no answer since ${clock}`,
    ended: (ended: number, total: number) => `${formatNumber(ended)} of ${devices(total)} have ended`,
    late: (number: number) => `${formatNumber(number)} more were seen on the new version too late`,
    barOf: (counts: Update['counts']) =>
      Object.entries(counts)
        .filter(([, number]) => number > 0)
        .map(([status, number]) => `${formatNumber(number)} ${executionStatus[status as Execution['status']].toLowerCase()}`)
        .join(', ') || 'no devices',
    legend: 'Show the devices of one status',
    overTime: 'Statuses over time',
    overTimeLabel: 'How many devices were in each status, from the start until now',
    leftOut: (part: number, chosen: number) =>
      `${formatNumber(part)} of ${devices(chosen)} chosen take part (${formatShare(part / Math.max(1, chosen))}).`,
    allWait: (waiting: number) => `Of the ${devices(waiting)} that nobody has asked yet:`,
    firstWait: (seen: number, waiting: number) =>
      `Of the first ${formatNumber(seen)} of the ${devices(waiting)} that nobody has asked yet:`,
    waitOf: ({ cause, count: number, until_dt }: Wait) =>
      `${waits[cause] ?? cause}: ${formatNumber(number)}${until_dt === null ? '' : ` (the first of them until ${formatDateTime(until_dt)})`}`,
    whoIsLeftOut: (number: number) => `Who is left out: ${formatNumber(number)}`,
    pace: 'Pace',
    paceNow: 'asked in the last minute',
    paceAllowed: 'Allowed',
    perMinute: (number: number) => `${formatNumber(number)} a minute`,
    mostAtWork: 'At work at once, at most',
    slowed: 'Slowed down',
    slowedTo: (share: string) => `to ${share} by the backend`,
    estimatedEnd: 'Estimated end',
    notKnown: 'not known yet',
    took: 'Took',
    finished: 'Ended',
    canary: 'Canary',
    canaryAlone: 'Canary only',
    canaryNeeds: (needed: number, size: number) => `of ${formatNumber(needed)} needed have succeeded (${devices(size)} go first)`,
    canaryPassed: 'Passed.',
    canaryPassedAt: 'Passed',
    canaryWait: 'Still waits',
    stopRules: 'Stop rules',
    rule: (rule: Update['abort'][number], { threshold }: Gauge) =>
      `${rule.action === 'PAUSE' ? 'Pauses' : 'Stops'} at ${formatShare(threshold)} ${rule.failure_types.length >= 3 || rule.failure_types.includes('ALL') ? 'failures' : rule.failure_types.map((each) => executionStatus[each as Execution['status']]?.toLowerCase() ?? each).join(' or ')}`,
    ruleNow: ({ share, failures, stillToEnd }: Gauge) =>
      `${formatShare(share)} now (${count(failures, 'failure')})${stillToEnd > 0 ? `; judged when ${formatNumber(stillToEnd)} more have ended` : ''}`,
    backend: 'Backend',
    backendFails: ({ failures, reason: why }: GateText) => `The last ${count(failures, 'call')} failed${because(why)}.`,
    calls: (number: number) => count(number, 'call'),
    reasons: 'Why',
    noReason: 'No reason given',
    devicesTitle: 'Devices',
    device: 'Device',
    deviceId: 'Device id',
    why: 'Why',
    attempt: 'Try',
    asked: 'Asked',
    lateSuccess: 'seen on the new version later',
    executionsRemoved: 'The devices of this update are no longer kept, because it ended so long ago. Its numbers and reasons stay.',
    settings: 'Settings',
    started: 'Started',
    startsAt: 'Starts at',
    retryOf: 'Tries again',
    continuous: 'Stays open for devices that come to match',
    replaces: 'Replaces',
    rests: 'Nothing to do since',
    retries: 'Further tries',
    retriesOf: ({ number_of_retries }: Update['retry']) => (number_of_retries === 0 ? 'none' : count(number_of_retries, 'time')),
    timeouts: 'Time limits',
    timeoutsOf: ({ queued_minutes, in_progress_minutes }: Update['timeouts']) =>
      `${formatDuration(queued_minutes * 60)} until a device is asked, ${formatDuration(in_progress_minutes * 60)} until it is seen on the new version`,
    growing: 'Growing pace',
    growingOf: ({ base_per_minute, increment_factor, after_succeeded }: NonNullable<Update['rollout']['exponential']>) =>
      `${formatNumber(base_per_minute)} a minute at first, ${formatNumber(increment_factor)} times as fast after each ${formatNumber(after_succeeded)} that succeeded`,
    approval: 'Approval',
    approvalOf: (decision: 'APPROVED' | 'REJECTED' | null, by: string | null, remark: string | null) =>
      decision === null
        ? 'nobody has decided yet'
        : `${decision === 'APPROVED' ? 'approved' : 'rejected'} by ${by ?? '?'}${remark ? `: ${remark}` : ''}`,
    window: 'Only between',
    ignoresWindow: 'Outside maintenance windows too',
    budget: 'Out of service in a zone, at most',
    downgrade: 'Also to an older version',
    force: 'Also devices that failed it three times',
    supersede: 'Takes devices out of older updates',
    supersedes: (claimed: number) => (claimed === 0 ? 'yes' : `yes, ${count(claimed, 'of them is', 'of them are')} to follow`),
    unknownVersion: 'Devices on an unknown version',
    unknownVersions: { INCLUDE: 'take part', EXCLUDE: 'are left out' },
  },
  controls: {
    approve: 'Approve',
    reject: 'Reject',
    secondPerson: 'You have requested it: somebody else has to decide.',
    remark: 'Remark',
    remarkHint: 'Needed: why not.',
    approveTitle: (id: number) => `Approve update ${id}?`,
    approveSays: (waiting: number, by: string, start: string | null) =>
      `It begins ${start === null || new Date(start) <= new Date() ? 'at once' : formatDateTime(start)}, for ${devices(waiting)}. Requested by ${by}.`,
    rejectTitle: (id: number) => `Reject update ${id}?`,
    rejectSays: (waiting: number) => `It ends before it has begun; none of its ${devices(waiting)} is asked.`,
    pause: 'Pause',
    resume: 'Resume',
    cancel: 'Cancel update',
    pace: 'Change pace',
    retry: 'Try again',
    reason: 'Why',
    reasonHint: 'Shown with the update. May stay empty.',
    pauseTitle: (id: number) => `Pause update ${id}?`,
    pauseSays: (waiting: number, atWork: number) =>
      `${devices(waiting)} that wait are not asked until you resume. ${formatNumber(atWork)} at work finish.`,
    resumeTitle: (id: number) => `Resume update ${id}?`,
    resumeSays: (waiting: number, perMinute: number) =>
      `${devices(waiting)} that wait are asked, up to ${formatNumber(perMinute)} a minute. A rule that has paused it judges anew.`,
    cancelTitle: (id: number) => `Cancel update ${id}?`,
    cancelSays: (waiting: number, atWork: number) =>
      `${devices(waiting)} that wait are never asked. ${formatNumber(atWork)} at work finish, or stop if they can. This cannot be undone; a new update can take them in.`,
    force: (atWork: number) => `End the record of the ${devices(atWork)} at work too, whatever they do then`,
    paceTitle: (id: number) => `Change the pace of update ${id}`,
    paceSays: (waiting: number) => `For ${devices(waiting)} that wait; who is at work is not affected. A growing pace stays as it is.`,
    retryTitle: (id: number) => `Try the devices of update ${id} again?`,
    retrySays: (failed: number, canceled: number) =>
      `A new update with the same settings, for ${devices(failed)} that failed.${canceled > 0 ? ` The ${formatNumber(canceled)} that were canceled are not among them: choose those in a new update.` : ''}`,
  },
  wizard: {
    title: 'New update',
    lead: 'Nothing happens before you press the last button.',
    firmware: '1 · Firmware',
    devices: '2 · Devices',
    dryRun: '3 · Who takes part',
    safety: '4 · Pace and safety',
    summary: 'Summary',
    choose: 'Choose …',
    newest: (version: string) => `${version} (newest)`,
    noFirmware: 'No firmware is available yet.',
    firmwareFirst: 'Choose a firmware: then you see who would be updated, and why others would not.',
    devicesFirst: 'Choose devices: then you see who would be updated, and why others would not.',
    how: 'How devices are chosen',
    choices: { filter: 'By filter', group: 'A group', ids: 'By ids' },
    chosen: (number: number) => `${devices(number)} chosen`,
    sample: 'Sample',
    sampleHint: 'Empty: all of them. A larger sample contains a smaller one.',
    continuous:
      'Stays open until somebody ends it, and takes in devices that come to match later (new ones, moved ones, or with another version)',
    replacesNone: 'No other update',
    replacesNoneHint: 'Others that are open stay open. Devices that both mean belong to the younger one.',
    replacesOne: (id: number, version: string) => `Update ${id} (${version})`,
    replacesHint:
      'It ends when this one begins. Its devices that were not asked yet come over at once, those at work when they have ended.',
    ids: 'Ids',
    idsHint: (number: string) => `${number} ids. One to a line, or separated by commas or spaces; at most 10,000.`,
    csv: 'or a CSV file',
    csvHint: 'Its column external_id, else the first one.',
    eligible: (kind: 'scooter' | 'cabinet', number: number) => `${number === 1 ? kind : `${kind}s`} would be updated`,
    part: (type: string, version: string) => `${type} ${version} in the package:`,
    partChange: (what: string, from: string | null, number: number) =>
      `${formatNumber(number)} ${{ NONE: 'run it already', UPGRADE: 'go up', DOWNGRADE: 'go down', UNKNOWN: 'not known' }[what] ?? what}${from === null ? '' : ` from ${from}`}`,
    takeSome: 'Only so many of them',
    takeSomeHint: 'The first ones by id. They are then chosen by their ids, so the list stays as it is now.',
    takeAtMost: (most: number) => `At most ${formatNumber(most)}.`,
    takeFirst: (number: number) => (number === 0 ? 'Choose the first ones' : `Choose the first ${formatNumber(number)}`),
    take: 'Take in as well',
    allowDowngrade: 'devices that run a newer version (asks for a comment)',
    force: 'devices that have failed this firmware three times',
    supersede: 'devices that still wait in older updates: they leave those for good',
    superseded: (number: number) => `${count(number, 'device leaves', 'devices leave')} update`,
    includeUnknown: 'devices that run a version in no catalogue',
    perMinute: 'Asked a minute, at most',
    atWork: 'At work at once, at most',
    atWorkHint: 'Empty: no limit.',
    start: 'Begin',
    startHint: `Empty: at once. In your time zone, ${Intl.DateTimeFormat().resolvedOptions().timeZone}.`,
    window: 'Maintenance windows',
    windows: { zones: 'As zones say', own: 'Only within my own', ignore: 'Do not count (asks for a comment)' },
    hoursHint: 'In the time of each zone; may go across midnight. A window of the zone holds as well.',
    budget: 'Out of service at once',
    budgetHint: 'Of a zone, over all updates. Empty: what each zone allows.',
    now: (number: number) => `${devices(number)} may be asked at once, at the pace below`,
    later: (zone: string | null, cause: 'WINDOW' | 'BUDGET', opens: string | null, number: number) => {
      const where = zone === null ? 'of devices without a zone' : `of zone ${zone}`;
      if (cause === 'BUDGET') return `${devices(number)} wait for the budget ${where}`;
      return `${devices(number)} wait for the window ${where}${opens === null ? ', which never opens' : `: ${formatDateTime(opens)}`}`;
    },
    there: (clock: string) => `${clock} there`,
    canaries: { default: 'As usual', own: 'My own', none: 'None' },
    canaryHint: (number: number) =>
      number === 0 ? 'Nobody goes first.' : `${formatNumber(number)} go first; the rest follows when enough of them have succeeded.`,
    canaryUnknown: 'From 200 devices on, 50 of them go first, or 0.5 % where that is more.',
    canarySize: 'Devices that go first',
    canarySuccess: 'have to succeed',
    canaryWait: 'Wait at least',
    stopAt: 'Stop at failures of',
    stopFrom: 'Judge from',
    stopFromHint: 'devices that have ended',
    stopAction: 'Then',
    stopActions: { ABORT: 'end the update', PAUSE: 'pause it' },
    retries: 'Further tries',
    minutesAtWork: 'Time for each device',
    minutesAtWorkHint: 'From the command until the new version is seen.',
    sentence,
    needsApproval: 'Somebody else has to approve it before anybody is asked.',
    act: (number: number, kind: 'scooter' | 'cabinet', needsApproval: boolean) =>
      number === 0 ? 'Update' : needsApproval ? `Ask for approval to update ${kindOf(kind, number)}` : `Update ${kindOf(kind, number)}`,
  },
  firmwares: {
    title: 'Firmware',
    one: (id: number) => `Firmware ${id}`,
    none: 'There is no firmware yet. Drop a file above.',
    upload: 'Upload a firmware',
    type: 'Hardware type',
    version: 'Version',
    devices: 'Devices that run it',
    size: 'Size',
    added: 'Added',
    addedBy: 'Added by',
    facts: 'About it',
    ordinal: 'Order among its type',
    revisionsHint: 'Empty: for all. Several with spaces between.',
    whyStatus: 'Why',
    signedBy: 'Signed by',
    package: 'Package',
    isPackage: (assembly: number) => `Made by this service, package ${assembly}`,
    awaitsSignatures: (owners: readonly string[], required: number, type: string) =>
      `Nobody can be updated to it yet: ${type} needs ${count(required, 'author')} to sign, and ${owners.length === 0 ? 'nobody has' : `only ${formatList(owners)} ${owners.length === 1 ? 'has' : 'have'}`}.`,
    awaitsFile: 'Nobody can be updated to it yet: its file has not come.',
    uploadExpires: 'Link to upload is good until',
    remove: 'Delete',
    removeTitle: (type: string, version: string) => `Delete ${type} ${version}?`,
    removeSays: 'No device has ever had it. Its version is free again.',
    howToSign: 'Whoever made it signs it with',
    requires: 'Requires',
    over: 'Only over version number',
    revisions: 'Only on revisions',
    updates: 'Updates with it',
    noUpdates: 'No update has used it yet.',
    updateWith: 'Update with this',
    download: 'Download',
    runBy: (number: string) => `${number} devices run it`,
    withdraw: 'Withdraw',
    withdrawTitle: (type: string, version: string) => `Withdraw ${type} ${version}?`,
    withdrawSays: (number: number) =>
      `No device is asked to install it any more, running updates with it included. ${devices(number)} that run it keep it. This cannot be undone.`,
    verdict: ({ succeeded, judged, share, atWork }: Verdict, updates: number) =>
      share === null
        ? `${count(updates, 'update')} with it; no device has ended yet, ${formatNumber(atWork)} at work.`
        : `${formatShare(share)} of the ${devices(judged)} that have tried it succeeded (${formatNumber(succeeded)}), in ${count(updates, 'update')}${atWork > 0 ? `; ${formatNumber(atWork)} at work` : ''}.`,
  },
  upload: {
    drop: 'Drop firmware files here, or choose them',
    start: 'Upload',
    cancel: 'Cancel',
    remove: 'Remove from this list',
    look: 'Look at it',
    phases: {
      ready: '',
      hashing: 'Reading the file',
      uploading: 'Uploading',
      registering: 'Registering',
      done: 'Registered',
      failed: 'Failed',
      canceled: 'Canceled',
    },
    warning: (warning: Warning) => {
      if (warning.kind === 'suspicious') return `Is this the right file? It looks like ${looks[warning.look]}.`;
      if (warning.kind === 'other')
        return `Is this the right file? It looks like ${looks[warning.look]}; version ${warning.version} is ${looks[warning.before]}.`;
      return `Is this the right file? It is ${formatNumber(warning.times)} times ${warning.isLarger ? 'larger' : 'smaller'} than version ${warning.version}.`;
    },
  },
  fleet: {
    title: 'Fleet',
    none: 'No device is registered yet. Import the fleet: scu device import FILE.csv, or PUT /v1/devices.',
    search: 'Id begins with',
    device: 'Device',
    kind: 'Kind',
    generation: 'Generation',
    ownIot: 'own IoT',
    versions: 'Runs',
    channel: 'Reached',
    zone: 'Zone',
    seen: 'Seen',
    never: 'never',
    neverSeen: 'never seen',
    unknown: 'in no catalogue',
    newest: 'newest',
    notSeen: 'Not seen for',
    found: (number: number) => `${devices(number)} found.`,
    retired: 'retired',
    saveGroup: 'Save as group',
    updateFound: 'Update these',
    choose: '✓',
    chooseOne: (id: string) => `Choose ${id}`,
    chooseSome: 'Tick devices to update them, or filter and update what is found.',
    updateChosen: (number: number) => `Update ${devices(number)}`,
    oneKind: 'An update has devices of one kind.',
  },
  device: {
    update: 'Update this device',
    isUpdated: ({ hardware_type, firmware_version }: { hardware_type: string; firmware_version: string }) =>
      `Is being updated to ${hardware_type} ${firmware_version}, by update`,
    runs: 'Runs now',
    nothingKnown: 'What it runs is not known yet.',
    story: 'What happened',
    since: 'Since',
    observed: 'Last confirmed',
    source: 'Told by',
    sources: {
      confirmation: 'a report',
      observation: 'a look-up',
      config_data: 'the device',
      feedback: 'the device, after an installation',
      package: 'its package',
    },
    updateTo: (id: number, type: string, version: string) => `Update ${id} to ${type} ${version}`,
    nowRuns: (type: string) => `Seen with ${type}`,
    took: (duration: string) => `took ${duration}`,
    registered: 'Registered',
    askedAt: 'asked',
    changed: (action: string, caller: string) => `${caller}: ${deeds[action] ?? action}`,
    wasCalled: (id: string) => `Was called ${id} until then`,
    older: (number: number) => `The latest ${number} of each kind. Older ones: GET /v1/scooters/{external_id}?history=true.`,
    attributes: 'What it says of itself',
    place: 'Where it stands',
    tags: 'Tags',
    revision: 'Revision',
    tagsHint: 'With spaces between.',
    changeTitle: (id: string) => `Change ${id}`,
    retire: 'Retire',
    retireTitle: (id: string) => `Retire ${id}?`,
    retireSays:
      'It is out of service for good: no update takes it in, nothing counts it, and what is open for it ends. It keeps its history.',
    takeBack: 'Take back into service',
    takeBackTitle: (id: string) => `Take ${id} back into service?`,
    takeBackSays: 'Updates that begin from now on may take it in again.',
    newToken: 'New token',
    tokenTitle: (id: string) => `A new token for ${id}?`,
    tokenSays: 'The token that the device has now is worthless at once: until it has the new one, it gets no updates.',
    tokenOnce: 'Shown this once. Bring it into the device:',
  },
  statistics: {
    title: 'Statistics',
    asOf: 'As of',
    none: 'What devices run is not known yet.',
    matrix: 'Versions by hardware type',
    versionsByShare: 'Versions, the most frequent first',
    share: 'Share',
    versionsOf: (type: string) => `Versions of ${type}`,
    byZone: 'Versions by zone and hardware type',
    others: (versions: number, number: number) => `${count(versions, 'more version')} on ${devices(number)}.`,
    timesOf: (type: string) => `How long an update of ${type} takes`,
    updateTime: 'Update time',
    times: (p50: string, p90: string, number: number) => `half within ${p50}, 90 % within ${p90} (${count(number, 'installation')})`,
    noTimes: 'No update of it has been measured yet.',
    longest: 'longest',
    installations: 'Installations',
    otherVersions: 'all others',
    tooFewDays: 'There is one day to show so far: come back tomorrow.',
    overTime: (type: string) => `Versions of ${type} over time`,
    notSeen: (days: number) => `Not seen for ${count(days, 'day')}`,
    notSeenOf: (kind: 'scooter' | 'cabinet', late: number, never: number, all: number) =>
      `${formatNumber(late)} of ${kindOf(kind, all)}${never > 0 ? `, ${formatNumber(never)} of them never` : ''}`,
  },
  zones: {
    title: 'Zones',
    lead: 'Where devices stand, when they may be updated there, and how many at once.',
    none: 'There is no zone yet. With zones, devices are asked at good hours only, and never too many of one place at once.',
    add: 'New zone',
    change: 'Change',
    changeTitle: (name: string) => `Change zone ${name}`,
    name: 'Name',
    timeZone: 'Time zone',
    hereNow: 'There it is',
    budget: 'Out of service at once',
    window: 'Updates only',
    always: 'at any time',
    windowOf: (from: string, until: string, days: string) => `${from} to ${until}${days === '' ? '' : `, ${days}`}`,
    days: 'On',
    from: 'From',
    until: 'Until',
    windowHint: 'Both empty: at any time. In the time of the zone; may go across midnight.',
    save: 'Save',
    without: 'No zone',
    actions: 'Actions',
    remove: 'Delete',
    removeTitle: (name: string) => `Delete zone ${name}?`,
    removeSays: 'No device is in it. Its window and its limit go with it. Groups that name it keep the name and find nobody by it.',
    removeRefused: (number: number) =>
      `${count(number, 'device is', 'devices are')} in it, and a zone goes only when nobody is. Move them first: scu device import with another zone, or each on its page.`,
    seeDevices: 'Who is in it',
  },
  groups: {
    title: 'Groups',
    group: 'Group',
    lead: 'Filters with a name: the members are whoever fits at the moment.',
    none: 'There is no group yet. Filter the fleet and save what you see, or make one here.',
    toFleet: 'To the fleet',
    add: 'New group',
    filter: 'Who is in it',
    made: 'Made',
    name: 'Name',
    nameHint: 'Small letters, digits, _ . and -',
    changeTitle: (name: string) => `Change group ${name}`,
    members: (number: number) => `${formatNumber(number)} now`,
    now: (number: number) => (number === 1 ? 'device is in it now' : 'devices are in it now'),
    nobody: 'No device fits now.',
    update: 'Update this group',
    remove: 'Delete',
    removeTitle: (name: string) => `Delete group ${name}?`,
    removeSays: (number: number) => `The ${devices(number)} stay as they are, and so do updates that were requested for the group.`,
    tooRich: 'Its filter says more than can be changed here: use scu group or the API.',
  },
  audit: {
    title: 'Changes',
    lead: 'What people and programs have changed. What devices report is not among it.',
    none: 'Nothing was changed yet.',
    link: 'What was changed',
    when: 'When',
    who: 'Who',
    what: 'What',
    which: 'Which one',
    outcome: 'From → to',
    fields: (number: number) => count(number, 'field'),
    many: 'many at once',
    /** A value that was or is: a status in words, all else as it is. */
    value: (value: string) => ({ ...updateStatus, APPROVED: 'approved', REJECTED: 'not approved' })[value] ?? value,
    thing: 'Kind of thing',
    since: 'Since',
    until: 'Until',
    did: (action: string, resource: AuditLine['resource']) => `${things[resource]}: ${deeds[action] ?? action}`,
    things,
  },
  packages: {
    title: 'Packages',
    lead: 'Several firmwares in one file, for devices that install them together.',
    none: 'There is no package yet.',
    add: 'New package',
    typeHint: 'Of devices that poll: they install packages.',
    revisions: 'For hardware revisions',
    revisionsHint: 'As the device knows itself; several with spaces between.',
    isSigned: 'Sign it: stock devices take no other package',
    order: 'Installed in this order.',
    part: (number: number) => `Part ${number}`,
    handler: 'What is done with it',
    handlers: { rawfile: 'written as a file', archive: 'unpacked into a folder', raw: 'written to a block device' },
    places: { rawfile: 'File on the device', archive: 'Folder on the device', raw: 'Block device' },
    moveUp: (number: number) => `Move part ${number} up`,
    removePart: (number: number) => `Leave out part ${number}`,
    leaveOut: 'Leave out',
    addPart: 'Another part',
    make: 'Make this package',
    sentence: ({ hardware_type, version, parts, signed }: PackageDraft) =>
      `Makes ${hardware_type} ${version.trim()} of ${count(parts.length, 'firmware')}${signed ? ', signed' : ', without a signature'}.`,
    wrong: {
      type: 'Choose the hardware type of the package first.',
      version: 'Which version is the package?',
      noParts: 'Choose a firmware for each part.',
      place: 'Where does each part go? A folder begins with /, a block device with /dev/.',
      revisions: 'For which hardware revision is it?',
    } satisfies Record<WrongPackage, string>,
    package: 'Package',
    parts: 'Parts',
    signed: 'Signed',
    statuses: { IN_PROGRESS: 'Is being made', STALLED: 'Stands still', COMPLETED: 'Ready', FAILED: 'Failed' },
  },
};
