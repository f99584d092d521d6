import type { Clock } from '../../clock.ts';
import type { Db } from '../../db/database.ts';
import type { Log } from '../../log.ts';
import { type EventBus, EventBusUnavailable, type ServiceEvent } from '../../ports/event-bus.ts';
import { findUntoldUpdate, listUntoldExecutions, markExecutionsTold, markUpdateTold, type UntoldExecution } from '../event-queries.ts';

export interface TellEventsDeps {
  db: Db;
  /** Missing: nothing is told. */
  events?: EventBus | undefined;
  log: Log;
  now: Clock;
}

const executionsPerEvent = 100;
const executionsPerRound = 1_000;
/** Bounds a step. */
const roundsPerStep = 10;

/** `some`: more events can be told at once; `failed`: the bus did not take them now. */
export type Told = 'all' | 'some' | 'failed';

/**
 * Publishes events about what has changed since the last time: the update's status, and the statuses of its executions, up to 100 of one
 * status in an event. What was told is noted afterwards, so that a crash repeats events but loses none, and events only say what was
 * committed. If two steps publish at one moment, the older status may come last: the step that notes second notices this, and the next step
 * tells the status again. Code that changes a status does nothing for its event: the rows show what was not told yet.
 */
export async function tellEvents({ db, events, log, now }: TellEventsDeps, update_id: number): Promise<Told> {
  if (!events) return 'all';
  let isCertain = true;
  try {
    const untoldUpdate = await findUntoldUpdate(db, update_id, now());
    if (untoldUpdate) {
      await events.publishEvents([{ type: 'Update status changed', occurred_dt: now(), detail: untoldUpdate.update }]);
      isCertain = await markUpdateTold(db, untoldUpdate);
    }
    for (let round = 0; round < roundsPerStep; round += 1) {
      const untold = await listUntoldExecutions(db, update_id, executionsPerRound);
      if (untold.length === 0) return isCertain ? 'all' : 'some';
      await events.publishEvents(toEvents(update_id, untold, now()));
      isCertain = (await markExecutionsTold(db, untold)) && isCertain;
      if (untold.length < executionsPerRound) return isCertain ? 'all' : 'some';
    }
    return 'some';
  } catch (error) {
    if (!(error instanceof EventBusUnavailable)) throw error;
    log.warn('events could not be told', { update_id, error });
    return 'failed';
  }
}

export interface ExecutionsChanged {
  update_id: number;
  status: UntoldExecution['status'];
  executions: Omit<UntoldExecution, 'status' | 'told_status'>[];
}

const toEvents = (update_id: number, untold: readonly UntoldExecution[], occurred_dt: Date): ServiceEvent[] =>
  Object.values(Object.groupBy(untold, ({ status }) => status)).flatMap((executions) => {
    const events: ServiceEvent[] = [];
    for (let first = 0; first < executions.length; first += executionsPerEvent) {
      const chunk = executions.slice(first, first + executionsPerEvent);
      const [{ status }] = chunk as [UntoldExecution];
      const detail: ExecutionsChanged = {
        update_id,
        status,
        executions: chunk.map(({ status: _, told_status: __, ...execution }) => execution),
      };
      events.push({ type: 'Execution status changed', occurred_dt, detail });
    }
    return events;
  });
