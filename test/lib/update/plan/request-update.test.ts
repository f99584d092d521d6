import { sql } from 'kysely';
import { beforeEach, describe, expect, it } from 'vitest';
import { addSeconds } from '../../../../lib/clock.ts';
import { insertDraft } from '../../../../lib/firmware/draft-queries.ts';
import { hashOf } from '../../../../lib/http/idempotency.ts';
import type { Queue } from '../../../../lib/ports/queue.ts';
import type { AdvanceMessage } from '../../../../lib/update/messages.ts';
import { changePace } from '../../../../lib/update/walk/control-update.ts';
import { createTestDatabase } from '../../../support/database.ts';
import { actor, confirmation, givenDevices, givenFirmware, startOfTime } from '../../../support/fixtures.ts';
import { createRandom, createUpdateService, failsAfter, type UpdateService } from '../../../support/update-service.ts';

const { db, takeStatements } = await createTestDatabase({ maxConnections: 20 });
let service: UpdateService;
beforeEach(() => {
  service = createUpdateService(db);
});

const countUpdates = async () => (await db.selectFrom('updates').select('id').execute()).length;
const settled = async <T>(work: Promise<T>[]) => {
  const outcomes = await Promise.allSettled(work);
  return {
    answers: outcomes.flatMap((o) => (o.status === 'fulfilled' ? [o.value] : [])),
    errors: outcomes.flatMap((o) => (o.status === 'rejected' ? [o.reason as unknown] : [])),
  };
};

describe('requests at one moment', () => {
  it('50 identical ones with one key: one update, one execution per device, each sends its message, all answers the same', async () => {
    const firmware = await givenFirmware(db);
    const external_ids = await givenDevices(db, 20);
    const before = await countUpdates();
    const { answers, errors } = await settled(
      Array.from({ length: 50 }, (_, i) =>
        service.request(
          { firmware_id: firmware.id, targets: { external_ids } },
          { idempotency_key: 'fifty', request_id: `request-of-try-${i}` },
        ),
      ),
    );
    expect(errors).toEqual([]);
    expect(answers).toHaveLength(50);
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(answers[0]).toMatchObject({ status: 'SCHEDULED', counts: { QUEUED: 20 } });
    expect(await countUpdates()).toBe(before + 1);
    expect(await service.executions(answers[0]?.id ?? 0)).toHaveLength(20);
    // The first one's message may be lost, so that each request sends it.
    const { sent } = service.deps.advances;
    expect(sent).toHaveLength(50);
    for (const message of sent) expect(message).toMatchObject({ update_id: answers[0]?.id, step: 0 });
  });

  it('50 identical ones without a key: one wins, the others are told that all devices have an update in flight', async () => {
    const firmware = await givenFirmware(db);
    const external_ids = await givenDevices(db, 20);
    const before = await countUpdates();
    const { answers, errors } = await settled(
      Array.from({ length: 50 }, () => service.request({ firmware_id: firmware.id, targets: { external_ids } })),
    );
    expect(answers).toHaveLength(1);
    expect(errors).toHaveLength(49);
    for (const error of errors) {
      expect(error).toMatchObject({
        code: 'update.nothing_eligible',
        options: { answer: { not_eligible: { UPDATE_IN_FLIGHT: 20 } } },
      });
    }
    expect(await countUpdates()).toBe(before + 1);
    expect(service.deps.advances.sent).toHaveLength(1);
  });

  it('overlapping ones in opposite orders never wait in a circle, and no device is in two of them', async () => {
    const random = createRandom(20_261_124);
    for (let round = 0; round < 20; round += 1) {
      const firmware = await givenFirmware(db);
      const external_ids = await givenDevices(db, 60);
      const { answers, errors } = await settled(
        [
          external_ids,
          external_ids.toReversed(),
          random.shuffled(external_ids).slice(0, 40),
          random.shuffled(external_ids).slice(0, 40),
        ].map((some) => service.request({ firmware_id: firmware.id, targets: { external_ids: some } })),
      );
      for (const error of errors) expect(error).toMatchObject({ code: 'update.nothing_eligible' });
      expect(answers.length).toBeGreaterThanOrEqual(1);
      const taken = (await Promise.all(answers.map(({ id }) => service.executions(id)))).flat();
      expect(taken.length).toBe(new Set(taken.map(({ device_id }) => device_id)).size);
      // What each answer says adds up to what it asked for.
      for (const { counts, not_eligible, id } of answers) {
        expect(counts['QUEUED']).toBe((await service.executions(id)).length);
        expect([40, 60]).toContain((counts['QUEUED'] ?? 0) + (not_eligible.UPDATE_IN_FLIGHT ?? 0));
      }
    }
  });

  it('two kinds of firmware on the same devices do not hinder each other', async () => {
    const one = await givenFirmware(db);
    const other = await givenFirmware(db, { hardware_type: 'vega_gsm' });
    const external_ids = await givenDevices(db, 10);
    const { errors } = await settled([
      service.request({ firmware_id: one.id, targets: { external_ids } }),
      service.request({ firmware_id: other.id, targets: { external_ids: external_ids.toReversed() } }),
    ]);
    expect(errors).toEqual([]);
  });
});

