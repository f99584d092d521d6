import { describe, expect, it } from 'vitest';
import { answerPoll } from '../../../lib/ddi/answer-poll.ts';
import { cancelWordOf, detailOf, wordOf } from '../../../lib/ddi/feedback.ts';
import { formatSleep, offerTimesOf, pollSeconds, retrySeconds } from '../../../lib/ddi/poll-interval.ts';
import { ActionFeedback, ConfigData } from '../../../lib/ddi/protocol.ts';
import { type DeviceWork, workStateOf } from '../../../lib/update/reach/device-work.ts';
import { startOfTime } from '../../support/fixtures.ts';

const feedback = (execution: string, finished: string) => ActionFeedback.parse({ status: { execution, result: { finished } } });

describe('what a device says', () => {
  it.each([
    ['closed', 'success', 'installed', 'canceled'],
    ['closed', 'none', 'installed', 'canceled'],
    ['closed', 'failure', 'failed', 'goes_on'],
    ['canceled', 'success', 'canceled', 'canceled'],
    ['canceled', 'failure', 'canceled', 'canceled'],
    ['rejected', 'none', 'declined', 'goes_on'],
    ['proceeding', 'none', 'at_work', 'at_work'],
    ['proceeding', 'failure', 'at_work', 'at_work'],
    ['scheduled', 'none', 'at_work', 'at_work'],
    ['resumed', 'none', 'at_work', 'at_work'],
    ['download', 'none', 'at_work', 'at_work'],
    ['downloaded', 'success', 'at_work', 'at_work'],
  ])('%s/%s means %s, and %s when it was asked to stop', (execution, finished, word, cancelWord) => {
    expect(wordOf(feedback(execution, finished))).toBe(word);
    expect(cancelWordOf(feedback(execution, finished))).toBe(cancelWord);
  });

  it('may have what old and new clients add, and may lack what we do not need', () => {
    const old = { id: '7', time: '20140511T121314', status: { execution: 'proceeding', result: { progress: { cnt: 1, of: 5 } }, code: 9 } };
    expect(wordOf(ActionFeedback.parse(old))).toBe('at_work');
    expect(wordOf(ActionFeedback.parse({ status: { execution: 'proceeding' } }))).toBe('at_work');
    expect(ActionFeedback.safeParse({ status: { execution: 'dancing' } }).success).toBe(false);
    expect(ActionFeedback.safeParse({ status: { execution: 'CLOSED' } }).success).toBe(false);
    expect(ActionFeedback.safeParse({ status: { result: { finished: 'success' } } }).success).toBe(false);
    expect(ActionFeedback.safeParse({}).success).toBe(false);
    expect(ConfigData.parse({})).toEqual({ mode: 'merge', data: {} });
  });
});

describe('closed with a result that the protocol does not know', () => {
  it.each([
    ['an unknown word', { finished: 'failed' }, 'failed'],
    ['another spelling', { finished: 'SUCCESS' }, 'SUCCESS'],
    ['no result', undefined, 'nothing'],
    ['null', null, 'nothing'],
    ['an empty result', {}, 'nothing'],
    ['a text', 'success', 'nothing'],
    ['no text', { finished: true }, 'true'],
    ['a token', { finished: 'TargetToken abc' }, 'TargetToken …'],
  ])('%s is a failure, and an unwillingness to stop, in the words that were sent', (_, result, sent) => {
    const said = ActionFeedback.parse({ status: { execution: 'closed', result, details: ['flash failed'] } });
    expect([wordOf(said), cancelWordOf(said)]).toEqual(['failed', 'goes_on']);
    expect(detailOf(said)).toBe(`closed, but result.finished is neither success, failure nor none: ${sent}\nflash failed`);
  });

  it('says nothing about what is not closed', () => {
    for (const execution of ['proceeding', 'canceled', 'rejected', 'downloaded']) {
      expect(detailOf(ActionFeedback.parse({ status: { execution, result: { finished: 'odd' }, details: ['words'] } }))).toBe('words');
    }
  });

  it.each([[undefined], [null], [''], [[]], [['']], [['', ' ']]])('details of %j are no words at all', (details) => {
    expect(detailOf(ActionFeedback.parse({ status: { execution: 'closed', result: { finished: 'failure' }, details } }))).toBeNull();
  });
});

