import type { Db } from '../../../lib/db/database.ts';
import { issueFirstTokens } from '../../../lib/ddi/issue-device-token.ts';
import type { ControllerBase } from '../../../lib/ddi/protocol.ts';
import type { NewDevice } from '../../../lib/fleet/new-device.ts';
import { actor, givenDevices, givenFirmware } from '../../support/fixtures.ts';
import type { MortalService } from '../../support/mortal-service.ts';

/**
 * What people, the backend and devices do with the service, from beginning to end. When a function dies, each of them does what it would do
 * in reality: a caller asks again, a queue delivers again, a device polls again.
 */
export interface Scenario {
  name: string;
  /** After its first life it has little that others do not have: only every third boundary is tried of those that would be otherwise. */
  isLong?: true;
  /** Plays it with devices and firmwares of its own, and answers the result, without ids and times. */
  play: (service: MortalService, db: Db) => Promise<unknown>;
}

type Conduct = 'installs' | 'installs silently' | 'fails once' | 'fails' | 'declines';

let counter = 0;
const unique = (): number => {
  counter += 1;
  return counter;
};

const post = (path: string, body: unknown, more: Record<string, string> = {}) => ({
  method: 'POST',
  path,
  body,
  headers: { 'Idempotency-Key': `key-${unique()}` },
  ...(Object.keys(more).length > 0 && { pathParameters: more }),
});

/** Scooters behind scooters-backend, each with its own conduct: they carry out new commands in this way, and report. */
const createScooters = async (
  service: MortalService,
  db: Db,
  conducts: readonly (Conduct | ((version: string) => Conduct))[],
  place: Partial<NewDevice> = {},
) => {
  const external_ids = await givenDevices(db, conducts.length, place);
  const conductOf = new Map(external_ids.map((external_id, i) => [external_id, conducts[i]]));
  const done = new Set<string>();
  service.backend.fleet.length = 0;

  const report = (command: (typeof service.backend.commands)[number], status: string, version: string) => {
    const { external_id, hardware_type, execution_id } = command;
    const occurred_dt = service.clock.now().toISOString();
    const confirmation = { kind: 'scooter', external_id, hardware_type, version, status, execution_id, occurred_dt };
    return service.call('confirm-update', { method: 'POST', path: '/v1/confirmations', body: { confirmations: [confirmation] } });
  };

  const act = async (): Promise<void> => {
    for (const command of service.backend.commands) {
      const { execution_id, attempt, external_id, hardware_type, version } = command;
      const key = `${execution_id} ${attempt}`;
      // A repeated command is not carried out again.
      if (done.has(key)) continue;
      const isFirst = ![...done].some((other) => other.startsWith(`${execution_id} `));
      done.add(key);
      service.clock.advance(2);
      const given = conductOf.get(external_id);
      const conduct = typeof given === 'function' ? given(version) : given;
      if (conduct === 'fails' || (conduct === 'fails once' && isFirst)) await report(command, 'FAILED', '0.0.1');
      else if (conduct === 'declines') await report(command, 'REJECTED', '0.0.1');
      else if (conduct === 'installs silently') {
        const now = service.clock.now().toISOString();
        const firmwares = [{ hardware_type, version, since_dt: now, observed_dt: now }];
        service.backend.fleet.push({ kind: 'scooter', external_id, version: 1, firmwares });
      } else await report(command, 'SUCCEEDED', version);
    }
  };
  return { external_ids, act };
};

