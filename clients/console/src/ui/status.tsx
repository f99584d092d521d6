// A status by icon and word, never by its colour alone.
import type { Execution, ListedFirmware, Update } from '../../../api/src/index.ts';
import { text } from '../text.ts';

export type ExecutionStatus = Execution['status'];
export type UpdateStatus = Update['status'];
export type FirmwareStatus = ListedFirmware['status'];

/** In the order in which a device passes them, and in which a bar shows them. */
export const executionStatuses: readonly ExecutionStatus[] = [
  'SUCCEEDED',
  'IN_PROGRESS',
  'QUEUED',
  'FAILED',
  'TIMED_OUT',
  'REJECTED',
  'CANCELED',
  'REMOVED',
];

/** Drawn on a grid of 16, as lines. */
const icons = {
  check: 'M3.5 8.5l3 3 6-7',
  cross: 'M4.5 4.5l7 7M11.5 4.5l-7 7',
  dots: 'M4 8h.01M8 8h.01M12 8h.01',
  arrow: 'M8 12.5v-9M4.5 7L8 3.5 11.5 7',
  clock: 'M8 4.5V8l2.5 1.5M8 14A6 6 0 108 2a6 6 0 000 12z',
  bar: 'M4.5 8h7',
  stop: 'M5 5h6v6H5z',
  pause: 'M6 4.5v7M10 4.5v7',
  no: 'M8 14A6 6 0 108 2a6 6 0 000 12zM4 4l8 8',
} as const;
type IconName = keyof typeof icons;

export const Icon = ({ name }: { name: IconName }) => (
  <svg className="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
    <path d={icons[name]} />
  </svg>
);

const executionIcons: Record<ExecutionStatus, IconName> = {
  QUEUED: 'dots',
  IN_PROGRESS: 'arrow',
  SUCCEEDED: 'check',
  FAILED: 'cross',
  TIMED_OUT: 'clock',
  REJECTED: 'no',
  CANCELED: 'bar',
  REMOVED: 'bar',
};

const updateLooks: Record<string, [tone: string, icon: IconName]> = {
  SCHEDULED: ['queued', 'clock'],
  WAITING_FOR_APPROVAL: ['queued', 'clock'],
  IN_PROGRESS: ['in_progress', 'arrow'],
  PAUSED: ['timed_out', 'pause'],
  COMPLETED: ['succeeded', 'check'],
  CANCELED: ['canceled', 'bar'],
  ABORTED: ['failed', 'stop'],
  REJECTED: ['canceled', 'no'],
};

const firmwareLooks: Record<FirmwareStatus, [tone: string, icon: IconName]> = {
  awaiting_upload: ['queued', 'dots'],
  awaiting_signature: ['queued', 'clock'],
  available: ['succeeded', 'check'],
  lost: ['failed', 'no'],
  withdrawn: ['canceled', 'stop'],
  rejected: ['failed', 'cross'],
};

const Badge = ({ tone, icon, word }: { tone: string; icon: IconName; word: string }) => (
  <span className={`badge tone-${tone}`}>
    <Icon name={icon} />
    {word}
  </span>
);

export const ExecutionBadge = ({ status }: { status: ExecutionStatus }) => (
  <Badge tone={status.toLowerCase()} icon={executionIcons[status]} word={text.executionStatus[status]} />
);

export const UpdateBadge = ({ status }: { status: UpdateStatus }) => {
  const [tone, icon] = updateLooks[status] ?? ['queued', 'dots'];
  return <Badge tone={tone} icon={icon} word={text.updateStatus[status] ?? status} />;
};

export const FirmwareBadge = ({ status }: { status: FirmwareStatus }) => {
  const [tone, icon] = firmwareLooks[status];
  return <Badge tone={tone} icon={icon} word={text.firmwareStatus[status]} />;
};

/** A status beside its number in a legend. */
export const ExecutionIcon = ({ status }: { status: ExecutionStatus }) => (
  <span className={`swatch tone-${status.toLowerCase()}`}>
    <Icon name={executionIcons[status]} />
  </span>
);
