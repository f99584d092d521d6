import { sql } from 'kysely';
import { type Phase, phases } from './execution.ts';

/**
 * Which executions a statement is about, each named once. All are about `update_executions e`, and are made of constants: with a parameter
 * PostgreSQL could not use the partial indexes that are made for them.
 */

export const inPhases = (...wanted: readonly Phase[]) => sql<boolean>`e.phase IN (${sql.join(wanted.map((phase) => sql.lit(phase)))})`;

/** It has not ended. In the words of the unique index that lets a device have one such execution for each hardware type. */
export const unfinished = sql<boolean>`e.status IN ('QUEUED', 'IN_PROGRESS')`;

/** Nobody has it: it waits for its turn. */
export const waiting = inPhases('waiting');

/** It is in a chunk or an offer, or its device is at work on it: all that has a place of its own. */
export const handedOver = inPhases(...phases.filter((phase) => phase !== 'waiting' && phase !== 'ended'));

/** Its device has not heard of it, or not of the next try: it ends at once when it is not wanted any more. */
export const unasked = inPhases('waiting', 'released', 'offered');

/** Its device is asked, and its deadline runs. */
export const atWork = inPhases('calling', 'asked', 'canceling', 'installed');

/** A device that polls is at work on it and can be asked to stop: not one that has refused before. */
export const stoppable = sql<boolean>`(${inPhases('asked')} AND e.channel = 'iot' AND e.cancellation IS NULL)`;

/** How many tries `attempt` and `retries` count that are due and that nobody was asked for, or that were put off: 0 or 1. */
export const unsentTries = sql<number>`CASE WHEN e.retries > 0 AND NOT e.is_unanswered AND ${unasked} THEN 1 ELSE 0 END`;