/** The result of an update: for each device, in their order, how its execution ended and what the device runs. */
const outcomeOf = async (db: Db, external_ids: readonly string[], service: MortalService) => {
  const executions = await db
    .selectFrom('update_executions as e')
    .innerJoin('devices as d', 'd.id', 'e.device_id')
    .innerJoin('updates as u', 'u.id', 'e.update_id')
    .select(['d.external_id', 'e.id', 'e.status', 'e.reason', 'e.retries', 'u.status as update_status', 'e.late_success_dt'])
    .where('d.external_id', 'in', [...external_ids])
    .orderBy('e.id')
    .execute();
  const runs = await db
    .selectFrom('device_firmwares as r')
    .innerJoin('devices as d', 'd.id', 'r.device_id')
    .innerJoin('firmwares as f', 'f.id', 'r.firmware_id')
    .select(['d.external_id', 'r.hardware_type', 'r.source'])
    .where('d.external_id', 'in', [...external_ids])
    .execute();
  const unfinished = await db
    .selectFrom('updates as u')
    .innerJoin('update_executions as e', 'e.update_id', 'u.id')
    .innerJoin('devices as d', 'd.id', 'e.device_id')
    .select('u.id')
    .where('d.external_id', 'in', [...external_ids])
    .where('u.finished_dt', 'is', null)
    .execute();
  return {
    devices: external_ids.map((external_id) => ({
      executions: executions
        .filter((e) => e.external_id === external_id)
        .map(({ status, reason, retries, update_status, late_success_dt }) => ({
          ...{ status, reason, retries, update_status },
          isLate: late_success_dt !== null,
        })),
      runs: runs.filter((r) => r.external_id === external_id).map(({ hardware_type, source }) => `${hardware_type} by ${source}`),
      // A device is asked once a try, however often the same command has to be repeated.
      commands: new Set(
        service.backend.commands
          .filter((c) => c.external_id === external_id)
          .map(({ execution_id, attempt }) => `${execution_id} ${attempt}`),
      ).size,
    })),
    unfinished: unfinished.length,
    messages: service.messages().length,
  };
};

const request = (firmware_id: number, external_ids: readonly string[], more: Record<string, unknown> = {}) =>
  post('/v1/updates', { firmware_id, targets: { external_ids }, canary: null, abort: [], ...more });

const control = (id: number, action: string, body: unknown = {}) => ({
  method: 'POST',
  path: `/v1/updates/{id}/${action}`,
  pathParameters: { id: String(id) },
  body,
});

const updateOfScooters: Scenario = {
  name: 'an update of scooters that install, keep silent, fail and decline',
  async play(service, db) {
    const firmware = await givenFirmware(db);
    const scooters = await createScooters(service, db, ['installs', 'installs silently', 'fails once', 'fails', 'declines']);
    await service.call('request-update', request(firmware.id, scooters.external_ids, { retry: { number_of_retries: 1 } }));
    await service.settle(scooters.act);
    return outcomeOf(db, scooters.external_ids, service);
  },
};

const canary: Scenario = {
  name: 'an update with a canary that passes',
  async play(service, db) {
    const firmware = await givenFirmware(db);
    const scooters = await createScooters(service, db, ['installs', 'installs', 'installs']);
    const settings = { canary: { size: 1, success_percentage: 100, minimum_wait_minutes: 0 } };
    await service.call('request-update', request(firmware.id, scooters.external_ids, settings));
    await service.settle(scooters.act);
    return outcomeOf(db, scooters.external_ids, service);
  },
};

const stopRule: Scenario = {
  name: 'an update that a rule stops, and the retry of those that failed',
  async play(service, db) {
    const firmware = await givenFirmware(db);
    const scooters = await createScooters(service, db, ['fails once', 'fails once', 'fails once', 'fails once']);
    const settings = {
      abort: [{ threshold_percentage: 50, minimum_executions: 2, failure_types: ['FAILED'], action: 'ABORT' }],
      rollout: { maximum_in_progress: 2 },
    };
    const { body } = await service.call<{ id: number }>('request-update', request(firmware.id, scooters.external_ids, settings));
    await service.settle(scooters.act);
    await service.call('retry-update', post('/v1/updates/{id}/retry', { comment: 'again' }, { id: String(body.id) }));
    await service.settle(scooters.act);
    const { devices, ...rest } = await outcomeOf(db, scooters.external_ids, service);
    // It is not promised which two of them are asked first.
    return { ...rest, devices: devices.map((device) => JSON.stringify(device)).sort() };
  },
};

/** A control in the middle of an update, and what follows from it. */
const controlled = (name: string, work: (service: MortalService, id: number, act: () => Promise<void>) => Promise<void>): Scenario => ({
  name,
  async play(service, db) {
    const firmware = await givenFirmware(db);
    const scooters = await createScooters(service, db, ['installs', 'installs', 'installs', 'installs']);
    const settings = { rollout: { maximum_in_progress: 2 } };
    const { body } = await service.call<{ id: number }>('request-update', request(firmware.id, scooters.external_ids, settings));
    // Until all places are taken.
    while (service.backend.commands.length < 2) await service.deliverNext();
    await scooters.act();
    await work(service, body.id, scooters.act);
    await service.settle(scooters.act);
    const { devices, ...rest } = await outcomeOf(db, scooters.external_ids, service);
    return { ...rest, devices: devices.map((device) => JSON.stringify(device)).sort() };
  },
});

