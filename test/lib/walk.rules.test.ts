import { describe, expect, it } from 'vitest';
import { addSeconds } from '../../lib/clock.ts';
import { StrangeMessage, stateOfStep, type Walk, waitForCommit } from '../../lib/walk.ts';
import { startOfTime } from '../support/fixtures.ts';
import { InMemoryQueue } from '../support/in-memory-queue.ts';

describe('the message of step 3 finds', () => {
  it.each<[Walk, string, string]>([
    [{ next_step: 3, sent_step: 3 }, 'due', 'the step not done'],
    [{ next_step: 3, sent_step: 2 }, 'due', 'the step not done, by a message that is not known to be sent'],
    [{ next_step: 2, sent_step: 2 }, 'due', 'a row from before, as after a restore'],
    [{ next_step: 3, sent_step: 0 }, 'due', 'a walk that a control has revived'],
    [{ next_step: 4, sent_step: 3 }, 'done', 'the step done, and the next message perhaps not sent'],
    [{ next_step: 4, sent_step: 4 }, 'passed', 'the next message sent'],
    [{ next_step: 5, sent_step: 3 }, 'passed', 'the next step done by another message'],
    [{ next_step: 9, sent_step: 9 }, 'passed', 'the walk far ahead'],
  ])('%j: %s: %s', (walk, place) => {
    expect(stateOfStep(3, walk)).toBe(place);
  });

  it('is malformed when the walk cannot have come so far, not even before a restore', () => {
    expect(stateOfStep(1_209_600, { next_step: 3, sent_step: 3 })).toBe('due');
    expect(() => stateOfStep(2_000_004, { next_step: 3, sent_step: 3 })).toThrow(StrangeMessage);
  });
});

describe('a message without a row', () => {
  const message = { created_dt: startOfTime };

  it('comes again for as long as its commit may still come', async () => {
    const queue = new InMemoryQueue<typeof message>();
    expect(await waitForCommit(queue, message, addSeconds(startOfTime, 59))).toBe(true);
    expect(queue.sent).toEqual([{ created_dt: startOfTime.toISOString() }]);
    expect(queue.delays).toEqual([2]);
  });

  it('is malformed when it is of the future: it would be looked for for ever', async () => {
    const queue = new InMemoryQueue<typeof message>();
    await expect(waitForCommit(queue, message, addSeconds(startOfTime, -61))).rejects.toThrow(StrangeMessage);
    expect(queue.sent).toEqual([]);
    // Clocks of two machines differ a little.
    expect(await waitForCommit(queue, message, addSeconds(startOfTime, -5))).toBe(true);
  });

  it('is dropped when no request can still be about to commit', async () => {
    const queue = new InMemoryQueue<typeof message>();
    expect(await waitForCommit(queue, message, addSeconds(startOfTime, 60))).toBe(false);
    expect(queue.sent).toEqual([]);
  });
});
