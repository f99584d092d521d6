import type { Context } from 'aws-lambda';
import { beforeEach, describe, expect, it } from 'vitest';
import { createHandler } from '../../functions/dispatch-update/handler.ts';
import { BackendUnavailable } from '../../lib/ports/backend.ts';
import { createTestDatabase } from '../support/database.ts';
import { silentLog } from '../support/fixtures.ts';
import { createContext, createRecordingLog } from '../support/http.ts';
import { sqsEvent } from '../support/s3-events.ts';
import { createUpdateService, type UpdateService } from '../support/update-service.ts';

const { db } = await createTestDatabase({ maxConnections: 1 });
let service: UpdateService;
beforeEach(() => {
  service = createUpdateService(db);
});

const deliver = (bodies: Record<string, unknown>, { log = silentLog, remainingMilliseconds = 29_000 } = {}) =>
  createHandler({ ...service.deps, log })(sqsEvent(bodies), createContext({ remainingMilliseconds }) as Context, () => {});
const givenChunk = async () => {
  const given = await service.given({ devices: 2 });
  await service.advance(given.message);
  return { ...given, chunk: service.deps.dispatches.take()[0] };
};

describe('the dispatches queue', () => {
  it('a chunk is acknowledged when the backend has answered and the answer is stored', async () => {
    const { chunk, update } = await givenChunk();
    expect(await deliver({ a: chunk })).toEqual({ batchItemFailures: [] });
    expect(await service.find(update.id)).toMatchObject({ counts: { IN_PROGRESS: 2 } });
  });

  it('a duplicate while the first is under way is handed back, and acknowledged when the first is done', async () => {
    const { chunk } = await givenChunk();
    let duplicate: unknown;
    service.deps.backend.during = async () => {
      duplicate = await deliver({ again: chunk });
    };
    expect(await deliver({ first: chunk })).toEqual({ batchItemFailures: [] });
    expect(duplicate).toEqual({ batchItemFailures: [{ itemIdentifier: 'again' }] });
    expect(await deliver({ again: chunk })).toEqual({ batchItemFailures: [] });
    expect(service.deps.backend.calls).toHaveLength(1);
  });

  it('a backend that is down costs no message its life: it is acknowledged, the walk brings the devices back', async () => {
    const { chunk, update } = await givenChunk();
    service.deps.backend.failure = new BackendUnavailable('backend answered 503');
    expect(await deliver({ a: chunk })).toEqual({ batchItemFailures: [] });
    expect(await service.find(update.id)).toMatchObject({ counts: { QUEUED: 2 } });
  });

  it.each([['not JSON'], [{}], [{ dispatch_id: 1.5 }], [{ dispatch_id: '1' }], [null]])('hands back %j', async (poison) => {
    expect(await deliver({ poison })).toEqual({ batchItemFailures: [{ itemIdentifier: 'poison' }] });
    expect(service.deps.backend.calls).toEqual([]);
  });

  it('has no signed link in the log, whatever fails', async () => {
    const { chunk } = await givenChunk();
    const log = createRecordingLog();
    service.deps.backend.failure = new BackendUnavailable('backend did not answer in time');
    await deliver({ a: chunk }, { log });
    service.deps.backend.failure = new Error('a bug');
    const other = await givenChunk();
    await deliver({ b: other.chunk }, { log });
    expect(log.lines).not.toEqual([]);
    expect(log.lines.join()).not.toContain('signature=');
    expect(service.deps.backend.commands[0]?.url).toContain('signature=');
  });

  it('gives the backend what is left of the function’s own time, less what storing the answer takes', async () => {
    const { chunk } = await givenChunk();
    await deliver({ a: chunk }, { remainingMilliseconds: 10_000 });
    expect(service.deps.backend.calls[0]?.call.timeoutMilliseconds).toBe(6_000);
  });
});