const deliverSome = async (service: MortalService, act: () => Promise<void>): Promise<void> => {
  for (let n = 0; n < 3; n += 1) {
    await service.deliverNext();
    await act();
  }
};

const paused = controlled('a pause, and a resume a while later', async (service, id, act) => {
  await service.call('control-update', control(id, 'pause', { reason: 'test' }));
  await deliverSome(service, act);
  await service.call('control-update', control(id, 'resume'));
});

const canceled = controlled('a cancel', async (service, id) => {
  await service.call('control-update', control(id, 'cancel', { reason: 'test' }));
});

const anotherPace = controlled('another pace', async (service, id) => {
  await service.call('control-update', {
    method: 'PATCH',
    path: '/v1/updates/{id}',
    pathParameters: { id: String(id) },
    body: { rollout: { maximum_per_minute: 600, maximum_in_progress: 3 } },
  });
});

interface Woken {
  service: MortalService;
  db: Db;
  /** The tag of the devices that the open update means. */
  tag: string;
  /** That it brings, and one that came before. */
  firmware: { id: number; version: string };
  older: { id: number; version: string };
  scooters: Awaited<ReturnType<typeof createScooters>>;
}

interface Waking {
  /** That the firmware of the open update fits. */
  revisions?: string[];
  conduct?: (given: Pick<Woken, 'older'>) => (version: string) => Conduct;
  /** What comes before, when the update rests for the first time. */
  before?: (given: Woken) => Promise<void>;
  happens: (given: Woken) => Promise<unknown>;
}

const changeDevice = ({ service, scooters: { external_ids } }: Woken, change: object) =>
  service.call('edit-fleet', {
    ...{ method: 'PATCH', path: '/v1/devices/{kind}/{external_id}', body: change },
    pathParameters: { kind: 'scooter', external_id: external_ids[0] ?? '' },
  });

const requestOpen = async ({ service, tag }: Woken, firmware_id: number) => {
  const targets = { filter: { tags: { all: [tag] } } };
  const open = { firmware_id, targets, continuous: true, canary: null, abort: [] };
  return (await service.call<{ id: number }>('request-update', post('/v1/updates', open))).body.id;
};

const untilOpenUpdatesRest = async ({ service, db }: Woken, act = async () => {}): Promise<void> => {
  const isAnyAwake = () =>
    db.selectFrom('updates').select('id').where('continuous', '=', true).where('due_dt', 'is not', null).executeTakeFirst();
  while (await isAnyAwake()) {
    await service.deliverNext();
    await act();
  }
};

/** A continuous update rests. Then something happens by which a device comes to match it, and it is taken in and updated, once, whoever dies. */
const waking = (what: string, { revisions, conduct, before, happens }: Waking): Scenario => ({
  name: `a continuous update is woken by ${what}`,
  isLong: true,
  async play(service, db) {
    const older = await givenFirmware(db);
    const firmware = await givenFirmware(db, revisions && { revisions });
    const scooters = await createScooters(service, db, [conduct?.({ older }) ?? 'installs']);
    const given = { service, db, tag: `waking-${unique()}`, firmware, older, scooters };
    const last = await db
      .selectFrom('audit_lines')
      .select(({ fn }) => fn.max('id').as('id'))
      .executeTakeFirst();
    let id = 0;
    await service.prepare(async () => {
      id = await requestOpen(given, firmware.id);
      await untilOpenUpdatesRest(given);
      await before?.(given);
    });
    await happens(given);
    await service.settle(scooters.act);
    const outcome = await outcomeOf(db, scooters.external_ids, service);
    await service.prepare(async () => {
      await service.call('control-update', control(id, 'cancel', { force: true }));
      await service.settle();
    });
    const lines = await db
      .selectFrom('audit_lines')
      .select(['action', 'resource'])
      .where('id', '>', last?.id ?? 0)
      .orderBy('id')
      .execute();
    return { ...outcome, audit: lines.map(({ action, resource }) => `${action} ${resource}`) };
  },
});

