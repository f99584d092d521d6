import { AsyncLocalStorage } from 'node:async_hooks';
import type { APIGatewayProxyEvent, Context, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { createHandler as createAdvanceObservation } from '../../functions/advance-observation/handler.ts';
import { createHandler as createAdvanceUpdate } from '../../functions/advance-update/handler.ts';
import { createHandler as createAssembleFirmware } from '../../functions/assemble-firmware/handler.ts';
import { createHandler as createAuthorKeys } from '../../functions/author-keys/handler.ts';
import { createHandler as createConfirmUpdate } from '../../functions/confirm-update/handler.ts';
import { createHandler as createControlUpdate } from '../../functions/control-update/handler.ts';
import { createHandler as createDispatchUpdate } from '../../functions/dispatch-update/handler.ts';
import { createHandler as createEditFirmware } from '../../functions/edit-firmware/handler.ts';
import { createHandler as createEditFleet } from '../../functions/edit-fleet/handler.ts';
import { createHandler as createEditHardwareType } from '../../functions/edit-hardware-type/handler.ts';
import { createHandler as createConfigData } from '../../functions/iot-config-data/handler.ts';
import { createHandler as createDeployment } from '../../functions/iot-deployment/handler.ts';
import { createHandler as createFeedback } from '../../functions/iot-feedback/handler.ts';
import { createHandler as createPoll } from '../../functions/iot-poll/handler.ts';
import { createHandler as createIssueDeviceToken } from '../../functions/issue-device-token/handler.ts';
import { createHandler as createObserve } from '../../functions/observe-versions/handler.ts';
import { createHandler as createRegisterDevices } from '../../functions/register-devices/handler.ts';
import { createHandler as createRegisterFirmware } from '../../functions/register-firmware/handler.ts';
import { createHandler as createRequestAssembly } from '../../functions/request-assembly/handler.ts';
import { createHandler as createRequestUpdate } from '../../functions/request-update/handler.ts';
import { createHandler as createRetryUpdate } from '../../functions/retry-update/handler.ts';
import { createHandler as createSignFirmware } from '../../functions/sign-firmware/handler.ts';
import { createHandler as createUploadFirmware } from '../../functions/upload-firmware/handler.ts';
import { createHandler as createVerifyUpdate } from '../../functions/verify-update/handler.ts';
import { createPackageSigner } from '../../lib/assembly/package-signature.ts';
import type { Db } from '../../lib/db/database.ts';
import { createAuthenticateDevice } from '../../lib/ddi/authenticate-device.ts';
import { defaultPollIntervals } from '../../lib/ddi/poll-interval.ts';
import { scopes } from '../../lib/http/authenticate.ts';
import type { HttpHandler } from '../../lib/http/endpoint.ts';
import { openGate } from '../../lib/update/backend-gate.ts';
import { packageKeys } from './assembly-service.ts';
import { silentLog, startOfTime, TestClock } from './fixtures.ts';
import { type Call, type CallAnswer, createEvent } from './http.ts';
import { InMemoryBackend } from './in-memory-backend.ts';
import { InMemoryObjectWriter } from './in-memory-object-writer.ts';
import { InMemoryStorage } from './in-memory-storage.ts';
import { manifestSigner } from './manifest-signer.ts';
import { objectCreated, sqsEvent } from './s3-events.ts';
import { TimedQueues } from './timed-queues.ts';

/**
 * The whole service, function by function, on the real PostgreSQL, between queues, storage and backend in memory. Any call of a function
 * can be killed after any number of its calls to the outside: statements, messages, files, the backend.
 */

/** One call of one function, and what it asked of the outside, in order. */
export interface Life {
  function: string;
  calls: string[];
}

/** Dies as soon as it wants to do more than `afterCalls` calls, or, when it has made just as many, before it can answer. */
export interface Death {
  /** Of the calls of all functions since the beginning: which one. */
  life: number;
  afterCalls: number;
}

class Died extends Error {
  override readonly name = 'Died';
}

interface Living extends Life {
  diesAfter: number | undefined;
  isDead: boolean;
}

const lives = new AsyncLocalStorage<Living>();

const die = (living: Living): never => {
  living.isDead = true;
  throw new Died('The function has died');
};

/** Before every call to the outside. */
const passBoundary = (what: string): void => {
  const living = lives.getStore();
  if (!living) return;
  if (living.isDead || living.calls.length === living.diesAfter) die(living);
  living.calls.push(what);
};

/** For `createDatabase`. What the server does by itself when a connection is gone is no call of the function. */
export const passStatement = (statement: string): void => {
  if (statement === 'rollback') return;
  passBoundary(`statement ${statement.trim().split(/\s+/).slice(0, 3).join(' ')}`);
};

/** A port whose every call is a boundary. */
const mortal = <Port extends object>(name: string, port: Port): Port =>
  new Proxy(port, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      return (...parameters: unknown[]): unknown => {
        // Names and links are made without a call.
        if (property !== 'toLink' && property !== 'fromLink') passBoundary(`${name} ${String(property)}`);
        return Reflect.apply(value, target, parameters);
      };
    },
  });

