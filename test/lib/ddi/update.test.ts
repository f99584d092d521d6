import { describe, expect, it } from 'vitest';
import { createTestDatabase } from '../../support/database.ts';
import { createDevicesThatPoll, linkedIn } from '../../support/devices-that-poll.ts';
import { startOfTime } from '../../support/fixtures.ts';
import { manifestClaimsOf } from '../../support/manifest-signer.ts';

const { db, takeStatements } = await createTestDatabase();
const ddi = createDevicesThatPoll(db);
const { clock } = ddi;

describe('an update of a device that polls', () => {
  it('goes from the offer to the proof, and the version is known then', async () => {
    const { cabinet, firmware, id, message, update } = await ddi.givenOffered();
    expect(await ddi.execution(id)).toMatchObject({ status: 'QUEUED', sent_dt: null });

    const deployment = (await ddi.deployment(cabinet, id)).body;
    expect(deployment).toEqual({
      id: String(id),
      deployment: {
        download: 'forced',
        update: 'forced',
        chunks: [
          {
            part: 'cabinet',
            version: firmware.version,
            name: 'cabinet',
            artifacts: [
              {
                filename: 'firmware.bin',
                hashes: { sha1: firmware.sha1, md5: firmware.md5, sha256: firmware.sha256 },
                size: firmware.size_bytes,
                _links: Object.fromEntries(
                  ['download', 'download-http'].map((name) => [
                    name,
                    {
                      href: `http://updates.test/default/controller/v1/cabinet.${cabinet.external_id}/softwaremodules/${firmware.id}/artifacts/firmware.bin`,
                    },
                  ]),
                ),
              },
            ],
            metadata: [{ key: 'manifest', value: expect.any(String) }],
          },
        ],
      },
    });
    expect(await ddi.execution(id)).toMatchObject({ status: 'IN_PROGRESS', sent_dt: clock.now() });
    // The same again after a lost answer: the same counter, so that the device takes it.
    const [first, again] = [deployment, (await ddi.deployment(cabinet, id)).body].map(({ deployment: { chunks } }) =>
      manifestClaimsOf(chunks[0]?.metadata?.[0]?.value ?? ''),
    );
    expect(first).toMatchObject({
      ...{ hardware_type: 'cabinet', version: firmware.version, version_num: firmware.version_num, sha256: firmware.sha256 },
      ...{ size_bytes: firmware.size_bytes, allow_downgrade: false, requires: [], counter: expect.any(Number) },
    });
    expect(again).toEqual(first);

    clock.advance(20);
    expect((await ddi.feedback(cabinet, id, 'closed', 'success')).statusCode).toBe(200);
    expect(await ddi.execution(id)).toMatchObject({ status: 'IN_PROGRESS', reason: 'AWAITING_PROOF', installed_dt: clock.now() });

    clock.advance(5);
    expect((await ddi.configData(cabinet, { cabinet_version: firmware.version })).statusCode).toBe(200);
    expect(await ddi.execution(id)).toMatchObject({ status: 'SUCCEEDED', reason: null, finished_dt: clock.now() });
    expect(await ddi.runs(cabinet)).toEqual({ reported_version: firmware.version, source: 'config_data', firmware_update_time: 25 });
    expect((await ddi.installed(cabinet, id)).body.deployment.chunks[0]?.version).toBe(firmware.version);

    await ddi.step(message);
    expect(await ddi.find(update.id)).toMatchObject({ status: 'COMPLETED', counts: { SUCCEEDED: 1 } });
  });

  it('costs so many statements: one to authenticate, one to find what there is to do, and no more than these', async () => {
    const { cabinet, firmware, id } = await ddi.givenOffered();
    const costs: Record<string, number> = {};
    const count = async (name: string, work: () => Promise<{ statusCode: number }>) => {
      takeStatements();
      expect((await work()).statusCode).toBeLessThan(400);
      costs[name] = takeStatements().length;
    };
    await count('poll', () => ddi.poll(cabinet));
    await count('deployment', () => ddi.deployment(cabinet, id));
    await count('deployment again', () => ddi.deployment(cabinet, id));
    await count('download', () => ddi.download(cabinet, firmware.id, 'firmware.bin'));
    await count('proceeding', () => ddi.feedback(cabinet, id, 'proceeding'));
    await count('closed', () => ddi.feedback(cabinet, id, 'closed', 'success'));
    await count('configData', () => ddi.configData(cabinet, { cabinet_version: firmware.version }));
    expect(costs).toEqual({
      poll: 2,
      deployment: 3,
      'deployment again': 2,
      download: 2,
      proceeding: 3,
      // BEGIN, locks, facts, executions, a move, the wish for attributes, COMMIT.
      closed: 9,
      // The same but for what there is to do, the attributes that hardware types are told in, and what the device runs.
      configData: 10,
    });
  });

  it('fails when the device says so, in its own words: 50 lines of 512 characters, the rest cut off', async () => {
    const { cabinet, id } = await ddi.givenTaken();
    const details = Array.from({ length: 80 }, (_, i) => `${i} ${'x'.repeat(600)}`);
    expect((await ddi.feedback(cabinet, id, 'closed', 'failure', details)).statusCode).toBe(200);
    const { status, reason, detail } = await ddi.execution(id);
    expect({ status, reason }).toEqual({ status: 'FAILED', reason: 'DEVICE_FAILED' });
    const lines = detail?.split('\n') ?? [];
    expect(lines).toHaveLength(50);
    expect(lines[49]).toBe(`49 ${'x'.repeat(509)}`);
  });

  it('keeps what the device said on its way when it fails, without links and tokens, and forgets it when it succeeds', async () => {
    const words = [
      'effective URL resolved to http://s3/x?X-Amz-Credential=AKIA%2Fs3&X-Amz-Signature=469b4f22&versionId=7',
      'Authorization: TargetToken abc',
      'Authentication of all signatures failed',
    ];
    const { cabinet, id } = await ddi.givenTaken();
    await ddi.feedback(cabinet, id, 'proceeding', 'none', ['an older word']);
    await ddi.feedback(cabinet, id, 'proceeding', 'none', words);
    await ddi.feedback(cabinet, id, 'proceeding');
    await ddi.feedback(cabinet, id, 'closed', 'failure', ['No suitable .swu image found']);
    expect((await ddi.execution(id)).detail).toBe(
      'No suitable .swu image found\n' +
        'effective URL resolved to http://s3/x?X-Amz-Credential=…&X-Amz-Signature=…&versionId=7\n' +
        'Authorization: TargetToken …\n' +
        'Authentication of all signatures failed',
    );

    const good = await ddi.givenTaken();
    await ddi.feedback(good.cabinet, good.id, 'proceeding', 'none', words);
    await ddi.feedback(good.cabinet, good.id, 'closed', 'success');
    await ddi.configData(good.cabinet, { cabinet_version: good.firmware.version });
    expect(await ddi.execution(good.id)).toMatchObject({ status: 'SUCCEEDED', detail: null });
  });

  it.each([
    ['text instead of a list', 'flash error', 'flash error'],
    ['nothing', undefined, null],
    ['an empty text', '', null],
    ['an empty line', [''], null],
    ['what is no text', [1, { a: true }, null], '1\n{"a":true}\nnull'],
    ['NUL and half characters', ['a\u0000b\ud800'], 'ab\ufffd'],
  ])('takes %s as the words of a device', async (_, details, kept) => {
    const { cabinet, id } = await ddi.givenTaken();
    expect((await ddi.feedback(cabinet, id, 'closed', 'failure', details)).statusCode).toBe(200);
    expect(await ddi.execution(id)).toMatchObject({ status: 'FAILED', detail: kept });
  });

  it('has failed when the device is done and runs something else, which it did not before', async () => {
    const { cabinet, id } = await ddi.givenTaken();
    await ddi.configData(cabinet, { cabinet_version: '0.8' });
    await ddi.feedback(cabinet, id, 'closed', 'success');
    clock.advance(1);
    await ddi.configData(cabinet, { cabinet_version: '0.9' });
    expect(await ddi.execution(id)).toMatchObject({ status: 'FAILED', reason: 'VERSION_MISMATCH' });
    expect(await ddi.runs(cabinet)).toMatchObject({ reported_version: '0.9' });
  });

  it('has not failed when the device tells its old version before its restart, however often, and is proven after it', async () => {
    const { cabinet, firmware, id } = await ddi.givenTaken();
    await ddi.configData(cabinet, { cabinet_version: '0.9' });
    await ddi.feedback(cabinet, id, 'closed', 'success');
    for (let poll = 0; poll < 3; poll += 1) {
      clock.advance(5);
      expect(linkedIn(await ddi.poll(cabinet))).toEqual({ configData: true });
      await ddi.configData(cabinet, { cabinet_version: '0.9' });
      await ddi.feedback(cabinet, id, 'closed', 'success');
      expect(await ddi.execution(id)).toMatchObject({ status: 'IN_PROGRESS', reason: 'AWAITING_PROOF' });
    }
    clock.advance(5);
    await ddi.configData(cabinet, { cabinet_version: firmware.version });
    expect(await ddi.execution(id)).toMatchObject({ status: 'SUCCEEDED' });
    expect(await ddi.runs(cabinet)).toMatchObject({ reported_version: firmware.version, firmware_update_time: 20 });
  });

  it('has not failed when what the device tells first of all is another version: it may be the old one', async () => {
    const { cabinet, firmware, id } = await ddi.givenTaken();
    await ddi.feedback(cabinet, id, 'closed', 'success');
    await ddi.configData(cabinet, { cabinet_version: '0.9' });
    expect(await ddi.execution(id)).toMatchObject({ status: 'IN_PROGRESS' });
    await ddi.configData(cabinet, { cabinet_version: firmware.version });
    expect(await ddi.execution(id)).toMatchObject({ status: 'SUCCEEDED' });
  });

  it('has failed at the deadline when the device is done and still runs what it ran: VERSION_MISMATCH', async () => {
    const { cabinet, id, message } = await ddi.givenTaken({ timeouts: { in_progress_minutes: 10 } });
    await ddi.configData(cabinet, { cabinet_version: '0.9' });
    await ddi.feedback(cabinet, id, 'closed', 'success');
    const next = await ddi.pass(message, 300);
    await ddi.configData(cabinet, { cabinet_version: '0.9' });
    await ddi.pass(next, 310);
    expect(await ddi.execution(id)).toMatchObject({ status: 'FAILED', reason: 'VERSION_MISMATCH', finished_dt: clock.now() });
  });

  it('has another try at the deadline when failures have one, and none when only silence has', async () => {
    const outcomes = [];
    for (const failure_types of [['FAILED'], ['TIMED_OUT']]) {
      const retry = { number_of_retries: 1, failure_types };
      const { cabinet, id, message } = await ddi.givenTaken({ timeouts: { in_progress_minutes: 1 }, retry });
      await ddi.configData(cabinet, { cabinet_version: '0.9' });
      await ddi.feedback(cabinet, id, 'closed', 'success');
      clock.advance(1);
      await ddi.configData(cabinet, { cabinet_version: '0.9' });
      await ddi.pass(message, 61);
      const { status, reason, retries } = await ddi.execution(id);
      outcomes.push({ status, reason, retries });
    }
    expect(outcomes).toEqual([
      { status: 'IN_PROGRESS', reason: 'RETRY: VERSION_MISMATCH', retries: 1 },
      { status: 'FAILED', reason: 'VERSION_MISMATCH', retries: 0 },
    ]);
  });

  it('ends the same in whatever order, and however often, closing, the old and the new version are told', async () => {
    const orders = permutations(['closed', 'closed', 'old', 'new']);
    for (const order of orders) {
      const { cabinet, firmware, id } = await ddi.givenTaken();
      await ddi.configData(cabinet, { cabinet_version: '0.9' });
      for (const word of order) {
        clock.advance(1);
        if (word === 'closed') await ddi.feedback(cabinet, id, 'closed', 'success');
        else await ddi.configData(cabinet, { cabinet_version: word === 'old' ? '0.9' : firmware.version });
      }
      expect(await ddi.execution(id), order.join(' ')).toMatchObject({ status: 'SUCCEEDED' });
    }
  });

  it('has not failed when the device tells its old version before it is done', async () => {
    const { cabinet, id } = await ddi.givenTaken();
    clock.advance(1);
    await ddi.configData(cabinet, { cabinet_version: '0.9' });
    expect(await ddi.execution(id)).toMatchObject({ status: 'IN_PROGRESS' });
    expect(await ddi.runs(cabinet)).toMatchObject({ reported_version: '0.9' });
  });

  it('is not proven by closing, nor by attributes without the version: TIMED_OUT at the deadline, which counts anew from closing', async () => {
    const { cabinet, id, message } = await ddi.givenTaken({ timeouts: { in_progress_minutes: 10 } });
    const closing = await ddi.pass(message, 540);
    await ddi.feedback(cabinet, id, 'closed', 'success');
    await ddi.configData(cabinet, { uptime: '5' });
    const next = await ddi.pass(closing, 590);
    expect(await ddi.execution(id)).toMatchObject({ status: 'IN_PROGRESS' });
    expect(linkedIn(await ddi.poll(cabinet))).toEqual({ configData: true });
    // Its deadline is past, and nobody has heard of it since.
    const silent = await ddi.pass(next, 20);
    expect(await ddi.execution(id)).toMatchObject({ status: 'IN_PROGRESS' });
    await ddi.pass(silent, 300, [cabinet]);
    expect(await ddi.execution(id)).toMatchObject({ status: 'TIMED_OUT', reason: 'NOT_CONFIRMED' });
  });

  it('is given up without a poll at ten times its deadline', async () => {
    const { id, message } = await ddi.givenTaken({ timeouts: { in_progress_minutes: 1 } });
    const next = await ddi.pass(message, 590);
    expect(await ddi.execution(id)).toMatchObject({ status: 'IN_PROGRESS' });
    await ddi.pass(next, 20);
    expect(await ddi.execution(id)).toMatchObject({ status: 'TIMED_OUT', reason: 'NOT_CONFIRMED' });
  });

  it('that is proven after its deadline is a late success', async () => {
    const { cabinet, firmware, id, message } = await ddi.givenTaken({ timeouts: { in_progress_minutes: 5 } });
    await ddi.pass(message, 301, [cabinet]);
    expect((await ddi.feedback(cabinet, id, 'closed', 'success')).statusCode).toBe(200);
    expect(linkedIn(await ddi.poll(cabinet))).toEqual({ configData: true });
    await ddi.configData(cabinet, { cabinet_version: firmware.version });
    expect(await ddi.execution(id)).toMatchObject({ status: 'TIMED_OUT', late_success_dt: clock.now() });
    expect(await ddi.runs(cabinet)).toMatchObject({ reported_version: firmware.version });
  });

  it('lasts as long as the device says that it is at work, but not for ever', async () => {
    const given = await ddi.givenTaken({ timeouts: { in_progress_minutes: 1 } });
    let { message } = given;
    for (let i = 0; i < 11; i += 1) {
      clock.advance(50);
      expect((await ddi.feedback(given.cabinet, given.id, 'proceeding', 'none', ['downloading'])).statusCode).toBe(200);
      message = await ddi.step(message);
      expect((await ddi.execution(given.id)).status).toBe('IN_PROGRESS');
    }
    clock.advance(55);
    await ddi.feedback(given.cabinet, given.id, 'proceeding');
    await ddi.step(message);
    expect(await ddi.execution(given.id)).toMatchObject({ status: 'TIMED_OUT' });
  });

  it('is REJECTED by a device that will not, and CANCELED by one that has stopped by itself', async () => {
    const first = await ddi.givenTaken();
    await ddi.feedback(first.cabinet, first.id, 'rejected', 'none', ['wrong board']);
    expect(await ddi.execution(first.id)).toMatchObject({ status: 'REJECTED', reason: 'DEVICE_REJECTED', detail: 'wrong board' });
    const second = await ddi.givenTaken();
    await ddi.feedback(second.cabinet, second.id, 'canceled', 'none');
    expect(await ddi.execution(second.id)).toMatchObject({ status: 'CANCELED', reason: 'DEVICE_CANCELED' });
  });

  it.each(['proceeding', 'scheduled', 'resumed', 'download', 'downloaded'])('%s says that the device is at work', async (word) => {
    const { cabinet, id } = await ddi.givenTaken();
    clock.advance(30);
    expect((await ddi.feedback(cabinet, id, word)).statusCode).toBe(200);
    expect(await ddi.execution(id)).toMatchObject({ status: 'IN_PROGRESS', progress_dt: clock.now() });
  });

  it('has the word of a device for its proof where the hardware type says so, and records that', async () => {
    const { cabinet, firmware, id } = await ddi.givenTaken();
    await db.updateTable('hardware_types').set({ proof: 'feedback' }).where('name', '=', 'cabinet').execute();
    clock.advance(12);
    await ddi.feedback(cabinet, id, 'closed', 'success');
    await db.updateTable('hardware_types').set({ proof: 'version' }).where('name', '=', 'cabinet').execute();
    expect(await ddi.execution(id)).toMatchObject({ status: 'SUCCEEDED' });
    expect(await ddi.runs(cabinet)).toEqual({ reported_version: firmware.version, source: 'feedback', firmware_update_time: 12 });
  });

  it.each([
    ['an unknown word', { finished: 'failed' }, 'failed'],
    ['no result', undefined, 'nothing'],
    ['a result without a word', {}, 'nothing'],
  ])(
    'closed with %s is a failure in the words of the device, also where its word is believed, and answered 200',
    async (_, result, sent) => {
      await db.updateTable('hardware_types').set({ proof: 'feedback' }).where('name', '=', 'cabinet').execute();
      const { cabinet, id } = await ddi.givenTaken();
      const body = { status: { execution: 'closed', result, details: ['flash failed'] } };
      const { statusCode } = await ddi.feedback(cabinet, id, 'closed', 'none', [], { body });
      await db.updateTable('hardware_types').set({ proof: 'version' }).where('name', '=', 'cabinet').execute();
      expect(statusCode).toBe(200);
      expect(await ddi.execution(id)).toMatchObject({
        status: 'FAILED',
        reason: 'DEVICE_FAILED',
        detail: `closed, but result.finished is neither success, failure nor none: ${sent}\nflash failed`,
      });
      expect(await ddi.runs(cabinet)).toBeUndefined();
    },
  );

  it('closed with none is a success, as hawkBit has it, also where the word of the device is its proof', async () => {
    await db.updateTable('hardware_types').set({ proof: 'feedback' }).where('name', '=', 'cabinet').execute();
    const { cabinet, id } = await ddi.givenTaken();
    await ddi.feedback(cabinet, id, 'closed', 'none');
    await db.updateTable('hardware_types').set({ proof: 'version' }).where('name', '=', 'cabinet').execute();
    expect(await ddi.execution(id)).toMatchObject({ status: 'SUCCEEDED' });
  });

  it.each([
    ['an unknown execution word', { execution: 'dancing', result: { finished: 'success' } }, 'status.execution'],
    ['no execution word', { result: { finished: 'success' } }, 'status.execution'],
    ['no status', undefined, 'status'],
  ])('%s is refused by name and changes nothing', async (_, status, path) => {
    const { cabinet, id } = await ddi.givenTaken();
    const before = await ddi.execution(id);
    const answer = await ddi.feedback(cabinet, id, 'closed', 'none', [], { body: { id: String(id), status } });
    expect(answer).toMatchObject({ statusCode: 400, body: { code: 'request.invalid', errors: [{ in: 'body', path }] } });
    expect(await ddi.execution(id)).toEqual(before);
  });

  it('has its version told in the attribute that the hardware type names', async () => {
    const { cabinet, firmware, id } = await ddi.givenTaken();
    await db.updateTable('hardware_types').set({ version_attribute: 'sw.version' }).where('name', '=', 'cabinet').execute();
    await ddi.feedback(cabinet, id, 'closed', 'success');
    await ddi.configData(cabinet, { 'sw.version': firmware.version, cabinet_version: 'not this' });
    await db.updateTable('hardware_types').set({ version_attribute: null }).where('name', '=', 'cabinet').execute();
    expect(await ddi.execution(id)).toMatchObject({ status: 'SUCCEEDED' });
  });
});

