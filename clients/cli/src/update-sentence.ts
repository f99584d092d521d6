import type { UpdateDetail } from '../../api/src/index.ts';
import { formatNumber, formatShare, formatTime } from './format.ts';

type Counts = UpdateDetail['counts'];

export const totalOf = (counts: Counts): number => Object.values(counts).reduce((sum, count) => sum + count, 0);
export const endedOf = (counts: Counts): number => totalOf(counts) - counts.QUEUED - counts.IN_PROGRESS;
export const failedOf = ({ FAILED, TIMED_OUT, REJECTED }: Counts): number => FAILED + TIMED_OUT + REJECTED;

/** What happens now, and why; also why nothing happens. The first reason that holds. */
export const sayWhatHappens = (update: UpdateDetail, now: Date): string => {
  const { status, counts } = update;
  const why = update.reason === null ? '' : `: ${update.reason}`;
  if (update.finished_dt !== null) return sayHowItEnded(update);
  if (status === 'CANCELED' || status === 'ABORTED') return `Stopped${why}. ${devices(counts.IN_PROGRESS)} at work, which it waits for.`;
  if (status === 'PAUSED')
    return `Paused${why}. Nobody is asked; ${devices(counts.IN_PROGRESS)} at work. Go on: scu update resume ${update.id}`;
  if (update.walk.is_late)
    return `Its next step was due at ${formatTime(update.walk.due_dt)} and has not come. Send its message again: scu update resume ${update.id}`;
  if (status === 'SCHEDULED') return update.start_dt === null ? 'Is about to begin.' : `Begins at ${formatTime(update.start_dt)}.`;
  return sayWhyItWaits(update, now) ?? sayHowItGoes(update);
};

const sayHowItEnded = ({ status, reason, counts }: UpdateDetail): string => {
  const failed = failedOf(counts);
  const succeeded = `${formatNumber(counts.SUCCEEDED)} of ${devices(totalOf(counts))} succeeded`;
  if (status === 'COMPLETED')
    return failed === 0 ? `Done: ${succeeded}.` : `Done, with failures: ${succeeded}, ${formatNumber(failed)} failed.`;
  return `${status === 'ABORTED' ? 'Aborted' : 'Canceled'}${reason === null ? '' : `: ${reason}`}. ${succeeded}.`;
};

const sayWhyItWaits = (update: UpdateDetail, now: Date): string | undefined => {
  const { counts, firmware_status, backend_gate, canary, canary_passed_dt, rollout } = update;
  if (firmware_status === 'withdrawn') return `The firmware is withdrawn: nobody else is asked. ${devices(counts.IN_PROGRESS)} at work.`;
  if (firmware_status === 'lost') return 'Waits until the file of the firmware is there again.';
  if (counts.QUEUED === 0)
    return `Everybody has been asked. It waits until ${devices(counts.IN_PROGRESS)} ${counts.IN_PROGRESS === 1 ? 'shows what it runs' : 'show what they run'}.`;
  if (backend_gate.closed_until !== null && new Date(backend_gate.closed_until) > now)
    return `The backend does not answer${backend_gate.reason === null ? '' : ` (${backend_gate.reason})`}. Tried again at ${formatTime(backend_gate.closed_until)}.`;
  if (canary && canary_passed_dt === null) return sayWhatTheCanaryWaitsFor(update, now);
  const putOff = update.reasons.find(({ status, reason }) => status === 'QUEUED' && reason === 'DEFERRED')?.count ?? 0;
  if (putOff >= counts.QUEUED)
    return `${devices(putOff)} put it off just now, and will be asked again; ${devices(counts.IN_PROGRESS)} at work.`;
  const most = rollout.maximum_in_progress;
  if (most !== null && counts.IN_PROGRESS >= most)
    return `${devices(counts.IN_PROGRESS)} at work, as many as it may ask at once. The next ones follow as they end.`;
  return undefined;
};

const sayWhatTheCanaryWaitsFor = ({ canary, canary_started_dt, canary_counts }: UpdateDetail, now: Date): string | undefined => {
  if (!canary) return undefined;
  const { size, minimum_wait_minutes, success_percentage } = canary;
  const who = `The canary of ${devices(size)} goes first`;
  if (canary_started_dt === null) return `${who}.`;
  const open = canary_counts === null ? size : canary_counts.QUEUED + canary_counts.IN_PROGRESS;
  if (open > 0)
    return `${who}: ${formatNumber(open)} of them have not ended. The rest follows when ${success_percentage} % have succeeded.`;
  const until = new Date(new Date(canary_started_dt).getTime() + minimum_wait_minutes * 60_000);
  return until > now ? `The canary has ended. The rest follows at ${formatTime(until.toISOString())}, if it has passed.` : `${who}.`;
};

const sayHowItGoes = ({ pace_per_minute, rollout, backend_gate, counts }: UpdateDetail): string => {
  const slowed = backend_gate.share < 1 ? `, slowed down to ${formatShare(backend_gate.share)} by the backend` : '';
  return pace_per_minute === 0 && counts.IN_PROGRESS === 0
    ? `Nobody was asked in the last minute; ${devices(counts.QUEUED)} wait${counts.QUEUED === 1 ? 's' : ''}.`
    : `Asks up to ${formatNumber(rollout.maximum_per_minute)} devices a minute${slowed}.`;
};

const devices = (count: number): string => `${formatNumber(count)} ${count === 1 ? 'device' : 'devices'}`;
