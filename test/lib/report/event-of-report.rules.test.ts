import { describe, expect, it } from 'vitest';
import { addSeconds } from '../../../lib/clock.ts';
import { askedBefore, eventOf, isAnswer } from '../../../lib/report/event-of-report.ts';
import { registeredLongAgo, startOfTime } from '../../support/fixtures.ts';

const at = (seconds: number) => addSeconds(startOfTime, seconds);
const heard = { received_dt: at(600), registered_dt: registeredLongAgo };
const before = at(-1);
const after = at(1);
const epoch = new Date(0);

const waiting = { wanted_version: '2.0', queued_dt: at(-60), sent_dt: null, installed_dt: null, attempt: 1, retries: 0 };
const unsent = { ...waiting, phase: 'waiting', is_unanswered: false } as const;
const sent = { ...unsent, sent_dt: startOfTime, phase: 'asked' } as const;
/** Asked, and whether the backend has taken it is not known. */
const unanswered = { ...sent, phase: 'waiting', is_unanswered: true } as const;
/** The first try has failed, and the second one waits. */
const retrying = { ...sent, phase: 'waiting', attempt: 2, retries: 1 } as const;
/** The second try was sent at 8:05:00. */
const again = { ...sent, sent_dt: at(300), attempt: 2, retries: 1 };
const installed = { ...sent, phase: 'installed', installed_dt: startOfTime } as const;

describe('what a report means for an execution that wants 2.0 and was sent at 8:00:00, of a device that ran 0.9', () => {
  /** status, version, when, whether it names the execution, the execution, source: event */
  it.each([
    ['SUCCEEDED', '2.0', after, false, sent, 'confirmation', 'proven'],
    ['SUCCEEDED', '2.0', before, false, sent, 'confirmation', 'proven'],
    ['SUCCEEDED', '2.0', before, false, unsent, 'confirmation', 'proven'],
    ['SUCCEEDED', '2.0', after, true, sent, 'observation', 'proven'],
    ['SUCCEEDED', '2.0', after, false, unsent, 'observation', 'proven'],
    ['SUCCEEDED', '2.0', after, true, retrying, 'confirmation', 'proven'],

    ['SUCCEEDED', '1.0', after, false, sent, 'confirmation', 'mismatched'],
    ['SUCCEEDED', '1.0', startOfTime, false, sent, 'confirmation', 'mismatched'],
    ['SUCCEEDED', '1.0', before, false, sent, 'confirmation', undefined],
    ['SUCCEEDED', '1.0', before, true, sent, 'confirmation', 'mismatched'],
    ['SUCCEEDED', '1.0', after, false, unsent, 'confirmation', undefined],
    ['SUCCEEDED', '1.0', after, false, sent, 'observation', undefined],
    ['SUCCEEDED', '1.0', after, true, sent, 'observation', undefined],
    ['SUCCEEDED', '2.0 ', after, false, sent, 'confirmation', 'mismatched'],

    ['FAILED', '2.0', after, false, sent, 'confirmation', 'failed'],
    ['FAILED', '2.0', before, false, sent, 'confirmation', undefined],
    ['FAILED', '2.0', before, true, sent, 'confirmation', 'failed'],
    ['FAILED', '2.0', after, true, unsent, 'confirmation', 'failed'],
    ['FAILED', '2.0', after, true, unanswered, 'confirmation', 'failed'],
    ['FAILED', '1.0', after, false, unsent, 'confirmation', undefined],
    ['FAILED', '2.0', after, true, sent, 'observation', undefined],

    ['REJECTED', '2.0', after, false, sent, 'confirmation', 'declined'],
    ['REJECTED', '2.0', before, false, sent, 'confirmation', undefined],
    ['REJECTED', '2.0', after, false, unsent, 'confirmation', undefined],

    ['IN_PROGRESS', '2.0', after, false, sent, 'confirmation', 'started'],
    ['IN_PROGRESS', '2.0', before, false, sent, 'confirmation', undefined],
    ['IN_PROGRESS', '2.0', after, false, unsent, 'confirmation', undefined],
    ['IN_PROGRESS', '2.0', after, true, unsent, 'confirmation', 'started'],

    ['SUCCEEDED', '2.0', after, false, sent, 'config_data', 'proven'],
    ['SUCCEEDED', '2.0', after, false, unsent, 'config_data', 'proven'],
    ['SUCCEEDED', '1.0', after, false, sent, 'config_data', undefined],
    ['SUCCEEDED', '1.0', after, false, unsent, 'config_data', undefined],
    ['SUCCEEDED', '1.0', after, false, installed, 'config_data', 'mismatched'],
    ['SUCCEEDED', '1.0', before, false, installed, 'config_data', undefined],

    ['INSTALLED', null, after, true, sent, 'feedback', 'installed'],
    ['SUCCEEDED', '2.0', after, true, sent, 'feedback', 'proven'],
    ['FAILED', null, after, true, sent, 'feedback', 'failed'],
    ['REJECTED', null, after, true, sent, 'feedback', 'declined'],
    ['CANCELED', null, after, true, sent, 'feedback', 'canceled'],
    ['CANCEL_REFUSED', null, after, true, sent, 'feedback', 'cancel_refused'],
    ['FAILED', null, after, true, retrying, 'feedback', undefined],
    ['INSTALLED', null, after, true, retrying, 'feedback', undefined],
    ['INSTALLED', null, after, true, unsent, 'feedback', undefined],

    // The first try again, or late.
    ['FAILED', '0.9', after, true, retrying, 'confirmation', undefined],
    ['FAILED', '0.9', after, false, retrying, 'confirmation', undefined],
    ['SUCCEEDED', '1.0', after, true, retrying, 'confirmation', undefined],
    ['FAILED', '0.9', after, true, again, 'confirmation', undefined],
    ['FAILED', '0.9', after, false, again, 'confirmation', undefined],
    ['REJECTED', '0.9', after, true, again, 'confirmation', undefined],
    ['SUCCEEDED', '1.0', after, true, again, 'confirmation', undefined],
    ['FAILED', null, after, true, again, 'feedback', undefined],
    ['INSTALLED', null, after, true, again, 'feedback', undefined],
    // The second try.
    ['FAILED', '0.9', at(301), true, again, 'confirmation', 'failed'],
    ['FAILED', '0.9', at(301), false, again, 'confirmation', 'failed'],
    ['FAILED', null, at(301), true, again, 'feedback', 'failed'],

    // A clock that cannot be right: it counts when it came, which is after the command.
    ['FAILED', '0.9', epoch, false, sent, 'confirmation', 'failed'],
    ['FAILED', '0.9', epoch, true, again, 'confirmation', 'failed'],
    ['FAILED', '0.9', at(86_400), false, again, 'confirmation', 'failed'],
    ['SUCCEEDED', '2.0', epoch, false, sent, 'confirmation', 'proven'],
  ] as const)('%s %s at %o, named: %s, %o, %s: %s', (status, version, occurred_dt, isNamed, execution, source, event) => {
    const report = { status, version, occurred_dt, execution_id: isNamed ? 7 : undefined, attempt: undefined, source };
    expect(eventOf(report, execution, heard, { isCurrent: true, before: '0.9' })).toBe(event);
  });

  it.each([
    [1, sent, 'failed'],
    [2, sent, undefined],
    [1, again, undefined],
    [2, again, 'failed'],
    [1, retrying, undefined],
    [2, retrying, undefined],
    [1, unanswered, 'failed'],
  ] as const)('a failure of the command %i, whenever it was, for %o: %s', (attempt, execution, event) => {
    for (const occurred_dt of [epoch, before, at(301), at(86_400)]) {
      const report = { status: 'FAILED', version: '0.9', occurred_dt, execution_id: 7, attempt, source: 'confirmation' } as const;
      expect(eventOf(report, execution, heard, { isCurrent: true, before: '0.9' })).toBe(event);
    }
  });

  it('proves nothing by a version that the device has left since', () => {
    const report = {
      status: 'SUCCEEDED',
      version: '2.0',
      occurred_dt: after,
      execution_id: 7,
      attempt: 1,
      source: 'confirmation',
    } as const;
    expect(eventOf(report, sent, heard, { isCurrent: false, before: '2.1' })).toBe(undefined);
  });

  it('leaves it to the deadline when a device that polls still tells what it ran before, or may do so', () => {
    const report = { status: 'SUCCEEDED', version: '1.0', occurred_dt: after, execution_id: undefined, attempt: undefined } as const;
    const told = (before: string | undefined, source: 'config_data' | 'confirmation') =>
      eventOf({ ...report, source }, installed, heard, { isCurrent: true, before });
    expect([told('1.0', 'config_data'), told(undefined, 'config_data')]).toEqual([undefined, undefined]);
    expect([told('1.1', 'config_data'), told('1.0', 'confirmation')]).toEqual(['mismatched', 'mismatched']);
  });
});

