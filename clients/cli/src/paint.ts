/** What text may mean on a terminal. Never by colour alone: the word says it too. */
export type Meaning = 'good' | 'bad' | 'waiting' | 'faint' | 'strong';
export type Paint = (meaning: Meaning, text: string) => string;

const codes: Record<Meaning, number> = { good: 32, bad: 31, waiting: 33, faint: 2, strong: 1 };

/** Colours where a terminal shows them and nobody has said NO_COLOR (no-color.org). */
export const paintFor = (stream: { isTTY?: boolean }, env = process.env): Paint => {
  const isPlain = !stream.isTTY || (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
  return isPlain ? (_, text) => text : (meaning, text) => `\x1b[${codes[meaning]}m${text}\x1b[0m`;
};

const meanings: Record<string, Meaning> = {
  ...{ SUCCEEDED: 'good', COMPLETED: 'good', available: 'good', UPGRADE: 'good', ELIGIBLE: 'good' },
  ...{ FAILED: 'bad', TIMED_OUT: 'bad', REJECTED: 'bad', ABORTED: 'bad', rejected: 'bad', lost: 'bad', DOWNGRADE: 'bad' },
  ...{ IN_PROGRESS: 'waiting', PAUSED: 'waiting', SCHEDULED: 'waiting', STALLED: 'waiting', awaiting_upload: 'waiting' },
  ...{ QUEUED: 'faint', CANCELED: 'faint', REMOVED: 'faint', withdrawn: 'faint' },
};

/** A status in its colour; any other text as it is. */
export const paintStatus = (paint: Paint, text: string, status = text): string => {
  const meaning = meanings[status];
  return meaning === undefined ? text : paint(meaning, text);
};
