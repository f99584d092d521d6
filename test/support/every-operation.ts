import { openAsBlob } from 'node:fs';
import * as z from 'zod';
import { ApiProblem, type Client, createClient, startUpdate, uploadFirmware, type Zone } from '../../clients/api/src/index.ts';

interface Operation {
  operationId: string;
  responses: Record<string, { content?: Record<string, { schema: object }> }>;
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object> };
}

/** What became of an operation: the status of a refusal, or 200 for any success. */
export type Outcomes = Record<string, number>;

/**
 * Calls every operation of a running service through the client, and holds each answer against the document that the service itself gives out:
 * the document that the types are made from.
 *
 * @throws where an answer is not as the document says, naming the operation.
 */
export const callEveryOperation = async (client: Client, file: string): Promise<{ outcomes: Outcomes; documented: string[] }> => {
  // JSON Schema knows its definitions under another name than OpenAPI.
  const text = JSON.stringify(await client.getOpenApiDocument()).replaceAll('"#/components/schemas/', '"#/$defs/');
  const document = JSON.parse(text) as Document;
  const operations = new Map(Object.values(document.paths).flatMap((path) => Object.values(path).map((o) => [o.operationId, o])));
  const outcomes: Outcomes = {};

  const expectDocumented = (name: string, isWanted: (status: string) => boolean, answer: unknown): void => {
    const responses = Object.entries(operations.get(name)?.responses ?? {}).filter(([status]) => isWanted(status));
    const contents = responses.flatMap(([, { content }]) => (content ? Object.values(content) : [undefined]));
    const faults = contents.map((content) => {
      if (content === undefined) return answer === undefined ? undefined : 'there is an answer where none is documented';
      const schema = { ...content.schema, $defs: document.components.schemas } as Parameters<typeof z.fromJSONSchema>[0];
      const { error } = z.fromJSONSchema(schema).safeParse(answer);
      return error && z.prettifyError(error);
    });
    if (!faults.includes(undefined))
      throw new Error(`${name}: the answer is not as in the document: ${faults.join('; ') || 'no such status'}`);
  };

  /** The client with each of its operations held against the document. */
  const held = (of: Client): Client =>
    new Proxy(of, {
      get: (target, name: keyof Client & string) => {
        const operation = target[name] as unknown;
        if (typeof operation !== 'function' || !operations.has(name)) return operation;
        return async (...parameters: unknown[]) => {
          try {
            const answer: unknown = await operation(...parameters);
            expectDocumented(name, (status) => /^[23]/.test(status), answer);
            outcomes[name] = 200;
            return answer;
          } catch (error) {
            if (!(error instanceof ApiProblem)) throw error;
            const { status, code, message, errors } = error;
            expectDocumented(name, (each) => each === String(status), {
              ...{ type: 'about:blank', title: 'x', status, code, detail: message, request_id: error.requestId, errors },
            });
            outcomes[name] ??= status;
            return undefined;
          }
        };
      },
    });

  await callAll(held(client), held(createClient({ url: client.connection.url, attempts: 1 })), file);
  return { outcomes, documented: [...operations.keys()] };
};

const kind = 'scooter' as const;
const scooter = 'E-00001';
const cabinet = 'E-CABINET';
/** Nothing has this id. */
const nobody = 2_000_000_000;

const callAll = async (api: Client, withoutToken: Client, file: string): Promise<void> => {
  await callCatalogue(api, file);
  await callFleet(api);
  await callUpdates(api, file);
  await callDevice(api, withoutToken);
  await api.getStats();
  await api.getVersionDays({ hardware_type: 'audio_lock' });
  await withoutToken.getHealth();
  await withoutToken.getOpenApiDocument();
  await withoutToken.getDocsPage();
  await withoutToken.getDocsAsset('page.js');
  await withoutToken.getConsolePage();
  await withoutToken.getConsoleAsset('none.js');
};

const callCatalogue = async (api: Client, file: string): Promise<void> => {
  const name = 'cabinet_light';
  await api.addHardwareType({ name, device_kind: 'cabinet', channel: 'iot', max_size_bytes: 1_000_000 });
  await api.changeHardwareType(name, { max_size_bytes: 2_000_000 });
  await api.deleteHardwareType(name);
  await api.listHardwareTypes();
  const draft = await api.uploadFirmware({ hardware_type: 'audio_lock', version: 'E-draft', size_bytes: 1, sha256: 'a'.repeat(64) });
  await api.deleteFirmware(draft.id);
  const { id } = await uploadFirmware(api, { hardware_type: 'audio_lock', version: 'E-1' }, await openAsBlob(file));
  await api.listFirmwares({ hardware_type: 'audio_lock', links: true });
  await api.editFirmware(id, { comment: 'by every operation' });
  await api.getManifest(id);
  await api.listKeys();
  await api.signFirmware(id, { signatures: [] } as never);
  await api.addAuthorKey({} as never);
  await api.listAuthorKeys();
  await api.approveAuthorKey(nobody);
  await api.revokeAuthorKey(nobody, { reason: 'lost' } as never);
  await api.publishAuthorRoot(1, {} as never);
  await api.listAuthorRoots();
  await api.getAuthorRoot(1);
  const parts = [{ firmware_id: id, install: { path: '/opt/lock.bin' } }];
  const assembly = await api.requestAssembly({ hardware_type: 'cabinet', version: 'E-package', parts });
  await api.listAssemblies();
  await api.getAssembly(assembly.id);
};