const wakings = [
  waking('a device that is changed', {
    revisions: ['B2'],
    happens: (given) => changeDevice(given, { tags: [given.tag], revision: 'B2' }),
  }),
  waking('a device that is registered', {
    before: async ({ db, scooters: { external_ids } }) => {
      await db.deleteFrom('devices').where('external_id', 'in', external_ids).execute();
    },
    happens: ({ service, tag, scooters: { external_ids } }) => {
      const devices = external_ids.map((external_id) => ({ kind: 'scooter', external_id, version: 1, tags: [tag] }));
      return service.call('register-devices', { method: 'PUT', path: '/v1/devices', body: { devices } });
    },
  }),
  waking('a firmware that fits more devices than before', {
    revisions: ['B2'],
    before: async (given) => {
      await changeDevice(given, { tags: [given.tag], revision: 'B1' });
      await untilOpenUpdatesRest(given);
    },
    happens: ({ service, firmware: { id } }) =>
      service.call('edit-firmware', {
        ...{ method: 'PATCH', path: '/v1/firmwares/{id}', body: { revisions: ['B1', 'B2'] } },
        pathParameters: { id: String(id) },
      }),
  }),
  // What the device runs does not change, so only the end of its execution tells that it is free.
  waking('the end of an update that had its device', {
    conduct:
      ({ older }) =>
      (version) =>
        version === older.version ? 'fails' : 'installs',
    before: async (given) => {
      const { service, older, tag, scooters } = given;
      await service.call('request-update', request(older.id, scooters.external_ids));
      while (service.backend.commands.length === 0) await service.deliverNext();
      await changeDevice(given, { tags: [tag] });
      await untilOpenUpdatesRest(given);
    },
    happens: ({ scooters }) => scooters.act(),
  }),
  waking('the end of a younger one that had taken its device', {
    before: async (given) => {
      await requestOpen(given, given.older.id);
      await changeDevice(given, { tags: [given.tag] });
      await untilOpenUpdatesRest(given, given.scooters.act);
    },
    happens: async ({ service, db, older }) => {
      const younger = await db.selectFrom('updates').select('id').where('firmware_id', '=', older.id).executeTakeFirstOrThrow();
      await service.call('control-update', control(younger.id, 'cancel'));
    },
  }),
];

/** Cabinets that poll: each asks until it has nothing to do. */
const updateOfCabinets: Scenario = {
  name: 'an update of cabinets that poll, install and fail',
  async play(service, db) {
    const external_ids = await givenDevices(db, 2, { kind: 'cabinet', version: null });
    const cabinets = await issueFirstTokens(
      service.deps,
      external_ids.map((external_id) => ({ kind: 'cabinet' as const, external_id })),
      actor,
    );
    const base = '/{tenant}/controller/v1/{controllerId}';
    const as = (
      { kind, external_id, token }: (typeof cabinets)[number],
      method: string,
      path: string,
      body?: unknown,
      actionId?: string,
    ) => ({
      ...{ method, path: `${base}${path}` },
      pathParameters: { tenant: 'default', controllerId: `${kind}.${external_id}`, ...(actionId !== undefined && { actionId }) },
      headers: { Authorization: `TargetToken ${token}`, Host: 'updates.test' },
      ...(body !== undefined && { body }),
    });
    const firmware = await givenFirmware(db, { hardware_type: 'cabinet' });
    const tell = (cabinet: (typeof cabinets)[number], version: string) =>
      service.call('iot-config-data', as(cabinet, 'PUT', '/configData', { data: { cabinet_version: version } }));

    const live = async (): Promise<void> => {
      for (const [i, cabinet] of cabinets.entries()) {
        service.clock.advance(2);
        const { body } = await service.call<ControllerBase>('iot-poll', as(cabinet, 'GET', ''));
        const href = body._links.deploymentBase?.href;
        if (href === undefined) {
          // It tells its version when it is asked to; one that failed runs its old one.
          if (body._links.configData) await tell(cabinet, i === 0 && installed.has(cabinet.external_id) ? firmware.version : '0.0.1');
          continue;
        }
        const id = /(\d+)$/.exec(new URL(href).pathname)?.[1] ?? '';
        await service.call('iot-deployment', as(cabinet, 'GET', '/deploymentBase/{actionId}', undefined, id));
        const result = { finished: i === 0 ? 'success' : 'failure' };
        const status = { execution: 'closed', result, details: ['the end'] };
        await service.call('iot-feedback', as(cabinet, 'POST', '/deploymentBase/{actionId}/feedback', { status }, id));
        if (i === 0) installed.add(cabinet.external_id);
        await tell(cabinet, i === 0 ? firmware.version : '0.0.1');
      }
    };
    const installed = new Set<string>();
    await live();
    await service.call(
      'request-update',
      post('/v1/updates', { firmware_id: firmware.id, targets: { kind: 'cabinet', external_ids }, canary: null, abort: [] }),
    );
    await service.settle(live);
    return outcomeOf(db, external_ids, service);
  },
};

