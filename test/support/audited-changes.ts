import { createHash } from 'node:crypto';
import type { AuditedResource } from '../../lib/audit/audit-line.ts';
import type { Db } from '../../lib/db/database.ts';
import { createAuthorKey, fileOf, release, rootOf, signedRoot } from './authors.ts';
import { givenDevices, givenFirmware } from './fixtures.ts';
import type { Call } from './http.ts';
import type { ApiFunction, MortalService } from './mortal-service.ts';

/** A change that a caller can ask for. */
export interface AuditedChange {
  operationId: string;
  /** Which of the things that this operation does. */
  what?: string;
  function: ApiFunction;
  /** Makes what it needs, of names of its own, and answers the request. */
  given: (service: MortalService, db: Db) => Promise<Call>;
  /** The line that is written of it. `{id}` stands for an id of this moment. */
  line: { action: string; resource: AuditedResource; resource_id: string | null };
  /** The same request again changes something again. */
  isRepeated?: true;
}

let counter = 0;
const unique = (): string => {
  counter += 1;
  return String(counter);
};

const request = (method: string, path: string, body?: unknown, parameters: Record<string, string> = {}): Call => ({
  ...{ method, path },
  ...(body !== undefined && { body }),
  ...(Object.keys(parameters).length > 0 && { pathParameters: parameters }),
  headers: { 'Idempotency-Key': `key-${unique()}`, 'X-Request-Id': 'request-of-change' },
});

const answerOf = async (service: MortalService, name: ApiFunction, call: Call) => (await service.call<{ id: number }>(name, call)).body;

const newType = () => ({ name: `type_${unique()}`, device_kind: 'cabinet', channel: 'iot', max_size_bytes: 10 });
const givenType = async (service: MortalService): Promise<string> => {
  const type = newType();
  await service.call('edit-hardware-type', request('POST', '/v1/hardware-types', type));
  return type.name;
};

const newUpload = (more: object = {}) => {
  const bytes = Buffer.from(`firmware ${unique()}`);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { hardware_type: 'vega_mcu', version: `40.${unique()}`, size_bytes: bytes.length, sha256, ...more };
};
const upload = (body: object = newUpload()) => request('POST', '/v1/firmwares', body);
const ofFirmware = (method: string, id: number, body?: unknown) => request(method, '/v1/firmwares/{id}', body, { id: String(id) });

const newZone = () => ({ name: `zone-${unique()}`, time_zone: 'Europe/Moscow' });
const givenZone = async (service: MortalService): Promise<{ name: string }> => {
  const zone = newZone();
  await service.call('edit-fleet', request('POST', '/v1/zones', zone));
  return { name: zone.name };
};
const newGroup = () => ({ name: `group-${unique()}`, filter: { kind: 'scooter' } });
const givenGroup = async (service: MortalService): Promise<{ name: string }> => {
  const group = newGroup();
  await service.call('edit-fleet', request('POST', '/v1/groups', group));
  return { name: group.name };
};

const givenScooter = async (db: Db): Promise<string> => {
  const [external_id = ''] = await givenDevices(db, 1);
  return external_id;
};
const ofScooter = async (db: Db, body: unknown): Promise<Call> =>
  request('PATCH', '/v1/devices/{kind}/{external_id}', body, { kind: 'scooter', external_id: await givenScooter(db) });

const newKey = () => ({ owner: 'ada', public_key: createAuthorKey().publicKey, hardware_types: ['vega_mcu'] });

const updateOf = async (db: Db) =>
  request('POST', '/v1/updates', { firmware_id: (await givenFirmware(db)).id, targets: { external_ids: [await givenScooter(db)] } });
const givenUpdate = async (service: MortalService, db: Db): Promise<string> =>
  String((await answerOf(service, 'request-update', await updateOf(db))).id);
const control = (id: string, action: string, body: unknown = {}) => request('POST', `/v1/updates/{id}/${action}`, body, { id });
const givenPaused = async (service: MortalService, db: Db): Promise<string> => {
  const id = await givenUpdate(service, db);
  await service.call('control-update', control(id, 'pause'));
  return id;
};

