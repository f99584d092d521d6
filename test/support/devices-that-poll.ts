import { createHandler as createConfigDataHandler } from '../../functions/iot-config-data/handler.ts';
import { createHandler as createDeploymentHandler } from '../../functions/iot-deployment/handler.ts';
import { createHandler as createDownloadHandler } from '../../functions/iot-download/handler.ts';
import { createHandler as createFeedbackHandler } from '../../functions/iot-feedback/handler.ts';
import { createHandler as createPollHandler } from '../../functions/iot-poll/handler.ts';
import type { Db } from '../../lib/db/database.ts';
import { createAuthenticateDevice, type DeviceAccess } from '../../lib/ddi/authenticate-device.ts';
import { issueFirstTokens } from '../../lib/ddi/issue-device-token.ts';
import { defaultPollIntervals, retrySeconds } from '../../lib/ddi/poll-interval.ts';
import type { ControllerBase, Deployment } from '../../lib/ddi/protocol.ts';
import type { NewDevice } from '../../lib/fleet/new-device.ts';
import { actor, givenDevices, givenFirmware, silentLog } from './fixtures.ts';
import { type Call, type CallAnswer, call } from './http.ts';
import { createUpdateService } from './update-service.ts';

export interface PollingDevice {
  kind: 'scooter' | 'cabinet';
  external_id: string;
  token: string;
}

type Options = Partial<Pick<Call, 'headers' | 'body' | 'seenParameters' | 'seenPath'>> & {
  controllerId?: string;
  tenant?: string;
  authorization?: string;
};

const base = '/{tenant}/controller/v1/{controllerId}';

