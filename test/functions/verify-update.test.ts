import type { SQSEvent } from 'aws-lambda';
import { beforeEach, describe, expect, it } from 'vitest';
import { createHandler } from '../../functions/verify-update/handler.ts';
import { createDatabase } from '../../lib/db/database.ts';
import { BackendRefusal, BackendUnavailable, type DeviceVersions } from '../../lib/ports/backend.ts';
import { openGate } from '../../lib/update/backend-gate.ts';
import type { VerifyMessage } from '../../lib/update/messages.ts';
import { createTestDatabase } from '../support/database.ts';
import { givenDevices, givenFirmware, silentLog, startOfTime } from '../support/fixtures.ts';
import { createContext } from '../support/http.ts';
import { InMemoryBackend } from '../support/in-memory-backend.ts';
import { InMemoryQueue } from '../support/in-memory-queue.ts';
import { createSimulatedWalk } from '../support/simulated-walk.ts';

const { db, takeStatements } = await createTestDatabase();

beforeEach(async () => {
  await db.updateTable('backend_gate').set(openGate(startOfTime)).execute();
});

const eventOf = (...bodies: unknown[]): SQSEvent =>
  ({
    Records: bodies.map((body, i) => ({ messageId: `m-${i}`, body: typeof body === 'string' ? body : JSON.stringify(body) })),
  }) as unknown as SQSEvent;

/** A chunk of devices that were asked and have not reported, a minute ago. */
const given = async (devices = 3) => {
  const walk = createSimulatedWalk(db);
  walk.backend.behave = () => ({ seconds: 0, result: 'dead' });
  const firmware = await givenFirmware(db);
  const external_ids = await givenDevices(db, devices);
  const { id } = await walk.request({ firmware_id: firmware.id, targets: { external_ids }, canary: null, abort: [] });
  await walk.run({ seconds: 50 });
  const [execution] = await walk.executions(id);
  const backend = new InMemoryBackend();
  const verifications = new InMemoryQueue<VerifyMessage>();
  const handler = createHandler({ db, backend, verifications, log: silentLog, now: walk.clock.now });
  const observed_dt = walk.clock.now().toISOString();
  const runs = (external_id: string, version: string, observed = observed_dt): DeviceVersions & { kind: string } => ({
    kind: 'scooter',
    external_id,
    version: 1,
    firmwares: [{ hardware_type: 'vega_mcu', version, since_dt: observed, observed_dt: observed }],
  });
  const message = { dispatch_id: execution?.dispatch_id };
  return {
    ...walk,
    id,
    firmware,
    external_ids,
    asked: backend,
    runs,
    message,
    verify: (...messages: unknown[]) => handler(eventOf(...(messages.length > 0 ? messages : [message])), createContext(), () => {}),
    statuses: async () => (await walk.executions(id)).map(({ status }) => status),
  };
};