/** Of somebody else, for approval. */
const givenWaiting = async (service: MortalService, db: Db): Promise<string> => {
  const id = await givenUpdate(service, db);
  const waiting = { needs_approval: true, status: 'WAITING_FOR_APPROVAL', created_by: 'somebody else' };
  await db.updateTable('updates').set(waiting).where('id', '=', Number(id)).execute();
  return id;
};

const observationOf = async (db: Db) => request('POST', '/v1/observations', { targets: { external_ids: [await givenScooter(db)] } });

/** Every change that a caller can ask for, at least one for each operation that changes anything. */
export const auditedChanges: readonly AuditedChange[] = [
  {
    ...{ operationId: 'addHardwareType', function: 'edit-hardware-type' },
    given: async () => request('POST', '/v1/hardware-types', newType()),
    line: { action: 'add', resource: 'hardware_type', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'changeHardwareType', function: 'edit-hardware-type' },
    given: async (service) => request('PATCH', '/v1/hardware-types/{name}', { max_size_bytes: 20 }, { name: await givenType(service) }),
    line: { action: 'change', resource: 'hardware_type', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'deleteHardwareType', function: 'edit-hardware-type' },
    given: async (service) => request('DELETE', '/v1/hardware-types/{name}', undefined, { name: await givenType(service) }),
    line: { action: 'delete', resource: 'hardware_type', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'uploadFirmware', what: 'a new version', function: 'upload-firmware' },
    given: async () => upload(),
    line: { action: 'add', resource: 'firmware', resource_id: '{id}' },
    isRepeated: true,
  },
  {
    ...{ operationId: 'uploadFirmware', what: 'other bytes in place of a promise', function: 'upload-firmware' },
    given: async (service) => {
      const body = newUpload();
      await service.call('upload-firmware', upload(body));
      return upload({ ...body, sha256: 'c'.repeat(64) });
    },
    line: { action: 'replace', resource: 'firmware', resource_id: '{id}' },
    isRepeated: true,
  },
  {
    ...{ operationId: 'uploadFirmware', what: 'a fresh link for the same promise', function: 'upload-firmware' },
    given: async (service) => {
      const body = newUpload();
      await service.call('upload-firmware', upload(body));
      service.clock.advance(60);
      return upload(body);
    },
    line: { action: 'renew_upload', resource: 'firmware', resource_id: '{id}' },
    isRepeated: true,
  },
  {
    ...{ operationId: 'editFirmware', what: 'the comment', function: 'edit-firmware' },
    given: async (_service, db) => ofFirmware('PATCH', (await givenFirmware(db)).id, { comment: 'better brakes' }),
    line: { action: 'change', resource: 'firmware', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'editFirmware', what: 'the ordinal', function: 'edit-firmware' },
    given: async (_service, db) => {
      const { id, version_num } = await givenFirmware(db);
      return ofFirmware('PATCH', id, { version_num: version_num + 1_000_000 });
    },
    line: { action: 'change', resource: 'firmware', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'editFirmware', what: 'a withdrawal', function: 'edit-firmware' },
    given: async (_service, db) => ofFirmware('PATCH', (await givenFirmware(db)).id, { status: 'withdrawn', reason: 'brakes too late' }),
    line: { action: 'withdraw', resource: 'firmware', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'deleteFirmware', function: 'edit-firmware' },
    given: async (service) => ofFirmware('DELETE', (await answerOf(service, 'upload-firmware', upload())).id),
    line: { action: 'delete', resource: 'firmware', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'signFirmware', function: 'sign-firmware' },
    given: async (service, db) => {
      const key = createAuthorKey();
      const owner = `ada-${unique()}`;
      await service.call('author-keys', request('POST', '/v1/author-keys', { ...newKey(), owner, public_key: key.publicKey }));
      const bytes = Buffer.from(`signed firmware ${unique()}`);
      const { id, version } = await givenFirmware(db, { bytes });
      const signatures = [await release(fileOf('vega_mcu', version, bytes), key)];
      return request('PUT', '/v1/firmwares/{id}/signatures', { signatures }, { id: String(id) });
    },
    line: { action: 'sign', resource: 'firmware', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'addAuthorKey', function: 'author-keys' },
    given: async () => request('POST', '/v1/author-keys', newKey()),
    line: { action: 'add', resource: 'author_key', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'approveAuthorKey', function: 'author-keys' },
    given: async (service, db) => {
      const { id } = await answerOf(service, 'author-keys', request('POST', '/v1/author-keys', newKey()));
      await db.updateTable('author_keys').set({ needs_approval: true, created_by: 'somebody else' }).where('id', '=', id).execute();
      return request('POST', '/v1/author-keys/{id}/approve', undefined, { id: String(id) });
    },
    line: { action: 'approve', resource: 'author_key', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'revokeAuthorKey', function: 'author-keys' },
    given: async (service) => {
      const { id } = await answerOf(service, 'author-keys', request('POST', '/v1/author-keys', newKey()));
      return request('POST', '/v1/author-keys/{id}/revoke', { reason: 'lost' }, { id: String(id) });
    },
    line: { action: 'revoke', resource: 'author_key', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'publishAuthorRoot', function: 'author-keys' },
    given: async (_service, db) => {
      await db.deleteFrom('author_roots').execute();
      const key = createAuthorKey();
      const root = await signedRoot(rootOf({ ada: createAuthorKey() }, key), key);
      return request('PUT', '/v1/author-roots/{version}', root, { version: '1' });
    },
    line: { action: 'publish', resource: 'author_root', resource_id: '1' },
  },
  {
    ...{ operationId: 'requestAssembly', function: 'request-assembly' },
    given: async (_service, db) => {
      const parts = [
        { firmware_id: (await givenFirmware(db)).id },
        { firmware_id: (await givenFirmware(db, { hardware_type: 'vega_gsm' })).id },
      ];
      return request('POST', '/v1/assemblies', { hardware_type: 'cabinet', version: `40.${unique()}`, parts });
    },
    line: { action: 'request', resource: 'assembly', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'registerDevices', function: 'register-devices' },
    given: async () => request('PUT', '/v1/devices', { devices: [{ kind: 'scooter', external_id: `N-${unique()}`, version: 1 }] }),
    line: { action: 'register', resource: 'device', resource_id: null },
  },
  {
    ...{ operationId: 'registerDevices', what: 'first tokens', function: 'register-devices' },
    given: async (_service, db) => {
      const [external_id] = await givenDevices(db, 1, { kind: 'cabinet', version: null });
      return request('PUT', '/v1/devices', { devices: [{ kind: 'cabinet', external_id }], issue_tokens: true });
    },
    line: { action: 'issue_token', resource: 'device', resource_id: null },
  },
  {
    ...{ operationId: 'issueDeviceToken', function: 'issue-device-token' },
    given: async (_service, db) => {
      const [external_id = ''] = await givenDevices(db, 1, { kind: 'cabinet', version: null });
      return request('POST', '/v1/devices/{kind}/{external_id}/token', undefined, { kind: 'cabinet', external_id });
    },
    line: { action: 'issue_token', resource: 'device', resource_id: '{id}' },
    isRepeated: true,
  },
  {
    ...{ operationId: 'changeDevice', what: 'where it stands', function: 'edit-fleet' },
    given: async (service, db) => ofScooter(db, { zone: (await givenZone(service)).name, tags: ['night'] }),
    line: { action: 'change', resource: 'device', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'changeDevice', what: 'its retirement', function: 'edit-fleet' },
    given: async (_service, db) => ofScooter(db, { retired: true }),
    line: { action: 'retire', resource: 'device', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'changeDevice', what: 'its id', function: 'edit-fleet' },
    given: async (_service, db) => ofScooter(db, { external_id: `R-${unique()}` }),
    line: { action: 'change', resource: 'device', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'tagDevices', function: 'edit-fleet' },
    given: async (_service, db) =>
      request('POST', '/v1/devices/tags', { kind: 'scooter', external_ids: [await givenScooter(db)], add: ['night'] }),
    line: { action: 'tag', resource: 'device', resource_id: null },
  },
  {
    ...{ operationId: 'addZone', function: 'edit-fleet' },
    given: async () => request('POST', '/v1/zones', newZone()),
    line: { action: 'add', resource: 'zone', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'changeZone', function: 'edit-fleet' },
    given: async (service) => request('PATCH', '/v1/zones/{name}', { maximum_unavailable_percentage: 5 }, await givenZone(service)),
    line: { action: 'change', resource: 'zone', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'deleteZone', function: 'edit-fleet' },
    given: async (service) => request('DELETE', '/v1/zones/{name}', undefined, await givenZone(service)),
    line: { action: 'delete', resource: 'zone', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'addGroup', function: 'edit-fleet' },
    given: async () => request('POST', '/v1/groups', newGroup()),
    line: { action: 'add', resource: 'group', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'changeGroup', function: 'edit-fleet' },
    given: async (service) => request('PATCH', '/v1/groups/{name}', { comment: 'at night' }, await givenGroup(service)),
    line: { action: 'change', resource: 'group', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'deleteGroup', function: 'edit-fleet' },
    given: async (service) => request('DELETE', '/v1/groups/{name}', undefined, await givenGroup(service)),
    line: { action: 'delete', resource: 'group', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'requestObservation', function: 'observe-versions' },
    given: async (_service, db) => observationOf(db),
    line: { action: 'request', resource: 'observation', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'cancelObservation', function: 'observe-versions' },
    given: async (service, db) => {
      const { id } = await answerOf(service, 'observe-versions', await observationOf(db));
      return request('POST', '/v1/observations/{id}/cancel', undefined, { id: String(id) });
    },
    line: { action: 'cancel', resource: 'observation', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'requestUpdate', function: 'request-update' },
    given: async (_service, db) => updateOf(db),
    line: { action: 'request', resource: 'update', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'retryUpdate', function: 'retry-update' },
    given: async (service, db) => {
      const id = await givenUpdate(service, db);
      await db
        .updateTable('update_executions')
        .set({ status: 'FAILED', phase: 'ended', finished_dt: service.clock.now() })
        .where('update_id', '=', Number(id))
        .execute();
      await service.settle();
      return request('POST', '/v1/updates/{id}/retry', { comment: 'again' }, { id });
    },
    line: { action: 'request', resource: 'update', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'pauseUpdate', function: 'control-update' },
    given: async (service, db) => control(await givenUpdate(service, db), 'pause'),
    line: { action: 'pause', resource: 'update', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'resumeUpdate', function: 'control-update' },
    given: async (service, db) => control(await givenPaused(service, db), 'resume'),
    line: { action: 'resume', resource: 'update', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'resumeUpdate', what: 'the backend, to be tried again', function: 'control-update' },
    given: async (service, db) => {
      const id = await givenUpdate(service, db);
      const closed_until = new Date(service.clock.now().getTime() + 60_000);
      await db.updateTable('backend_gate').set({ closed_until, failures: 1 }).execute();
      return control(id, 'resume');
    },
    line: { action: 'resume', resource: 'update', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'cancelUpdate', function: 'control-update' },
    given: async (service, db) => control(await givenUpdate(service, db), 'cancel', { reason: 'too early' }),
    line: { action: 'cancel', resource: 'update', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'approveUpdate', function: 'control-update' },
    given: async (service, db) => control(await givenWaiting(service, db), 'approve', { remark: 'read and agreed' }),
    line: { action: 'approve', resource: 'update', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'rejectUpdate', function: 'control-update' },
    given: async (service, db) => control(await givenWaiting(service, db), 'reject', { remark: 'not on a Friday' }),
    line: { action: 'reject', resource: 'update', resource_id: '{id}' },
  },
  {
    ...{ operationId: 'changeUpdatePace', function: 'control-update' },
    given: async (service, db) =>
      request('PATCH', '/v1/updates/{id}', { rollout: { maximum_per_minute: 7 } }, { id: await givenUpdate(service, db) }),
    line: { action: 'change_pace', resource: 'update', resource_id: '{id}' },
  },
];

/** Operations that POST, PUT, PATCH or DELETE, and change nothing that a caller asks for. */
export const unaudited: Readonly<Record<string, string>> = {
  lookUpDevices: 'reads',
  resumeObservation: 'sends a message again, and changes nothing',
  confirmVersions: 'says what devices report',
};