describe('feedback that comes late, again, or out of turn', () => {
  it('is taken and changes nothing, whatever it says of an execution that has ended', async () => {
    const { cabinet, id } = await ddi.givenTaken();
    await ddi.feedback(cabinet, id, 'closed', 'failure', ['first']);
    const ended = await ddi.execution(id);
    for (const [word, finished] of [
      ['closed', 'success'],
      ['closed', 'failure'],
      ['proceeding', 'none'],
      ['canceled', 'none'],
      ['rejected', 'none'],
    ] as const) {
      expect((await ddi.feedback(cabinet, id, word, finished)).statusCode).toBe(200);
      expect((await ddi.cancelFeedback(cabinet, id, word, finished)).statusCode).toBe(200);
    }
    expect(await ddi.execution(id)).toEqual(ended);
  });

  it('closes once, however often and in however many calls at once it closes', async () => {
    const { cabinet, id } = await ddi.givenTaken();
    const answers = await Promise.all(Array.from({ length: 8 }, () => ddi.feedback(cabinet, id, 'closed', 'success')));
    expect(answers.map(({ statusCode }) => statusCode)).toEqual(Array(8).fill(200));
    const closed = await ddi.execution(id);
    clock.advance(10);
    await ddi.feedback(cabinet, id, 'closed', 'success');
    expect(await ddi.execution(id)).toEqual(closed);
  });

  it('costs one try and not two when a failure is told twice', async () => {
    const { cabinet, id, message } = await ddi.givenTaken({ retry: { number_of_retries: 2 } });
    await Promise.all([1, 2, 3].map(() => ddi.feedback(cabinet, id, 'closed', 'failure', ['flash'])));
    await ddi.feedback(cabinet, id, 'closed', 'failure', ['flash']);
    expect(await ddi.execution(id)).toMatchObject({ status: 'IN_PROGRESS', retries: 1, reason: 'RETRY: DEVICE_FAILED', detail: 'flash' });
    expect(linkedIn(await ddi.poll(cabinet))).not.toHaveProperty('deploymentBase');
    clock.advance(61);
    await ddi.step(message);
    expect(linkedIn(await ddi.poll(cabinet))).toMatchObject({ deploymentBase: id });
    // Once more while it is offered again: it is still about the first try.
    await ddi.feedback(cabinet, id, 'closed', 'failure', ['flash']);
    expect(await ddi.execution(id)).toMatchObject({ retries: 1 });
    await ddi.deployment(cabinet, id);
    await ddi.feedback(cabinet, id, 'closed', 'failure', ['again']);
    expect(await ddi.execution(id)).toMatchObject({ status: 'IN_PROGRESS', retries: 2, detail: 'again' });
  });

  it('does not end the next try when a failure is told again after that was taken, as its timestamp says', async () => {
    const { cabinet, id, message } = await ddi.givenTaken({ retry: { number_of_retries: 2 } });
    clock.advance(5);
    const fail = (timestamp: unknown, detail: string) => {
      const status = { execution: 'closed', result: { finished: 'failure' }, details: [detail] };
      return ddi.feedback(cabinet, id, 'closed', 'failure', [], { body: { timestamp, status } });
    };
    const first = clock.now().getTime();
    await fail(first, 'first');
    expect(await ddi.execution(id)).toMatchObject({ retries: 1, detail: 'first' });
    clock.advance(61);
    await ddi.step(message);
    await ddi.deployment(cabinet, id);
    clock.advance(5);
    expect((await fail(first, 'first')).statusCode).toBe(200);
    expect(await ddi.execution(id)).toMatchObject({ status: 'IN_PROGRESS', phase: 'asked', retries: 1 });
    await fail(clock.now().getTime(), 'second');
    expect(await ddi.execution(id)).toMatchObject({ phase: 'waiting', retries: 2, detail: 'second' });
  });

  it.each([
    ['is no number', 'yesterday'],
    ['is of no year that there is', 9e15],
    ['is that of a clock that was never set', 0],
    ['is that of a clock that is slow, at the first try', startOfTime.getTime() - 600_000],
  ])('ends the try at work all the same when its timestamp %s', async (_, timestamp) => {
    const { cabinet, id } = await ddi.givenTaken();
    const status = { execution: 'closed', result: { finished: 'failure' }, details: ['flash'] };
    await ddi.feedback(cabinet, id, 'closed', 'failure', [], { body: { timestamp, status } });
    expect(await ddi.execution(id)).toMatchObject({ status: 'FAILED', detail: 'flash' });
  });

  it('is nothing before the device has come for its work', async () => {
    const { cabinet, id } = await ddi.givenOffered();
    expect((await ddi.feedback(cabinet, id, 'closed', 'failure')).statusCode).toBe(200);
    expect(await ddi.execution(id)).toMatchObject({ status: 'QUEUED' });
  });

  it('does not let the word of a device that is believed bring back a version that it has left since', async () => {
    await db.updateTable('hardware_types').set({ proof: 'feedback' }).where('name', '=', 'cabinet').execute();
    const { cabinet, firmware, id } = await ddi.givenTaken();
    await ddi.feedback(cabinet, id, 'closed', 'success');
    const { givenFirmware } = await import('../../support/fixtures.ts');
    const newer = await givenFirmware(db, { hardware_type: 'cabinet' });
    await ddi.request({ firmware_id: newer.id, targets: { kind: 'cabinet', external_ids: [cabinet.external_id] } });
    const [message] = ddi.deps.advances.take();
    await ddi.step(message);
    const second = Number(linkedIn(await ddi.poll(cabinet))['deploymentBase']);
    await ddi.deployment(cabinet, second);
    clock.advance(5);
    await ddi.feedback(cabinet, second, 'closed', 'success');
    clock.advance(5);
    expect((await ddi.feedback(cabinet, id, 'closed', 'success')).statusCode).toBe(200);
    await db.updateTable('hardware_types').set({ proof: 'version' }).where('name', '=', 'cabinet').execute();
    expect(firmware.version).not.toBe(newer.version);
    expect(await ddi.runs(cabinet)).toMatchObject({ reported_version: newer.version });
  });
});