describe('an idempotency key', () => {
  const given = async () => {
    const firmware = await givenFirmware(db);
    const external_ids = await givenDevices(db, 2);
    const body = { firmware_id: firmware.id, targets: { external_ids } };
    const key = { idempotency_key: `key-${firmware.id}` };
    return { firmware, external_ids, body, key, first: await service.request(body, key) };
  };

  it('with another body is refused, names the update it belongs to, and changes nothing', async () => {
    const { body, key, first } = await given();
    for (const other of [
      { ...body, comment: 'other' },
      { ...body, allow_downgrade: true, comment: 'why not' },
      { ...body, rollout: { maximum_per_minute: 1 } },
      { ...body, firmware_id: 2_000_000_000 },
    ]) {
      await expect(service.request(other, key)).rejects.toMatchObject({
        code: 'update.idempotency_key_reused',
        options: { answer: { update_id: first.id } },
      });
    }
    expect(service.deps.advances.sent).toHaveLength(1);
  });

  it('means the same body after a deployment: what a release without windows and budgets has stored of it is found again', async () => {
    const { firmware, external_ids, body, key, first } = await given();
    // The request as such a release read it, with the defaults that it knew.
    const formerly = {
      targets: { kind: 'scooter', external_ids },
      ...{ firmware_id: firmware.id, start_dt: null, allow_downgrade: false, force: false, comment: '' },
      rollout: { maximum_per_minute: 30_000, maximum_in_progress: null, exponential: null },
      abort: [{ failure_types: ['FAILED', 'TIMED_OUT', 'REJECTED'], threshold_percentage: 10, minimum_executions: 100, action: 'ABORT' }],
      timeouts: { queued_minutes: 10_080, in_progress_minutes: 60 },
      retry: { number_of_retries: 0, failure_types: ['FAILED', 'TIMED_OUT'] },
      unknown_version: 'INCLUDE',
      canary: null,
    };
    await db
      .updateTable('updates')
      .set({ request_hash: hashOf(formerly) })
      .where('id', '=', first.id)
      .execute();
    expect(await service.request(body, key)).toEqual(first);
    await expect(service.request({ ...body, rollout: { maximum_unavailable_percentage: 99 } }, key)).rejects.toMatchObject({
      code: 'update.idempotency_key_reused',
    });
  });

  it('means the same body however it is written: order of fields, defaults spelled out', async () => {
    const { firmware, external_ids, key, first } = await given();
    const again = await service.request(
      {
        comment: '',
        allow_downgrade: false,
        rollout: { maximum_in_progress: null, maximum_per_minute: 30_000 },
        targets: { external_ids, kind: 'scooter' },
        firmware_id: firmware.id,
      },
      key,
    );
    expect(again).toEqual(first);
  });

  it('gets the same answer after the update has ended, the fleet has changed, and the firmware is withdrawn', async () => {
    const { firmware, external_ids, body, key, first } = await given();
    for (const message of service.deps.advances.take()) await service.advance(message);
    for (const message of service.deps.dispatches.take()) await service.dispatch(message);
    await service.confirmAsked(firmware.version);
    for (const message of service.deps.advances.take()) await service.advance(message);
    expect((await service.find(first.id)).status).toBe('COMPLETED');
    await service.confirm(confirmation({ external_id: external_ids[0] ?? '', version: 'other', occurred_dt: addSeconds(startOfTime, 60) }));
    await db.updateTable('firmwares').set({ status: 'withdrawn', reason: 'bricks' }).where('id', '=', firmware.id).execute();
    service.clock.advance(86_400);

    expect(await service.request(body, { ...key, request_id: 'request-2' })).toEqual(first);
    expect(service.deps.advances.sent).toEqual([]);
    await expect(service.request({ ...body, comment: 'x' }, key)).rejects.toMatchObject({ code: 'update.idempotency_key_reused' });
  });

  it('gets the first answer, word for word, also after the pace of the update was changed', async () => {
    const { body, key, first } = await given();
    await changePace(
      service.deps,
      first.id,
      {
        maximum_per_minute: 7,
        maximum_in_progress: 3,
        exponential: { base_per_minute: 2, increment_factor: 1.5, after_succeeded: 10 },
      },
      actor,
    );
    expect(await service.find(first.id)).toMatchObject({ rollout: { maximum_per_minute: 7 } });
    const again = await service.request(body, key);
    expect(again).toEqual(first);
    expect(JSON.stringify(again)).toBe(JSON.stringify(first));
  });

  it('gets an answer made of the update where a release before has not kept the first one', async () => {
    const { body, key, first } = await given();
    await db.updateTable('updates').set({ answer: null }).where('id', '=', first.id).execute();
    expect(await service.request(body, key)).toEqual(first);
  });

  it('belongs to its caller: another one may use the same', async () => {
    const { firmware, key, first } = await given();
    const external_ids = await givenDevices(db, 1);
    const other = await service.request({ firmware_id: firmware.id, targets: { external_ids } }, { ...key, created_by: 'another' });
    expect(other.id).not.toBe(first.id);
    expect(other.created_by).toBe('another');
  });

  it('is not used up by a request that failed', async () => {
    const firmware = await givenFirmware(db);
    const external_ids = await givenDevices(db, 1);
    const body = { firmware_id: firmware.id, targets: { external_ids } };
    const key = { idempotency_key: 'failed-first' };
    service.deps.advances.failures = 1;
    await expect(service.request(body, key)).rejects.toMatchObject({ code: 'queue.unavailable' });
    await expect(service.request({ ...body, targets: { external_ids: ['nobody'] } }, key)).rejects.toMatchObject({
      code: 'update.nothing_eligible',
    });
    expect(await service.request(body, key)).toMatchObject({ counts: { QUEUED: 1 } });
  });
});