/** Devices that talk to the routes of lib/ddi, over the use cases of updates; every answer is held against the OpenAPI document. */
export const createDevicesThatPoll = (db: Db, access: Partial<DeviceAccess> = {}, random = () => 0.5) => {
  const service = createUpdateService(db);
  const authenticate = createAuthenticateDevice({
    db,
    now: service.clock.now,
    access: { tenants: ['default'], gatewayTokenSha256: null, selfRegistration: false, ...access },
  });
  const deps = {
    ...service.deps,
    authenticate,
    log: silentLog,
    intervals: defaultPollIntervals,
    random,
    retryAfterSeconds: () => retrySeconds(random()),
  };
  const handlers = {
    poll: createPollHandler(deps),
    configData: createConfigDataHandler(deps),
    deployment: createDeploymentHandler(deps),
    download: createDownloadHandler(deps),
    feedback: createFeedbackHandler(deps),
  };
  const send = <Body>(
    handler: (typeof handlers)[keyof typeof handlers],
    method: string,
    path: string,
    device: PollingDevice,
    { controllerId, tenant = 'default', authorization, headers, ...more }: Options = {},
    parameters: Record<string, string> = {},
  ): Promise<CallAnswer<Body>> =>
    call<Body>(handler, {
      method,
      path: `${base}${path}`,
      pathParameters: { tenant, controllerId: encodeURIComponent(controllerId ?? `${device.kind}.${device.external_id}`), ...parameters },
      headers: { Authorization: authorization ?? `TargetToken ${device.token}`, Host: 'updates.test', ...headers },
      ...more,
    });

  const devices = {
    ...service,
    handlers,
    /** For a handler of its own, with something in place of a port. */
    handlerDeps: deps,
    send,
    poll: (device: PollingDevice, options?: Options) => send<ControllerBase>(handlers.poll, 'GET', '', device, options),
    configData: (device: PollingDevice, data: Record<string, unknown>, options?: Options) =>
      send(handlers.configData, 'PUT', '/configData', device, { body: { data }, ...options }),
    deployment: (device: PollingDevice, id: number, options?: Options) =>
      send<Deployment>(handlers.deployment, 'GET', '/deploymentBase/{actionId}', device, options, { actionId: String(id) }),
    installed: (device: PollingDevice, id: number, options?: Options) =>
      send<Deployment>(handlers.deployment, 'GET', '/installedBase/{actionId}', device, options, { actionId: String(id) }),
    cancelAction: (device: PollingDevice, id: number, options?: Options) =>
      send(handlers.deployment, 'GET', '/cancelAction/{actionId}', device, options, { actionId: String(id) }),
    feedback: (device: PollingDevice, id: number, execution: string, finished = 'none', details: unknown = [], options?: Options) =>
      send(
        handlers.feedback,
        'POST',
        '/deploymentBase/{actionId}/feedback',
        device,
        { body: { id: String(id), time: '20261124T080000', status: { execution, result: { finished }, details } }, ...options },
        { actionId: String(id) },
      ),
    cancelFeedback: (device: PollingDevice, id: number, execution: string, finished = 'none', options?: Options) =>
      send(
        handlers.feedback,
        'POST',
        '/cancelAction/{actionId}/feedback',
        device,
        { body: { status: { execution, result: { finished } } }, ...options },
        { actionId: String(id) },
      ),
    download: (device: PollingDevice, softwareModuleId: number, filename: string, method: 'GET' | 'HEAD' = 'GET', options?: Options) =>
      send(handlers.download, method, '/softwaremodules/{softwareModuleId}/artifacts/{filename}', device, options, {
        softwareModuleId: String(softwareModuleId),
        filename: encodeURIComponent(filename),
      }),

    /** Devices with a token each, cabinets unless told otherwise. */
    async givenPolling(count = 1, device: Partial<NewDevice> = {}): Promise<PollingDevice[]> {
      const kind = device.kind ?? 'cabinet';
      const external_ids = await givenDevices(db, count, { ...device, kind, ...(kind === 'scooter' && { version: null }) });
      return issueFirstTokens(
        service.deps,
        external_ids.map((external_id) => ({ kind, external_id })),
        actor,
      );
    },

    /** An update of new cabinets that have polled, and its first message. */
    async givenUpdate({ devices: count = 1, ...request }: { devices?: number } & Record<string, unknown> = {}) {
      const cabinets = await devices.givenPolling(count);
      for (const cabinet of cabinets) await devices.poll(cabinet);
      const { storage } = service.deps;
      const file = storage.put('firmwares/cabinet/x/firmware.bin', Buffer.from('the file'));
      const firmware = await givenFirmware(db, { hardware_type: 'cabinet', file_link: storage.toLink(file) });
      const update = await service.request({
        firmware_id: firmware.id,
        targets: { kind: 'cabinet', external_ids: cabinets.map(({ external_id }) => external_id) },
        ...request,
      });
      const [message] = service.deps.advances.take();
      if (!message) throw new Error('no message was sent');
      return { cabinets, cabinet: cabinets[0] as PollingDevice, firmware, update, message };
    },

    /** The same, one step on: every device is offered its work. */
    async givenOffered(request: { devices?: number } & Record<string, unknown> = {}) {
      const given = await devices.givenUpdate(request);
      const next = await devices.step(given.message);
      const executions = await service.executions(given.update.id);
      const idOf = ({ external_id }: PollingDevice) => executions.find((e) => e.external_id === external_id)?.id ?? 0;
      return { ...given, message: next, id: idOf(given.cabinet), idOf };
    },

    /** The same, and every device has come for it. */
    async givenTaken(request: { devices?: number } & Record<string, unknown> = {}) {
      const given = await devices.givenOffered(request);
      for (const cabinet of given.cabinets) await devices.deployment(cabinet, given.idOf(cabinet));
      return given;
    },

    /** One step of the walk; the message of the next one. */
    async step(message: unknown) {
      await service.advance(message);
      const [next] = service.deps.advances.take();
      return next;
    },

    /** Time passes with a step a minute, as the walk takes them at least, and devices that poll at its end; the message of the next step. */
    async pass(message: unknown, seconds: number, polling: readonly PollingDevice[] = []) {
      let next = message;
      for (let left = seconds; left > 0; left -= 60) {
        service.clock.advance(Math.min(60, left));
        if (left <= 60) for (const device of polling) await devices.poll(device);
        if (next) next = await devices.step(next);
      }
      return next;
    },

    async execution(id: number) {
      return db.selectFrom('update_executions').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
    },

    async runs({ external_id }: PollingDevice, hardware_type = 'cabinet') {
      return db
        .selectFrom('device_firmwares as r')
        .innerJoin('devices as d', 'd.id', 'r.device_id')
        .select(['r.reported_version', 'r.source', 'r.firmware_update_time'])
        .where('d.external_id', '=', external_id)
        .where('r.hardware_type', '=', hardware_type)
        .executeTakeFirst();
    },
  };
  return devices;
};

/** The execution that a poll links to, by what. */
export const linkedIn = ({ body }: CallAnswer<ControllerBase>): Record<string, number | true> =>
  Object.fromEntries(
    Object.entries(body._links).map(([name, link]) => [name, Number(/(\d+)$/.exec(link?.href ?? '')?.[1] ?? Number.NaN) || true]),
  );