describe('the answer to a command, than which nothing known is newer', () => {
  const success = {
    status: 'SUCCEEDED',
    version: '2.0',
    occurred_dt: after,
    execution_id: 7,
    attempt: undefined,
    source: 'confirmation',
  } as const;

  it.each([
    ['names the execution', success, sent, true],
    ['is later than the command', { ...success, execution_id: undefined }, sent, true],
    ['is earlier, and names nothing', { ...success, execution_id: undefined, occurred_dt: before }, sent, false],
    ['is of another version', { ...success, version: '1.0' }, sent, false],
    ['is no success', { ...success, status: 'IN_PROGRESS' }, sent, false],
    ['is what the backend knows', { ...success, source: 'observation' }, sent, false],
    ['is of the first try while the second one runs', success, again, false],
    ['says that it is of the first try', { ...success, occurred_dt: at(301), attempt: 1 }, again, false],
    ['says that it is of the second try', { ...success, attempt: 2 }, again, true],
    ['comes while nobody is asked', success, unsent, false],
  ] as const)('%s', (_, report, execution, expected) => {
    expect(isAnswer(report, execution, heard)).toBe(expected);
  });
});

it('nobody can name an execution before it was asked for the first time, nor before it was requested', () => {
  const named = { execution_id: 7 };
  expect(askedBefore(named, sent)).toEqual(startOfTime);
  expect(askedBefore(named, again)).toEqual(at(-60));
  expect([askedBefore(named, unsent), askedBefore({ execution_id: undefined }, sent)]).toEqual([undefined, undefined]);
});