describe('a crash in request-update', () => {
  const stored = async () => [
    await countUpdates(),
    (await db.selectFrom('update_executions').select('id').execute()).length,
    (await db.selectFrom('update_exclusions').select('external_id').execute()).length,
  ];

  it('when the message cannot be sent: nothing is stored, the devices are free for the next request', async () => {
    const firmware = await givenFirmware(db);
    const external_ids = await givenDevices(db, 3);
    const body = { firmware_id: firmware.id, targets: { external_ids: [...external_ids, 'nobody'] } };
    const before = await stored();
    service.deps.advances.failures = 1;
    await expect(service.request(body)).rejects.toMatchObject({ code: 'queue.unavailable' });
    expect(await stored()).toEqual(before);
    expect(await service.request(body)).toMatchObject({ counts: { QUEUED: 3 } });
  });

  it.each([
    ['the send is taken but its answer lost', (queue: Queue<AdvanceMessage>) => failsAfter(queue, 1)],
    [
      'the connection is lost between the send and the commit',
      (queue: Queue<AdvanceMessage>): Queue<AdvanceMessage> => ({
        async send(messages, options) {
          await queue.send(messages, options);
          await sql`
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND state LIKE 'idle in transaction%'`.execute(db);
        },
      }),
    ],
  ])('when %s: nothing is stored; the message looks for the update for a minute and is dropped', async (_, crash) => {
    const firmware = await givenFirmware(db);
    const external_ids = await givenDevices(db, 3);
    const body = { firmware_id: firmware.id, targets: { external_ids } };
    const before = await stored();
    await expect(service.request(body, {}, { advances: crash(service.deps.advances) })).rejects.toThrow();
    expect(await stored()).toEqual(before);

    let messages: unknown[] = service.deps.advances.take();
    expect(messages).toHaveLength(1);
    for (let seconds = 0; seconds <= 60; seconds += 2) {
      expect(messages).toHaveLength(1);
      for (const message of messages) await service.advance(message);
      messages = service.deps.advances.take();
      service.clock.advance(2);
    }
    expect(messages).toEqual([]);
    expect(service.deps.dispatches.sent).toEqual([]);
    expect(await service.request(body)).toMatchObject({ counts: { QUEUED: 3 } });
  });

  it('never lets the walk begin before the commit, even when the message is delivered at once', async () => {
    const firmware = await givenFirmware(db);
    const external_ids = await givenDevices(db, 1);
    const early: Queue<AdvanceMessage> = {
      async send(messages, options) {
        await service.deps.advances.send(messages, options);
        for (const message of service.deps.advances.take()) await service.advance(message);
      },
    };
    const update = await service.request({ firmware_id: firmware.id, targets: { external_ids } }, {}, { advances: early });
    expect(service.deps.dispatches.sent).toEqual([]);
    for (const message of service.deps.advances.take()) await service.advance(message);
    expect(service.deps.dispatches.sent).toHaveLength(1);
    expect((await service.find(update.id)).status).toBe('IN_PROGRESS');
  });
});

