import * as z from 'zod/mini';
import { addSeconds } from '../clock.ts';
import { Timestamp } from '../firmware/firmware.ts';
import { lostAfterSeconds } from '../walk.ts';
import type { Phase } from './execution.ts';
import type { AliveTimes } from './offer-times.ts';
import type { UpdateStatus } from './update-status.ts';
import type { Opening } from './zone-rules.ts';

const causes = [
  'APPROVAL',
  'START',
  'RESUME',
  'STEP',
  'CANARY',
  'WINDOW',
  'BUDGET',
  'PACE',
  'RETRY',
  'DEFERRAL',
  'HANDOVER',
  'BACKEND',
  'POLL',
  'DEVICE',
  'END',
] as const;

export const WaitsFor = z
  .object({
    cause: z.enum(causes).check(
      z.meta({
        description:
          'APPROVAL: somebody else than who requested the update has to approve it; START: the update begins later; RESUME: the update is paused; STEP: the next step of the update should have ' +
          'come a minute ago or more: the service cannot work on it, or its message is lost, which a control of the update sends again; CANARY: other devices go first; ' +
          'WINDOW: the maintenance window of its zone or of the update is closed, until `until_dt`, where it ever opens; ' +
          'BUDGET: as many devices of its zone are at work as may be at one moment; PACE: its turn, or a free place; ' +
          'RETRY: its next try; DEFERRAL: the backend has put it off; HANDOVER: its turn has come, and its command is on its way to the ' +
          'backend, which takes seconds; one whose message is lost is sent again; ' +
          'BACKEND: the backend does not answer, or is being asked; ' +
          'POLL: the device asks for its work by itself, and has not yet; DEVICE: it is asked, and its proof is awaited; ' +
          'END: the update has ended, and this execution ends with its next step',
      }),
    ),
    until_dt: z.nullable(Timestamp).check(
      z.meta({
        description:
          'When the wait is over at the earliest, where that is known; of HANDOVER, when the command is sent again if it is lost',
      }),
    ),
    since_dt: z
      .nullable(Timestamp)
      .check(z.meta({ description: 'Since when it waits, if that is known. With POLL: when the device was last seen; null: never' })),
    place: z.nullable(z.int()).check(
      z.meta({
        description:
          'Of PACE, how far the turn is: 1 is next. Only where one device was asked for, by `external_id` or by its own list of updates; ' +
          'null behind the 10,000th, and in an open canary. Devices whose zone is closed or full count, though others pass them',
      }),
    ),
  })
  .register(z.globalRegistry, { id: 'WaitsFor' });
export type WaitsFor = z.infer<typeof WaitsFor>;

/** What is stored about an execution, its update, its device and the backend, as far as it says what the execution waits for. */
export interface WaitFacts {
  phase: Phase;
  channel: string;
  reason: string | null;
  is_canary: boolean;
  sent_dt: Date | null;
  next_attempt_dt: Date | null;
  last_seen_dt: Date | null;
  update_status: UpdateStatus;
  start_dt: Date | null;
  paused_dt: Date | null;
  /** When the next step of the update is due. */
  due_dt: Date | null;
  /** When its chunk was released; null: it is in none. */
  released_dt: Date | null;
  firmware_status: string;
  /** The update has a canary that has not passed yet. */
  is_canary_open: boolean;
  /** Whether devices of its zone may be asked now. */
  opening: Opening;
  /** Whether the availability budget of its zone is used up. */
  is_budget_full: boolean;
  gate_failures: number;
  gate_closed_until: Date | null;
}

/** A step usually comes within seconds of its time. If it is late by this, it is the reason why nothing moves, long before it counts as lost. */
const slowStepSeconds = 60;

const wait = (cause: WaitsFor['cause'], { until = null, since = null }: { until?: Date | null; since?: Date | null } = {}): WaitsFor => ({
  cause,
  until_dt: until,
  since_dt: since,
  place: null,
});

/** What an execution waits for first; null: it has ended. */
export const waitsFor = (facts: WaitFacts, now: Date, times: AliveTimes): WaitsFor | null => {
  switch (facts.phase) {
    case 'ended':
      return null;
    case 'asked':
    case 'canceling':
    case 'installed':
      return wait('DEVICE', { since: facts.sent_dt });
    case 'calling':
      return wait('BACKEND', { since: facts.sent_dt });
    case 'waiting':
    case 'released':
    case 'offered':
      return waitOfUpdate(facts, now) ?? waitOfTurn(facts, now, times);
  }
};

/** What the whole update waits for; undefined: it goes on. */
const waitOfUpdate = ({ update_status, start_dt, paused_dt, due_dt, firmware_status }: WaitFacts, now: Date): WaitsFor | undefined => {
  const isOver = update_status === 'CANCELED' || update_status === 'ABORTED' || firmware_status === 'withdrawn';
  if (update_status === 'WAITING_FOR_APPROVAL' && !isOver) return wait('APPROVAL');
  if (update_status === 'PAUSED' && !isOver) return wait('RESUME', { since: paused_dt });
  if (due_dt && now > addSeconds(due_dt, slowStepSeconds)) return wait('STEP', { since: due_dt });
  if (isOver) return wait('END');
  return start_dt && start_dt > now ? wait('START', { until: start_dt }) : undefined;
};

const waitOfTurn = (facts: WaitFacts, now: Date, { aliveSeconds }: AliveTimes): WaitsFor => {
  const {
    phase,
    channel,
    reason,
    is_canary,
    is_canary_open,
    next_attempt_dt,
    last_seen_dt,
    released_dt,
    opening,
    is_budget_full,
    gate_failures,
    gate_closed_until,
  } = facts;
  if (isShut(opening, next_attempt_dt)) return wait('WINDOW', { until: opening.opens_dt });
  if (next_attempt_dt && next_attempt_dt > now) return wait(reason?.startsWith('RETRY') ? 'RETRY' : 'DEFERRAL', { until: next_attempt_dt });
  if (channel === 'iot') {
    const isAlive = last_seen_dt !== null && last_seen_dt > addSeconds(now, -aliveSeconds);
    if (phase === 'offered' || !isAlive) return wait('POLL', { since: last_seen_dt });
  }
  if (phase === 'waiting' && is_canary_open && !is_canary) return wait('CANARY');
  const isClosed = gate_closed_until !== null && gate_closed_until > now;
  if (channel !== 'iot' && (isClosed || gate_failures > 0)) return wait('BACKEND', { until: isClosed ? gate_closed_until : null });
  if (phase === 'released' && released_dt) {
    return wait('HANDOVER', { since: released_dt, until: addSeconds(released_dt, lostAfterSeconds) });
  }
  return wait(is_budget_full && phase === 'waiting' ? 'BUDGET' : 'PACE');
};

/** Whether the window opens later than the execution is due. */
const isShut = (opening: Opening, next_attempt_dt: Date | null): opening is Opening & { isOpen: false } =>
  !opening.isOpen && (opening.opens_dt === null || next_attempt_dt === null || next_attempt_dt <= opening.opens_dt);