const callFleet = async (api: Client): Promise<void> => {
  const devices = [
    { kind, external_id: scooter, version: 1 as const },
    { kind: 'cabinet' as const, external_id: cabinet, channel: 'iot' as const },
  ];
  await api.registerDevices({ devices });
  const zone = { name: 'every', time_zone: 'Europe/Berlin' };
  await api.addZone(zone as Zone);
  await api.changeZone(zone.name, { time_zone: 'Europe/Paris' });
  await api.getZone(zone.name);
  await api.listZones();
  await api.changeDevice(kind, scooter, { zone: zone.name });
  await api.tagDevices({ kind, external_ids: [scooter], add: ['every'] } as never);
  await api.addGroup({ name: 'every', filter: { kind, zone: zone.name } as never });
  await api.changeGroup('every', { comment: 'those of every operation' });
  await api.getGroup('every');
  await api.listGroups();
  await api.listAudit();
  await api.listGroupDevices('every');
  await api.deleteGroup('every');
  await api.changeDevice(kind, scooter, { zone: null });
  await api.deleteZone(zone.name);
  await api.confirmVersions({
    confirmations: [{ external_id: scooter, hardware_type: 'audio_lock', version: '0', status: 'SUCCEEDED' }],
  } as never);
  await api.listDevices({ external_id_prefix: 'E-' });
  await api.getScooter(scooter, { history: true });
  await api.getCabinet(cabinet);
  await api.lookUpDevices({ kind, external_ids: [scooter, 'E-nobody'] });
  const observation = await api.requestObservation({ targets: { kind, external_ids: [scooter] } });
  await api.getObservation(observation.id);
  await api.listObservations();
  await api.resumeObservation(observation.id);
  await api.cancelObservation(observation.id);
};

const callUpdates = async (api: Client, file: string): Promise<void> => {
  const { id: firmware_id } = await uploadFirmware(api, { hardware_type: 'audio_lock', version: 'E-2' }, await openAsBlob(file));
  const request = { firmware_id, targets: { kind, external_ids: [scooter, 'E-nobody'] }, canary: null };
  await api.requestUpdate({ ...request, dry_run: true });
  const start_dt = new Date(Date.now() + 3_600_000).toISOString();
  const { id } = await startUpdate(api, { ...request, start_dt });
  await api.listUpdates({ firmware_id });
  await api.getUpdate(id);
  await api.getUpdateTimeline(id);
  await api.listExecutions(id, { external_id: scooter });
  await api.listExclusions(id);
  await api.approveUpdate(id, {});
  await api.rejectUpdate(id, { remark: 'every operation' });
  await api.pauseUpdate(id, { reason: 'every operation' });
  await api.resumeUpdate(id, {});
  await api.changeUpdatePace(id, { rollout: { maximum_per_minute: 10 } });
  await api.cancelUpdate(id, {});
  await api.retryUpdate(id, {});
  await api.listScooterUpdates(scooter);
  await api.listCabinetUpdates(cabinet);
};

/** As a device that polls, which has nothing to do. */
const callDevice = async (api: Client, withoutToken: Client): Promise<void> => {
  const { token } = await api.issueDeviceToken('cabinet', cabinet);
  const options = { headers: { authorization: `TargetToken ${token}` } };
  const controller = ['default', `cabinet.${cabinet}`] as const;
  await withoutToken.pollController(...controller, options);
  await withoutToken.putConfigData(...controller, { data: { cabinet_version: '1.0' } }, options);
  const feedback = { status: { execution: 'proceeding', result: { finished: 'none' } } } as const;
  await withoutToken.getDeployment(...controller, nobody, {}, options);
  await withoutToken.sendDeploymentFeedback(...controller, nobody, feedback, options);
  await withoutToken.getCancelAction(...controller, nobody, options);
  await withoutToken.sendCancelFeedback(...controller, nobody, feedback, options);
  await withoutToken.getInstalledBase(...controller, nobody, {}, options);
  await withoutToken.downloadArtifact(...controller, nobody, 'none.swu', options);
  await withoutToken.probeArtifact(...controller, nobody, 'none.swu', options);
};