describe('a firmware that cannot be used', () => {
  it('unknown: refused, naming the field', async () => {
    const external_ids = await givenDevices(db, 1);
    await expect(service.request({ firmware_id: 2_000_000_000, targets: { external_ids } })).rejects.toMatchObject({
      code: 'firmware.not_available',
      options: { errors: [{ in: 'body', path: 'firmware_id' }] },
    });
  });

  it.each([
    ['withdrawn', 'bricks'],
    ['rejected', 'The file is empty'],
    ['awaiting_upload', null],
  ])('%s: refused with its status', async (status, reason) => {
    const external_ids = await givenDevices(db, 1);
    const draft = await insertDraft(db, {
      hardware_type: 'vega_mcu',
      version: `unusable ${status}`,
      object_key: `firmwares/vega_mcu/unusable-${status}/a.bin`,
      size_bytes: 1,
      sha256: null,
      comment: '',
      created_by: 'test',
      created_dt: startOfTime,
    });
    const id = draft?.id ?? 0;
    if (status === 'withdrawn') {
      const firmware = await givenFirmware(db);
      await db.updateTable('firmwares').set({ status, reason }).where('id', '=', firmware.id).execute();
      await expect(service.request({ firmware_id: firmware.id, targets: { external_ids } })).rejects.toMatchObject({
        code: 'firmware.not_available',
        options: { answer: { firmware_status: status } },
      });
    }
    await db
      .updateTable('firmwares')
      .set({ status: status === 'withdrawn' ? 'rejected' : status, reason })
      .where('id', '=', id)
      .execute();
    await expect(service.request({ firmware_id: id, targets: { external_ids } })).rejects.toMatchObject({ code: 'firmware.not_available' });
    expect(service.deps.advances.sent).toEqual([]);
  });
});

describe('a large fleet', () => {
  it('30,000 devices by a filter: one statement more than for one that is named, messages that do not grow, and a walk that begins at once', async () => {
    const firmware = await givenFirmware(db, { hardware_type: 'audio_lock' });
    const small = await givenFirmware(db, { hardware_type: 'audio_unlock' });
    await sql`
      INSERT INTO devices (kind, external_id, version, channel, created_dt)
      SELECT 'scooter', 'L-' || n, 2, 'telematics', ${startOfTime} FROM generate_series(1, 30000) n`.execute(db);
    const [one = ''] = await givenDevices(db, 1);

    await db.selectFrom('updates').select('id').limit(1).execute();
    takeStatements();
    await service.request({ firmware_id: small.id, targets: { external_ids: [one] } });
    const forOne = takeStatements().length;
    const update = await service.request({
      firmware_id: firmware.id,
      targets: { filter: { version: 2 } },
      rollout: { maximum_per_minute: 1_000_000 },
    });
    // It asks whether the filter means more devices than one statement plans.
    expect(takeStatements()).toHaveLength(forOne + 1);
    // One of them is the line of the audit.
    expect(forOne).toBeLessThanOrEqual(9);
    expect(update.counts['QUEUED']).toBe(30_000);

    const messages = service.deps.advances.take();
    expect(messages).toHaveLength(2);
    expect(JSON.stringify(messages[1]).length).toBeLessThan(200);
    await service.advance(messages[1]);
    expect(service.deps.dispatches.sent).toHaveLength(100);
    expect(JSON.stringify(service.deps.dispatches.sent[0]).length).toBeLessThan(100);
  }, 60_000);
});
