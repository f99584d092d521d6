import { describe, expect, it } from 'vitest';
import { type ExecutionGroup, momentsBetween, pointsOf } from '../../../lib/update/timeline.ts';

const at = (milliseconds: number) => new Date(Date.parse('2026-11-24T08:00:00.000Z') + milliseconds);

describe('the moments of a timeline', () => {
  it('are evenly spread, the first and the last one included', () => {
    expect(momentsBetween(at(0), at(90_000), 4)).toEqual([at(0), at(30_000), at(60_000), at(90_000)]);
    expect(momentsBetween(at(0), at(10), 4)).toEqual([at(0), at(3), at(7), at(10)]);
  });

  it('are fewer where they would be the same millisecond, and one where nothing has passed', () => {
    expect(momentsBetween(at(0), at(2), 60)).toEqual([at(0), at(1), at(2)]);
    expect(momentsBetween(at(5), at(5), 60)).toEqual([at(5)]);
    expect(momentsBetween(at(5), at(1), 60)).toEqual([at(5)]);
  });
});

it('an execution has at each moment the last status that it had come to', () => {
  const moments = [at(0), at(1), at(2), at(3)];
  const groups: ExecutionGroup[] = [
    { status: 'SUCCEEDED', queued: 0, asked: 1, ended: 3, executions: 5 },
    // Never asked.
    { status: 'CANCELED', queued: 0, asked: null, ended: 2, executions: 3 },
    { status: 'QUEUED', queued: 0, asked: null, ended: null, executions: 2 },
    // Between the same two moments.
    { status: 'FAILED', queued: 1, asked: 2, ended: 2, executions: 1 },
    // Not before the last moment.
    { status: 'IN_PROGRESS', queued: 0, asked: 4, ended: null, executions: 7 },
  ];
  const none = { QUEUED: 0, IN_PROGRESS: 0, SUCCEEDED: 0, FAILED: 0, TIMED_OUT: 0, REJECTED: 0, CANCELED: 0, REMOVED: 0 };
  expect(pointsOf(moments, groups)).toEqual([
    { dt: at(0), counts: { ...none, QUEUED: 17 } },
    { dt: at(1), counts: { ...none, QUEUED: 13, IN_PROGRESS: 5 } },
    { dt: at(2), counts: { ...none, QUEUED: 9, IN_PROGRESS: 5, CANCELED: 3, FAILED: 1 } },
    { dt: at(3), counts: { ...none, QUEUED: 9, SUCCEEDED: 5, CANCELED: 3, FAILED: 1 } },
  ]);
});
