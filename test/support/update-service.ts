import type { Db } from '../../lib/db/database.ts';
import { DomainError } from '../../lib/errors.ts';
import type { Queue, SendOptions } from '../../lib/ports/queue.ts';
import { confirmUpdate } from '../../lib/report/confirm-update.ts';
import type { Confirmation } from '../../lib/report/confirmation.ts';
import { openGate } from '../../lib/update/backend-gate.ts';
import { getUpdate } from '../../lib/update/get-update.ts';
import { AdvanceMessage, DispatchMessage, type VerifyMessage } from '../../lib/update/messages.ts';
import { type RequestUpdate, requestUpdate } from '../../lib/update/plan/request-update.ts';
import { dispatchUpdate } from '../../lib/update/reach/dispatch-update.ts';
import type { Update } from '../../lib/update/update.ts';
import { type AdvanceUpdateDeps, advanceUpdate } from '../../lib/update/walk/advance-update.ts';
import { confirmation, givenDevices, givenFirmware, silentLog, startOfTime, TestClock, updateRequest } from './fixtures.ts';
import { InMemoryBackend } from './in-memory-backend.ts';
import { InMemoryQueue } from './in-memory-queue.ts';
import { InMemoryStorage } from './in-memory-storage.ts';
import { manifestSigner } from './manifest-signer.ts';

/** The use cases of an update on a real database, with queues, backend and storage that are told what to do. */
export const createUpdateService = (db: Db) => {
  const clock = new TestClock();
  const deps = {
    db,
    now: clock.now,
    log: silentLog,
    advances: new InMemoryQueue<AdvanceMessage>(),
    dispatches: new InMemoryQueue<DispatchMessage>(),
    verifications: new InMemoryQueue<VerifyMessage>(),
    backend: new InMemoryBackend(),
    storage: new InMemoryStorage(clock.now),
    signManifest: manifestSigner(clock.now),
  };
  type Deps = typeof deps;
  /** Ports that a call gets instead of its own, for example a queue that fails. */
  type Instead = Partial<{ advances: Queue<AdvanceMessage>; dispatches: Queue<DispatchMessage>; db: Db }> &
    Pick<AdvanceUpdateDeps, 'removeOldRows' | 'mostTakenOver'>;

  const service = {
    clock,
    deps,
    request: (body: Record<string, unknown>, extra: Partial<RequestUpdate> = {}, instead: Instead = {}): Promise<Update> =>
      requestUpdate({ ...deps, ...instead }, { ...updateRequest({ canary: null, ...body }), ...extra }),
    advance: (message: unknown, instead: Instead = {}) => advanceUpdate({ ...deps, ...instead }, AdvanceMessage.parse(message)),
    dispatch: (message: unknown, instead: Partial<Deps> = {}) =>
      dispatchUpdate({ ...deps, ...instead }, DispatchMessage.parse(message), 29_000),
    confirm: (...reports: Confirmation[]) => confirmUpdate(deps, reports),
    find: (id: number) => getUpdate(db, id, clock.now()),

    /** An update of new devices, and its first message. */
    async given({ devices = 1, ...request }: { devices?: number } & Record<string, unknown> = {}) {
      // What one test did to the backend is nothing to the next one.
      await db.updateTable('backend_gate').set(openGate(startOfTime)).execute();
      const firmware = await givenFirmware(db);
      const external_ids = await givenDevices(db, devices);
      const update = await service.request({ firmware_id: firmware.id, targets: { external_ids }, ...request });
      const [message] = deps.advances.take();
      if (!message) throw new Error('no message was sent');
      return { firmware, external_ids, update, message };
    },

    /** The same, one step on: every device is asked and the backend has taken the command. */
    async givenSent(request: { devices?: number } & Record<string, unknown> = {}) {
      const given = await service.given(request);
      await service.advance(given.message);
      for (const message of deps.dispatches.take()) await service.dispatch(message);
      const [message] = deps.advances.take();
      if (!message) throw new Error('the walk has ended');
      const executions = await service.executions(given.update.id);
      return { ...given, message, executions };
    },

    /** All that is stored of an update's executions, with whose they are. */
    executions: (update_id: number) =>
      db
        .selectFrom('update_executions as e')
        .innerJoin('devices as d', 'd.id', 'e.device_id')
        .selectAll('e')
        .select('d.external_id')
        .where('e.update_id', '=', update_id)
        .orderBy('e.id')
        .execute(),

    dispatchesOf: (update_id: number) =>
      db.selectFrom('update_dispatches').selectAll().where('update_id', '=', update_id).orderBy('id').execute(),

    /** Devices that were asked report that they run the version wanted, a second later. */
    async confirmAsked(version: string): Promise<void> {
      clock.advance(1);
      const asked = new Map(deps.backend.calls.splice(0).flatMap(({ commands }) => commands.map((c) => [c.execution_id, c])));
      const reports = [...asked.values()].map(({ external_id, hardware_type, kind, execution_id }) =>
        confirmation({
          external_id,
          hardware_type,
          kind: kind as Confirmation['kind'],
          version,
          execution_id,
          occurred_dt: clock.now(),
        }),
      );
      if (reports.length > 0) await service.confirm(...reports);
    },
  };
  return service;
};

export type UpdateService = ReturnType<typeof createUpdateService>;

/** A queue that takes the first messages of a send and then fails: which of them it has, the sender does not know. */
export const failsAfter = <Message>(queue: Queue<Message>, taken: number): Queue<Message> => ({
  async send(messages: readonly Message[], options?: SendOptions) {
    if (taken > 0) await queue.send(messages.slice(0, taken), options);
    throw new DomainError('queue.unavailable', 'The queue does not take messages');
  },
});

/** A small generator of random numbers (mulberry32): the same ones for the same seed. */
export const createRandom = (seed: number) => {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    between: (from: number, to: number): number => from + next() * (to - from),
    chance: (probability: number): boolean => next() < probability,
    pick: <T>(items: readonly T[]): T => items[Math.floor(next() * items.length)] as T,
    shuffled: <T>(items: readonly T[]): T[] =>
      items
        .map((item) => [next(), item] as const)
        .sort(([a], [b]) => a - b)
        .map(([, item]) => item),
  };
};