describe('the time between polls', () => {
  const intervals = { idleSeconds: 300, waitingSeconds: 30 };
  const idle = { isWaiting: false, devices: 0 };

  it('is spread by a quarter to both sides, and never a day long or none', () => {
    expect([0, 0.5, 0.9999].map((random) => pollSeconds(intervals, idle, random))).toEqual([225, 300, 375]);
    expect(pollSeconds({ idleSeconds: 100_000, waitingSeconds: 1 }, idle, 0.99)).toBe(86_399);
    expect(pollSeconds({ idleSeconds: 1, waitingSeconds: 1 }, idle, 0)).toBe(1);
  });

  it('is spread evenly: of a thousand that ask at one moment, none ask again together', () => {
    for (const [poll, from, bins, width] of [[idle, 225, 15, 10] as const, [{ isWaiting: true, devices: 1_000 }, 22, 8, 2] as const]) {
      const next = Array.from({ length: 1_000 }, (_, i) => pollSeconds(intervals, poll, (i + 0.5) / 1_000));
      const perBin = Array.from({ length: bins }, (_, bin) => next.filter((s) => Math.floor((s - from) / width) === bin).length);
      // Rounding to whole seconds cuts the first and the last of them in half.
      for (const n of perBin) expect(n).toBeLessThanOrEqual(Math.ceil(1.1 * (1_000 / (bins - 1))));
      for (const n of perBin.slice(1, -1)) expect(n).toBeGreaterThanOrEqual(Math.floor(0.9 * (1_000 / bins)));
    }
  });

  it('that a device is told with a 503 is spread over half a minute, and never none', () => {
    expect([0, 0.5, 0.9999].map(retrySeconds)).toEqual([2, 16, 30]);
  });

  it('is short for those that wait, and longer the more of them there are', () => {
    const waiting = (devices: number) => pollSeconds(intervals, { isWaiting: true, devices }, 0.5);
    expect([0, 1_000, 10_000, 20_000, 1_000_000].map(waiting)).toEqual([30, 30, 50, 100, 300]);
  });

  it('is written as the protocol has it', () => {
    expect([1, 59, 60, 300, 3_661, 86_399].map(formatSleep)).toEqual([
      '00:00:01',
      '00:00:59',
      '00:01:00',
      '00:05:00',
      '01:01:01',
      '23:59:59',
    ]);
  });

  it('lets an offer stand, and a device count as there, for two of the longest', () => {
    expect(offerTimesOf(intervals)).toEqual({ aliveSeconds: 1_050, standSeconds: 760 });
  });
});

describe('where a device is with its work', () => {
  const work: DeviceWork = {
    execution_id: 1,
    hardware_type: 'cabinet',
    proof: 'version',
    phase: 'offered',
    is_open: true,
    fits: true,
    update_status: 'IN_PROGRESS',
    devices: 1,
    allow_downgrade: false,
    manifest_counter: 1,
    firmware: {
      ...{ id: 1, status: 'available', version: '1', object_key: 'firmwares/cabinet/1/a.swu', file_link: '' },
      ...{
        size_bytes: 1,
        sha1: '',
        sha256: '',
        md5: '',
        version_num: 1,
        requires: [],
        minimum_from_version_num: null,
        author_signatures: [],
        signed_parts: [],
      },
    },
  };
  const withdrawn = { firmware: { ...work.firmware, status: 'withdrawn' as const } };
  const taken = { phase: 'asked' as const };

  it.each([
    ['waiting', { phase: 'waiting' as const }],
    ['held', { phase: 'waiting' as const, update_status: 'PAUSED' as const }],
    ['held', { phase: 'waiting' as const, update_status: 'SCHEDULED' as const }],
    ['held', { phase: 'waiting' as const, ...withdrawn }],
    ['held', { phase: 'waiting' as const, is_open: false }],
    ['held', { is_open: false }],
    ['held', { fits: false }],
    ['held', { phase: 'waiting' as const, fits: false }],
    ['working', { ...taken, fits: false }],
    ['working', { ...taken, is_open: false }],
    ['proving', { phase: 'installed' as const, is_open: false }],
    ['offered', {}],
    ['held', { update_status: 'PAUSED' as const }],
    ['held', { update_status: 'CANCELED' as const }],
    ['held', withdrawn],
    ['working', taken],
    ['working', { ...taken, update_status: 'PAUSED' as const }],
    ['working', { ...taken, ...withdrawn }],
    ['canceling', { phase: 'canceling' as const }],
    ['proving', { phase: 'installed' as const }],
  ] as const)('%s: %o', (state, change) => {
    expect(workStateOf({ ...work, ...change })).toBe(state);
  });

  it('is told by at most one link to work, whatever it has', () => {
    const context = { url: 'http://x', intervals: { idleSeconds: 300, waitingSeconds: 30 }, now: startOfTime, random: 0.5 };
    const changes = [{ phase: 'waiting' as const }, {}, taken, { phase: 'canceling' as const }, { phase: 'installed' as const }];
    for (const a of changes) {
      for (const b of changes) {
        const { _links } = answerPoll(
          { config_data_dt: startOfTime },
          [
            { ...work, ...a },
            { ...work, ...b, execution_id: 2 },
          ],
          context,
        );
        expect(Number('deploymentBase' in _links) + Number('cancelAction' in _links)).toBeLessThanOrEqual(1);
      }
    }
  });
});