type QueueName = 'advances' | 'dispatches' | 'verifications' | 'observations' | 'assemblies' | 'registrations';

const caller = async () => ({ subject: 'tester', scopes: new Set(scopes) });

export const createMortalService = (db: Db) => {
  const clock = new TestClock();
  const lived: Life[] = [];
  let death: Death | undefined;
  let isPreparing = false;
  const queues = new TimedQueues<QueueName>(clock.now, { maximumReceives: 10 });
  const queue = (name: QueueName) => queues.sender<never>(name, () => passBoundary(`send to ${name}`));

  const storage = new InMemoryStorage(clock.now);
  const writer = new InMemoryObjectWriter(storage);
  const backend = new InMemoryBackend();
  const deps = {
    db,
    now: clock.now,
    log: silentLog,
    authenticate: caller,
    storage: mortal('storage', storage),
    writer: mortal('storage', writer),
    backend: mortal('backend', backend),
    advances: queue('advances'),
    dispatches: queue('dispatches'),
    verifications: queue('verifications'),
    observations: queue('observations'),
    assemblies: queue('assemblies'),
    registrations: queue('registrations'),
    signManifest: manifestSigner(clock.now),
    sign: createPackageSigner({ signing_key: packageKeys.PACKAGE_SIGNING_KEY, certificates: packageKeys.PACKAGE_CERTIFICATES }),
  };
  const device = {
    ...deps,
    authenticate: createAuthenticateDevice({
      db,
      now: clock.now,
      access: { tenants: ['default'], gatewayTokenSha256: null, selfRegistration: false },
    }),
    intervals: defaultPollIntervals,
    random: () => 0.5,
  };

  const api = {
    'upload-firmware': createUploadFirmware(deps),
    'edit-firmware': createEditFirmware(deps),
    'sign-firmware': createSignFirmware(deps),
    'edit-hardware-type': createEditHardwareType(deps),
    'author-keys': createAuthorKeys(deps),
    'edit-fleet': createEditFleet(deps),
    'register-devices': createRegisterDevices(deps),
    'issue-device-token': createIssueDeviceToken(deps),
    'request-assembly': createRequestAssembly(deps),
    'request-update': createRequestUpdate(deps),
    'control-update': createControlUpdate(deps),
    'retry-update': createRetryUpdate(deps),
    'confirm-update': createConfirmUpdate(deps),
    'observe-versions': createObserve(deps),
    'iot-poll': createPoll(device),
    'iot-deployment': createDeployment(device),
    'iot-feedback': createFeedback(device),
    'iot-config-data': createConfigData(device),
  } satisfies Record<string, HttpHandler>;

  const consumers = {
    advances: { name: 'advance-update', handle: createAdvanceUpdate(deps) },
    dispatches: { name: 'dispatch-update', handle: createDispatchUpdate(deps) },
    verifications: { name: 'verify-update', handle: createVerifyUpdate(deps) },
    observations: { name: 'advance-observation', handle: createAdvanceObservation(deps) },
    assemblies: { name: 'assemble-firmware', handle: createAssembleFirmware(deps) },
    registrations: { name: 'register-firmware', handle: createRegisterFirmware(deps) },
  };

  /** Runs one call of a function; `undefined`: it has died, and nobody has its answer. */
  const live = async <T>(name: string, work: () => Promise<T>): Promise<T | undefined> => {
    if (isPreparing) return work();
    const diesAfter = death?.life === lived.length ? death.afterCalls : undefined;
    const living: Living = { function: name, calls: [], diesAfter, isDead: false };
    lived.push(living);
    return lives.run(living, async () => {
      try {
        const result = await work();
        if (living.isDead || living.calls.length === diesAfter) return undefined;
        return result;
      } catch (error) {
        if (living.isDead) return undefined;
        throw error;
      }
    });
  };

  const context = () => ({ awsRequestId: 'request', functionName: 'test', getRemainingTimeInMillis: () => 29_000 }) as Context;

  const service = {
    clock,
    deps,
    backend,
    storage,
    lived,
    messages: () => queues.messages,

    /** A new beginning: nothing is in the queues, and this is how somebody dies. */
    async begin(how?: Death): Promise<void> {
      service.diesAt(how);
      queues.messages = [];
      backend.calls.length = 0;
      await db.updateTable('backend_gate').set(openGate(startOfTime)).execute();
    },

    /** From now on calls are counted anew, and this is how somebody dies. */
    diesAt(how?: Death): void {
      death = how;
      lived.length = 0;
    },

    /** What comes before that is tried: nobody dies in it. */
    async prepare(work: () => Promise<void>): Promise<void> {
      isPreparing = true;
      await work();
      isPreparing = false;
    },

    /** As a caller who does not ask again; `undefined`: there was no answer. */
    async callOnce<Body = Record<string, unknown>>(name: keyof typeof api, request: Call): Promise<CallAnswer<Body> | undefined> {
      const event = createEvent(request) as APIGatewayProxyEvent;
      const answer = await live(name, () => api[name](event, context()));
      if (!answer) return undefined;
      return { statusCode: answer.statusCode, headers: {}, body: (answer.body === '' ? null : JSON.parse(answer.body)) as Body };
    },

    /** As a caller who gets no answer, or a 503, and asks again until it has one. */
    async call<Body = Record<string, unknown>>(name: keyof typeof api, request: Call): Promise<CallAnswer<Body>> {
      for (let tries = 0; tries < 5; tries += 1) {
        const answer = await service.callOnce<Body>(name, request);
        if (answer && answer.statusCode < 500) return answer;
        clock.advance(5);
      }
      throw new Error(`${name} does not answer`);
    },

    /** Puts bytes as the holder of the link does; S3 tells of it. */
    put(upload: { url: string; headers: Record<string, string> }, bytes: Buffer): void {
      const { object, status } = storage.upload(upload, bytes);
      if (status !== 200 && status !== 412) throw new Error(`The storage refuses with ${status}`);
      if (object) service.tellCreated(object);
    },

    tellCreated({ key, version_id }: { key: string; version_id: string }): void {
      const body = objectCreated({ encodedKey: encodeURIComponent(key).replaceAll('%2F', '/'), version_id });
      queues.put('registrations', body);
    },

    /** Delivers the message that is due first, at its time; false: there is none. */
    async deliverNext(): Promise<boolean> {
      const next = queues.receiveFirst(clock);
      if (!next) return false;
      const consumer = consumers[next.queue];
      const event: SQSEvent = sqsEvent({ message: next.body });
      const written = writer.written.length;
      const result = await live(consumer.name, async () => consumer.handle(event, context(), () => {}) as Promise<SQSBatchResponse>);
      for (const object of writer.written.slice(written)) service.tellCreated(object);
      if (result?.batchItemFailures.length === 0) queues.remove(next);
      return true;
    },

    /** Everything goes on until nothing is left to do. */
    async settle(after: () => Promise<void> = async () => {}): Promise<void> {
      for (let deliveries = 0; await service.deliverNext(); deliveries += 1) {
        if (deliveries > 300) throw new Error('It does not settle');
        await after();
      }
    },
  };
  return service;
};

export type ApiFunction = Parameters<MortalService['call']>[0];
export type MortalService = ReturnType<typeof createMortalService>;