describe('verify-update', () => {
  it('a device that runs a slightly different version is marked at once, and stays marked to its end', async () => {
    const { verify, asked, runs, external_ids, firmware, executions, id, clock } = await given(2);
    const [near = '', other = ''] = external_ids;
    asked.fleet.push(runs(near, `v${firmware.version}`), runs(other, '0.0.1'));
    await verify();
    const details = async () => Object.fromEntries((await executions(id)).map((e) => [e.device_id, e.detail]));
    const wanted = `wanted ${firmware.version}, reports v${firmware.version} (differs only by a leading v)`;
    expect(Object.values(await details())).toEqual([wanted, null]);
    // Seen again, it is not said again.
    clock.advance(60);
    asked.fleet.splice(0, 1, runs(near, `v${firmware.version}`, clock.now().toISOString()));
    await verify();
    expect(Object.values(await details())).toEqual([wanted, null]);
  });

  it('succeeds the devices that run the version wanted, and leaves the others as they are', async () => {
    const { verify, asked, runs, firmware, external_ids, executions, id } = await given();
    const [first = '', second = ''] = external_ids;
    asked.fleet.push(runs(first, firmware.version), runs(second, '0.0.1'));
    expect(await verify()).toEqual({ batchItemFailures: [] });
    expect(await executions(id)).toMatchObject([
      { status: 'SUCCEEDED', reason: null },
      { status: 'IN_PROGRESS', reason: null, retries: 0 },
      { status: 'IN_PROGRESS', reason: null },
    ]);
    const known = await db
      .selectFrom('device_firmwares as r')
      .innerJoin('devices as d', 'd.id', 'r.device_id')
      .select(['d.external_id', 'r.reported_version', 'r.source'])
      .where('d.external_id', 'in', external_ids)
      .orderBy('r.device_id')
      .execute();
    expect(known).toEqual([
      { external_id: first, reported_version: firmware.version, source: 'observation' },
      { external_id: second, reported_version: '0.0.1', source: 'observation' },
    ]);
  });

  it('asks once for the whole chunk, only about those not proven, and not at all when there are none', async () => {
    const { verify, asked, runs, firmware, external_ids, message } = await given();
    asked.fleet.push(...external_ids.slice(1).map((external_id) => runs(external_id, firmware.version)));
    await verify();
    await verify();
    expect(asked.questions.map((question) => question.external_ids.toSorted())).toEqual([
      external_ids.toSorted(),
      external_ids.slice(0, 1),
    ]);
    asked.fleet.push(runs(external_ids[0] as string, firmware.version));
    await verify(message, message);
    await verify();
    expect(asked.questions.length).toBeLessThanOrEqual(4);
  });

  it('costs as many statements for 100 devices as for 2', async () => {
    const costs: number[] = [];
    for (const devices of [2, 100]) {
      const { verify, asked, runs, firmware, external_ids, statuses } = await given(devices);
      asked.fleet.push(...external_ids.map((external_id) => runs(external_id, firmware.version)));
      takeStatements();
      await verify();
      costs.push(takeStatements().length);
      expect(new Set(await statuses())).toEqual(new Set(['SUCCEEDED']));
    }
    expect(costs[0]).toBe(costs[1]);
  });

  it.each([
    ['does not answer', new BackendUnavailable('backend answered 503')],
    ['refuses', new BackendRefusal('backend answered 400')],
  ])('of a backend that %s changes nothing and hands nothing back: the next look-up asks again', async (_name, failure) => {
    const { verify, asked, executions, id } = await given();
    const before = await executions(id);
    asked.failure = failure;
    expect(await verify()).toEqual({ batchItemFailures: [] });
    expect(await executions(id)).toEqual(before);
  });

  it('takes nothing that is malformed for a version, and keeps the rest', async () => {
    const { verify, asked, runs, firmware, external_ids, statuses } = await given();
    const [first = '', second = '', third = ''] = external_ids;
    asked.fleet.push(runs(first, ''), runs(second, firmware.version, 'yesterday'), runs(third, firmware.version));
    expect(await verify()).toEqual({ batchItemFailures: [] });
    expect(await statuses()).toEqual(['IN_PROGRESS', 'IN_PROGRESS', 'SUCCEEDED']);
  });

  it('does not undo what a device says meanwhile: failed while the backend was asked stays failed', async () => {
    const { verify, asked, runs, firmware, external_ids, executions, id } = await given(1);
    const [external_id = ''] = external_ids;
    asked.fleet.push(runs(external_id, firmware.version));
    asked.duringQuestion = async () => {
      await db
        .updateTable('update_executions')
        .set({ status: 'CANCELED', reason: 'UPDATE_CANCELED', finished_dt: startOfTime })
        .where('update_id', '=', id)
        .execute();
    };
    await verify();
    expect(await executions(id)).toMatchObject([{ status: 'CANCELED', late_success_dt: expect.any(Date) }]);
  });

  it('ten times at once ends every device once', async () => {
    const { verify, asked, runs, firmware, external_ids, executions, id } = await given(50);
    asked.fleet.push(...external_ids.map((external_id) => runs(external_id, firmware.version)));
    const answers = await Promise.all(Array.from({ length: 10 }, () => verify()));
    expect(answers).toEqual(Array.from({ length: 10 }, () => ({ batchItemFailures: [] })));
    expect((await executions(id)).every(({ status, finished_dt }) => status === 'SUCCEEDED' && finished_dt !== null)).toBe(true);
    const history = await db
      .selectFrom('device_firmware_history as h')
      .innerJoin('devices as d', 'd.id', 'h.device_id')
      .select('h.device_id')
      .where('d.external_id', 'in', external_ids)
      .execute();
    expect(history).toHaveLength(50);
  });

  it('hands back a malformed message and does the others', async () => {
    const { verify, message, asked, runs, firmware, external_ids, statuses } = await given(1);
    asked.fleet.push(runs(external_ids[0] as string, firmware.version));
    expect(await verify('{', { dispatch_id: 'x' }, message, { dispatch_id: 2_000_000_000 })).toEqual({
      batchItemFailures: [{ itemIdentifier: 'm-0' }, { itemIdentifier: 'm-1' }],
    });
    expect(await statuses()).toEqual(['SUCCEEDED']);
  });

  it('takes no answer about a device that was not asked for, nor a second one about a device', async () => {
    const { verify, message, asked, runs, firmware, external_ids, statuses, request, executions } = await given(1);
    const [device = ''] = external_ids;
    const other = await request({ firmware_id: firmware.id, targets: { external_ids: await givenDevices(db, 1) }, canary: null });
    const [stranger] = await db
      .selectFrom('update_executions as e')
      .innerJoin('devices as d', 'd.id', 'e.device_id')
      .select('d.external_id')
      .where('e.update_id', '=', other.id)
      .execute();
    const found = [runs(device, '0.9'), runs(stranger?.external_id ?? '', firmware.version), runs(device, firmware.version)];
    asked.findVersions = async () => found;
    expect(await verify(message)).toEqual({ batchItemFailures: [] });
    expect(await statuses()).toEqual(['IN_PROGRESS']);
    expect(await executions(other.id)).toMatchObject([{ status: 'QUEUED' }]);
  });

  it('sends its message anew when the database does not answer', async () => {
    const broken = createDatabase({ url: 'postgres://nobody@127.0.0.1:1/none', maxConnections: 1 });
    const verifications = new InMemoryQueue<VerifyMessage>();
    const handler = createHandler({ db: broken, verifications, backend: new InMemoryBackend(), log: silentLog, now: () => startOfTime });
    expect(await handler(eventOf({ dispatch_id: 1 }), createContext(), () => {})).toEqual({ batchItemFailures: [] });
    expect(verifications.sent).toEqual([{ dispatch_id: 1, deferrals: 1 }]);
    await broken.destroy();
  });
});
