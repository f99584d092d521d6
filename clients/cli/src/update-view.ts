import { endedOf, failedOf, totalOf, type UpdateDetail, type Wait } from '../../api/src/index.ts';
import { bar, formatCounts, formatDuration, formatNumber, formatShare, formatTime } from './format.ts';
import { printable } from './output.ts';
import { type Paint, paintStatus } from './paint.ts';
import { sayWhatHappens } from './update-sentence.ts';
import { sayWait } from './wait-words.ts';
import { describeWindow } from './window-option.ts';

export interface View {
  paint: Paint;
  width: number;
  now: Date;
  /** What those wait for that nobody has asked yet. */
  waits?: readonly Wait[];
}

const reasonsShown = 8;

/** All that is to be seen of an update, from the most important down: what does not fit on the screen is cut off at the end. */
export const updateView = (update: UpdateDetail, view: View): string[] => {
  const { paint } = view;
  const { id, hardware_type, firmware_version, status, counts, progress } = update;
  const [ended, total] = [endedOf(counts), totalOf(counts)];
  return [
    `${paint('strong', `Update ${id}: ${hardware_type} ${printable(firmware_version)}`)}  ${paintStatus(paint, status)}`,
    printable(sayWhatHappens(update, view.now, view.waits)),
    '',
    `${bar(progress, Math.max(10, Math.min(50, view.width - 40)))} ${formatShare(progress)}   ${formatNumber(ended)} of ${formatNumber(total)} have ended`,
    '',
    ...countLines(update, view),
    '',
    ...factLines(update, view),
    ...reasonLines(update, view),
  ];
};

const countLines = ({ counts }: UpdateDetail, { paint, width }: View): string[] => {
  const total = totalOf(counts);
  const digits = formatNumber(total).length;
  return Object.entries(counts)
    .filter(([status, count]) => count > 0 || ['QUEUED', 'IN_PROGRESS', 'SUCCEEDED', 'FAILED'].includes(status))
    .map(([status, count]) => {
      const line = `  ${status.padEnd(11)}  ${formatNumber(count).padStart(digits)}  `;
      const room = Math.max(0, Math.min(40, width - line.length - 1));
      return paintStatus(paint, `${line}${'█'.repeat(Math.ceil((count / Math.max(1, total)) * room))}`, status);
    });
};

const factLines = (update: UpdateDetail, { now, waits = [] }: View): string[] => {
  const { pace_per_minute, rollout, not_eligible, late_successes, claimed, abort, counts, backend_errors } = update;
  const asked = totalOf(counts) - counts.QUEUED - counts.CANCELED - counts.REMOVED;
  const mostAtWork = rollout.maximum_in_progress === null ? '' : `, ${formatNumber(rollout.maximum_in_progress)} at work`;
  const budget = rollout.maximum_unavailable_percentage === 100 ? '' : `, ${rollout.maximum_unavailable_percentage} % of a zone at work`;
  const facts: [string, string | null][] = [
    ['Canary', canaryFact(update)],
    [
      'Pace',
      update.finished_dt
        ? null
        : `${formatNumber(pace_per_minute)} asked in the last minute; at most ${formatNumber(rollout.maximum_per_minute)} a minute${mostAtWork}${budget}`,
    ],
    ['Window', windowFact(update)],
    ['End', endFact(update, now)],
    ...waits.map((wait, i): [string, string] => [i === 0 ? 'Waiting' : '', `${formatNumber(wait.count)} for ${sayWait(wait)}`]),
    ...abort.map(({ threshold_percentage, minimum_executions, action }): [string, string] => [
      'Stop rule',
      `${action} at ${threshold_percentage} % failed: ${formatShare(failedOf(counts) / Math.max(1, asked))} now${endedOf(counts) < minimum_executions ? `, judged from ${formatNumber(minimum_executions)} ended on` : ''}`,
    ]),
    [
      'To come',
      claimed === 0 ? null : `${formatNumber(claimed)} from older updates, of which those at work follow when they have ended there`,
    ],
    ['Left out', formatCounts(not_eligible) || null],
    ['Late', late_successes === 0 ? null : `${formatNumber(late_successes)} were seen with the new version after they had failed`],
    [
      'Backend',
      backend_errors[0]
        ? `${backend_errors[0].error} (${formatNumber(backend_errors[0].calls)} calls, last ${formatTime(backend_errors[0].last_dt)})`
        : null,
    ],
  ];
  return facts.flatMap(([name, text]) => (text === null ? [] : [`${name.padEnd(10)} ${printable(text)}`]));
};

const windowFact = ({ window, ignore_window, finished_dt }: UpdateDetail): string | null => {
  if (finished_dt !== null) return null;
  if (ignore_window) return 'none: also outside the windows of zones';
  return window && `${describeWindow(window)}, by the clocks of the devices`;
};

const endFact = ({ estimated_end_dt, at_work, counts }: UpdateDetail, now: Date): string | null => {
  if (estimated_end_dt === null) return null;
  const left = (new Date(estimated_end_dt).getTime() - now.getTime()) / 1_000;
  const silent = `silent since ${formatTime(at_work?.since_dt)}: what has not shown its version by its deadline is TIMED_OUT`;
  const waits = estimated_end_dt === at_work?.deadline_dt ? `; ${formatNumber(counts.IN_PROGRESS)} at work, the first ${silent}` : '';
  return left > 0
    ? `about ${formatTime(estimated_end_dt)}, in ${formatDuration(left)}${waits}`
    : `was due ${formatTime(estimated_end_dt)}${waits}`;
};

const canaryFact = ({ canary, canary_passed_dt, canary_counts }: UpdateDetail): string | null => {
  if (canary === null) return null;
  const state = canary_passed_dt === null ? `has to reach ${canary.success_percentage} %` : `passed ${formatTime(canary_passed_dt)}`;
  return `${formatNumber(canary.size)} devices, ${state}${canary_counts ? `: ${formatCounts(canary_counts) || 'not asked yet'}` : ''}`;
};

const reasonLines = ({ reasons }: UpdateDetail, { paint }: View): string[] => {
  const told = reasons.filter(({ reason, texts }) => reason !== null || texts.length > 0);
  if (told.length === 0) return [];
  const lines = told.slice(0, reasonsShown).map(({ status, reason, count, texts }) => {
    const words = texts.map(({ text, count: times }) => `"${text}" (${formatNumber(times)})`).join(', ');
    return `  ${paintStatus(paint, status.padEnd(11), status)}  ${formatNumber(count)}  ${printable([reason, words].filter(Boolean).join(': '))}`;
  });
  return ['', 'Reasons', ...lines, ...(told.length > reasonsShown ? [`  … and ${told.length - reasonsShown} more`] : [])];
};

/** The same on one line, for a log. */
export const updateLine = (update: UpdateDetail, now: Date): string => {
  const { id, status, progress, counts, pace_per_minute, estimated_end_dt } = update;
  const end = estimated_end_dt === null ? '' : `, end about ${formatTime(estimated_end_dt)}`;
  return printable(
    `${formatTime(now.toISOString())} update ${id} ${status} ${formatShare(progress)}: ${formatCounts(counts) || 'no devices'}; ${formatNumber(pace_per_minute)}/min${end}. ${sayWhatHappens(update, now)}`,
  );
};