const catalogueOf = async (db: Db, hardware_type: string, version: string) =>
  db
    .selectFrom('firmwares')
    .select(['status', 'reason', 'size_bytes', 'sha256'])
    .where('hardware_type', '=', hardware_type)
    .where('version', '=', version)
    .execute();

const sha256 = 'b'.repeat(64);

const registration: Scenario = {
  name: 'a firmware that is uploaded and registered, and one whose bytes are others than promised',
  async play(service, db) {
    const { createHash } = await import('node:crypto');
    const n = unique();
    const versions = [`20.${n}.0`, `20.${n}.1`];
    const bytes = Buffer.from(`the firmware ${n}`);
    for (const [i, version] of versions.entries()) {
      const promised = i === 0 ? createHash('sha256').update(bytes).digest('hex') : sha256;
      const { body } = await service.call<{ object_key?: string; upload: { url: string; headers: Record<string, string> } }>(
        'upload-firmware',
        {
          method: 'POST',
          path: '/v1/firmwares',
          body: { hardware_type: 'vega_mcu', version, size_bytes: bytes.length, sha256: promised },
        },
      );
      if (i === 0) service.put(body.upload, bytes);
      // Somebody with access to the bucket has put other bytes there.
      else service.tellCreated(service.storage.put(decodeURIComponent(new URL(body.upload.url).pathname.slice(1)), bytes));
    }
    await service.settle();
    const rows = await Promise.all(versions.map((version) => catalogueOf(db, 'vega_mcu', version)));
    return {
      rows: rows.map((found) => found.map(({ status, size_bytes }) => ({ status, size_bytes }))),
      messages: service.messages().length,
    };
  },
};

const assembly: Scenario = {
  name: 'a package of two firmwares',
  async play(service, db) {
    const n = unique();
    const parts = [];
    for (const hardware_type of ['vega_mcu', 'vega_gsm']) {
      const bytes = Buffer.from(`${hardware_type} ${n}`);
      const version = `30.${n}.0`;
      const object = service.storage.put(`firmwares/${hardware_type}/${version}/firmware.bin`, bytes);
      const firmware = await givenFirmware(db, { hardware_type, version, bytes, file_link: service.storage.toLink(object) });
      parts.push({ firmware_id: firmware.id });
    }
    const version = `30.${n}.0`;
    await service.call('request-assembly', post('/v1/assemblies', { hardware_type: 'cabinet', version, parts }));
    await service.settle();
    const [row] = await catalogueOf(db, 'cabinet', version);
    const { n: assemblies } = await db
      .selectFrom('assemblies as a')
      .innerJoin('firmwares as f', 'f.assembly_id', 'a.id')
      .select(({ fn }) => fn.countAll<number>().as('n'))
      .where('f.version', '=', version)
      .where('f.hardware_type', '=', 'cabinet')
      .executeTakeFirstOrThrow();
    return { status: row?.status, reason: row?.reason, assemblies, messages: service.messages().length };
  },
};

const observation: Scenario = {
  name: 'an observation that imports a device and finds what others run',
  async play(service, db) {
    const firmware = await givenFirmware(db);
    const [known = ''] = await givenDevices(db, 1);
    const unknown = `N-${unique()}`;
    const now = service.clock.now().toISOString();
    const firmwares = [{ hardware_type: 'vega_mcu', version: firmware.version, since_dt: now, observed_dt: now }];
    service.backend.fleet.length = 0;
    for (const external_id of [known, unknown]) service.backend.fleet.push({ kind: 'scooter', external_id, version: 1, firmwares });
    const body = { targets: { external_ids: [known, unknown] }, add_unknown: true };
    const answer = await service.call<{ id: number }>('observe-versions', post('/v1/observations', body));
    await service.settle();
    const { status } = await db.selectFrom('observations').select('status').where('id', '=', answer.body.id).executeTakeFirstOrThrow();
    const { devices } = await outcomeOf(db, [known, unknown], service);
    return { status, devices, messages: service.messages().length };
  },
};

export const scenarios: readonly Scenario[] = [
  updateOfScooters,
  canary,
  stopRule,
  paused,
  canceled,
  anotherPace,
  updateOfCabinets,
  registration,
  assembly,
  observation,
  ...wakings,
];
