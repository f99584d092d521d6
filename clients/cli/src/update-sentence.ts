import { type Situation, situationOf, type UpdateDetail, type Wait } from '../../api/src/index.ts';
import { formatNumber, formatShare, formatTime } from './format.ts';

/** What happens now, and why; also why nothing happens. */
export const sayWhatHappens = (update: UpdateDetail, now: Date, waits: readonly Wait[] = []): string =>
  say(situationOf(update, now, waits), update.id);

const say = (now: Situation, id: number): string => {
  switch (now.kind) {
    case 'ended':
      return sayHowItEnded(now);
    case 'stopping':
      return `Stopped${why(now)}. ${devices(now.atWork)} at work, which it waits for.`;
    case 'paused':
      return `Paused${why(now)}. Nobody is asked; ${devices(now.atWork)} at work. Go on: scu update resume ${id}`;
    case 'waitsForApproval':
      return `Waits until somebody else than ${now.by} approves it: scu update approve ${id}, or scu update reject ${id}`;
    case 'late':
      return `Its next step was due at ${formatTime(now.due)} and has not come. Send its message again: scu update resume ${id}`;
    case 'scheduled':
      return now.start === null ? 'Is about to begin.' : `Begins at ${formatTime(now.start)}.`;
    case 'staysOpen':
      return `Stays open: ${now.since === null ? '' : `since ${formatTime(now.since)} `}it waits for devices that come to match.`;
    case 'withdrawn':
      return `The firmware is withdrawn: nobody else is asked. ${devices(now.atWork)} at work.`;
    case 'lost':
      return 'Waits until the file of the firmware is there again.';
    case 'backendAway':
      return `The backend does not answer${now.reason === null ? '' : ` (${now.reason})`}. Tried again at ${formatTime(now.until)}.`;
    case 'canaryStarts':
      return `The canary of ${devices(now.size)} goes first.`;
    case 'canaryAtWork':
      return `The canary of ${devices(now.size)} goes first: ${formatNumber(now.open)} of them have not ended. The rest follows when ${now.percentage} % have succeeded.`;
    case 'canaryWaits':
      return `The canary has ended. The rest follows at ${formatTime(now.until)}, if it has passed.`;
    default:
      return sayHowItGoes(now);
  }
};

type Pace = Extract<
  Situation,
  { kind: 'everybodyAsked' | 'nobodyLeft' | 'putOff' | 'atLimit' | 'waitsForWindow' | 'atBudget' | 'nobodyAsked' | 'asking' }
>;

const sayHowItGoes = (now: Pace): string => {
  switch (now.kind) {
    case 'everybodyAsked':
      return `Everybody has been asked. It waits until ${devices(now.atWork)} ${now.atWork === 1 ? 'shows what it runs' : 'show what they run'}${
        now.deadline === null ? '' : `, or until the last deadline at ${formatTime(now.deadline)}`
      }.`;
    case 'nobodyLeft':
      return now.supersedes
        ? 'All of its devices have ended. It waits for those that are still at work for the updates whose place it has taken.'
        : 'All of its devices have ended, and it ends with its next step.';
    case 'putOff':
      return `${devices(now.waiting)} put it off just now, and will be asked again; ${devices(now.atWork)} at work.`;
    case 'atLimit':
      return `${devices(now.atWork)} at work, as many as it may ask at once. The next ones follow as they end.`;
    case 'waitsForWindow':
      return `${devices(now.waiting)} wait${now.waiting === 1 ? 's' : ''} for ${
        now.until === null
          ? 'a maintenance window that never opens'
          : `the next maintenance window, which opens at ${formatTime(now.until)}`
      }.`;
    case 'atBudget':
      return `${devices(now.atWork)} at work, as many as the budgets of their zones allow. The next ones follow as they end.`;
    case 'nobodyAsked':
      return `Nobody was asked in the last minute; ${devices(now.waiting)} wait${now.waiting === 1 ? 's' : ''}.`;
    case 'asking':
      return `Asks up to ${formatNumber(now.perMinute)} devices a minute${
        now.slowedTo === null ? '' : `, slowed down to ${formatShare(now.slowedTo)} by the backend`
      }.`;
  }
};

const sayHowItEnded = ({ status, reason, succeeded, failed, total }: Extract<Situation, { kind: 'ended' }>): string => {
  const result = `${formatNumber(succeeded)} of ${devices(total)} succeeded`;
  if (status === 'COMPLETED') return failed === 0 ? `Done: ${result}.` : `Done, with failures: ${result}, ${formatNumber(failed)} failed.`;
  return `${status === 'ABORTED' ? 'Aborted' : 'Canceled'}${why({ reason })}. ${result}.`;
};

const why = ({ reason }: { reason: string | null }): string => (reason === null ? '' : `: ${reason}`);

export const devices = (count: number): string => `${formatNumber(count)} ${count === 1 ? 'device' : 'devices'}`;
