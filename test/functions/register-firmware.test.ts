import type { SQSBatchResponse } from 'aws-lambda';
import { beforeEach, describe, expect, it } from 'vitest';
import { createHandler } from '../../functions/register-firmware/handler.ts';
import { createDatabase } from '../../lib/db/database.ts';
import type { AdvanceMessage } from '../../lib/update/messages.ts';
import { catalogueDeps, emptyCatalogue, firmwareBytes, storedFirmwares } from '../support/catalogue.ts';
import { createTestDatabase } from '../support/database.ts';
import { createContext, createRecordingLog } from '../support/http.ts';
import { InMemoryQueue } from '../support/in-memory-queue.ts';
import { objectCreated, sqsEvent } from '../support/s3-events.ts';

const { db } = await createTestDatabase();
beforeEach(() => emptyCatalogue(db));

const setup = () => {
  const log = createRecordingLog();
  const registrations = new InMemoryQueue<object>();
  const deps = { ...catalogueDeps(db), log, registrations, advances: new InMemoryQueue<AdvanceMessage>() };
  const handler = createHandler(deps);
  const receive = async (bodies: Record<string, unknown>, on = handler) => {
    const answer = (await on(sqsEvent(bodies), createContext(), () => {})) as SQSBatchResponse;
    return answer.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
  };
  const put = (version: string, bytes: Buffer = firmwareBytes) => deps.storage.put(`firmwares/vega_mcu/${version}/firmware.bin`, bytes);
  const created = (version: string, bytes?: Buffer) => {
    const { key, version_id } = put(version, bytes);
    return objectCreated({ encodedKey: encodeURIComponent(key).replaceAll('%2F', '/').replaceAll('%20', '+'), version_id });
  };
  return { deps, log, receive, created };
};

const statuses = async () => Object.fromEntries((await storedFirmwares(db)).map(({ version, status }) => [version, status]));

describe('register-firmware', () => {
  it('registers the object of every message', async () => {
    const { receive, created } = setup();
    expect(await receive({ a: created('1.0'), b: created('1.0 + beta') })).toEqual([]);
    expect(await statuses()).toEqual({ '1.0': 'available', '1.0 + beta': 'available' });
  });

  it('hands back only the messages that failed: the others are done', async () => {
    const { receive, created } = setup();
    const failed = await receive({
      good: created('1.0'),
      noJson: '{',
      empty: '',
      null: 'null',
      removal: objectCreated({ encodedKey: 'firmwares/vega_mcu/1.0/firmware.bin', version_id: '1', eventName: 'ObjectRemoved:Delete' }),
      badKey: objectCreated({ encodedKey: 'firmwares/vega_mcu/%zz/firmware.bin', version_id: '1' }),
      nobodys: objectCreated({ encodedKey: 'firmwares/readme.txt', version_id: '1' }),
      unknownType: objectCreated({ encodedKey: 'firmwares/hoverboard/1.0/firmware.bin', version_id: '1' }),
      gone: objectCreated({ encodedKey: 'firmwares/vega_mcu/9.9/firmware.bin', version_id: '1' }),
      alsoGood: created('1.1'),
    });
    expect(failed).toEqual(['noJson', 'empty', 'null', 'removal', 'badKey', 'nobodys', 'unknownType', 'gone']);
    expect(await statuses()).toEqual({ '1.0': 'available', '1.1': 'available' });
  });

  it('does not repeat a message whose file was rejected', async () => {
    const { receive, created } = setup();
    expect(await receive({ a: created('1.0', Buffer.alloc(0)) })).toEqual([]);
    expect(await statuses()).toEqual({ '1.0': 'rejected' });
  });

  it('takes the same message twice, in one batch and in two, as once', async () => {
    const { receive, created } = setup();
    const message = created('1.0');
    expect(await receive({ a: message, b: message })).toEqual([]);
    expect(await receive({ c: message })).toEqual([]);
    expect(await storedFirmwares(db)).toMatchObject([{ version: '1.0', status: 'available', version_num: 1 }]);
  });

  it('has nothing to do for the event by which S3 tests the notification', async () => {
    const { receive } = setup();
    expect(await receive({ a: { Service: 'Amazon S3', Event: 's3:TestEvent', Bucket: 'memory' } })).toEqual([]);
    expect(await storedFirmwares(db)).toEqual([]);
  });

  it('registers the other objects of a message in which one is nobody’s, and hands the message back', async () => {
    const { receive, created } = setup();
    const Records = [
      ...objectCreated({ encodedKey: 'firmwares/readme.txt', version_id: '1' }).Records,
      ...created('1.0').Records,
      ...created('1.1').Records,
    ];
    expect(await receive({ a: { Records } })).toEqual(['a']);
    expect(await statuses()).toEqual({ '1.0': 'available', '1.1': 'available' });
  });

  it('sends its messages anew while S3 is down, stores nothing, and succeeds afterwards', async () => {
    const { deps, receive, created } = setup();
    const message = created('1.0');
    deps.storage.isDown = true;
    expect(await receive({ a: message })).toEqual([]);
    expect(await storedFirmwares(db)).toEqual([]);
    deps.storage.isDown = false;
    const [again] = deps.registrations.take();
    expect(again).toEqual({ ...(message as object), deferrals: 1 });
    expect(await receive({ a: again })).toEqual([]);
    expect(await statuses()).toEqual({ '1.0': 'available' });
  });

  it('sends its messages anew while the database is down', async () => {
    const { deps, receive, created } = setup();
    const down = createDatabase({ url: 'postgres://user:hunter2@127.0.0.1:9/none', maxConnections: 1 });
    expect(await receive({ a: created('1.0') }, createHandler({ ...deps, db: down }))).toEqual([]);
    expect(deps.registrations.sent).toHaveLength(1);
    await down.destroy();
  });

  it('says in the log which message failed and why', async () => {
    const { log, receive } = setup();
    await receive({ 'message-7': objectCreated({ encodedKey: 'firmwares/readme.txt', version_id: '1' }) });
    expect(log.lines.join()).toContain('message-7');
    expect(log.lines.join()).toContain('firmwares/readme.txt');
  });
});