describe('attributes', () => {
  it('of any kind are taken; a version is learned from them without any update', async () => {
    const [cabinet] = await ddi.givenPolling();
    if (!cabinet) throw new Error('no device');
    const data = { cabinet_version: '7.7', serial: 5, nested: { a: [1] }, yandex_iot_version: 'not of a cabinet', empty: null };
    expect((await ddi.configData(cabinet, data, { body: { data, id: '', time: 'x', status: {}, mode: 'merge' } })).statusCode).toBe(200);
    expect(await ddi.runs(cabinet)).toMatchObject({ reported_version: '7.7', source: 'config_data' });
    expect(await ddi.runs(cabinet, 'yandex_iot')).toBeUndefined();
  });

  it('that name a version that can be none are refused, and named', async () => {
    const [cabinet] = await ddi.givenPolling();
    if (!cabinet) throw new Error('no device');
    const answer = await ddi.configData(cabinet, { cabinet_version: 'x'.repeat(65) });
    expect(answer).toMatchObject({ statusCode: 400, body: { errors: [{ in: 'body', path: 'data.cabinet_version' }] } });
    expect(await ddi.runs(cabinet)).toBeUndefined();
  });

  it('win over what the backend says of the same moment', async () => {
    const [cabinet] = await ddi.givenPolling();
    if (!cabinet) throw new Error('no device');
    await ddi.configData(cabinet, { cabinet_version: '2.0' });
    const { recordReports } = await import('../../../lib/report/record-reports.ts');
    const report = {
      kind: 'cabinet',
      external_id: cabinet.external_id,
      hardware_type: 'cabinet',
      version: '9.9',
      status: 'SUCCEEDED',
    } as const;
    await db
      .transaction()
      .execute((trx) => recordReports(trx, [{ ...report, occurred_dt: clock.now(), source: 'observation' }], clock.now()));
    expect(await ddi.runs(cabinet)).toMatchObject({ reported_version: '2.0', source: 'config_data' });
  });
});

const permutations = <T>(items: readonly T[]): T[][] =>
  items.length === 0 ? [[]] : items.flatMap((item, i) => permutations(items.toSpliced(i, 1)).map((rest) => [item, ...rest]));
