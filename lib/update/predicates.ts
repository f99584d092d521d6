import { sql } from 'kysely';
import { type Phase, phases } from './execution.ts';

/**
 * Named conditions on executions, `update_executions e`. They consist of constants: with a parameter PostgreSQL could not use the partial
 * indexes that are made for them.
 */

export const inPhases = (...wanted: readonly Phase[]) => sql<boolean>`e.phase IN (${sql.join(wanted.map((phase) => sql.lit(phase)))})`;

/** It has not ended. The condition is that of the unique index that allows a device one such execution per hardware type. */
export const unfinished = sql<boolean>`e.status IN ('QUEUED', 'IN_PROGRESS')`;

/** Nobody has it: it waits for its turn. */
export const waiting = inPhases('waiting');

/** It is in a chunk or an offer, or its device is at work on it. Each such execution takes a place of `maximum_in_progress`. */
export const handedOver = inPhases(...phases.filter((phase) => phase !== 'waiting' && phase !== 'ended'));

/** Its device has not heard of it, or not of its next try. A cancel ends such an execution at once. */
export const unasked = inPhases('waiting', 'released', 'offered');

/**
 * Its device is not at work on it, and cannot be: a newer update may have the device. Where the answer to a command is missing, the device may be
 * at work.
 */
export const supersedable = sql<boolean>`(${unasked} AND NOT e.is_unanswered)`;

/** Its device is asked, and its deadline runs. */
export const atWork = inPhases('calling', 'asked', 'canceling', 'installed');

/** Its device is at work or about to be, or may be at work because an answer is missing: it takes a place of its zone's availability budget. */
export const outOfService = sql<boolean>`(${handedOver} OR (${waiting} AND e.is_unanswered))`;

/** A device that polls is at work on it and can be asked to stop. A device that has refused once is not asked again. */
export const stoppable = sql<boolean>`(${inPhases('asked')} AND e.channel = 'iot' AND e.cancellation IS NULL)`;

/** 1 while another try is planned and not sent, otherwise 0. `attempt` and `retries` count it from the moment when it is planned. */
export const unsentTries = sql<number>`CASE WHEN e.retries > 0 AND NOT e.is_unanswered AND ${unasked} THEN 1 ELSE 0 END`;
