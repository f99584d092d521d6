import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { routes } from '../../../functions/routes.ts';
import { createOpenApiDocument } from '../../../lib/http/openapi.ts';

type OperationId = (typeof routes)[number]['operationId'];

// As a caller gets it: through JSON.
const document = JSON.parse(JSON.stringify(createOpenApiDocument(routes))) as {
  paths: Record<string, Record<string, { operationId: string; requestBody?: { content: { 'application/json': { schema: object } } } }>>;
};
// Formats are for people: every text with one has a pattern too.
const ajv = new Ajv2020({ strict: false, validateFormats: false }).addSchema(document, 'openapi.json');

const isTakenByDocument = (operationId: OperationId, body: unknown): boolean => {
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      if (operation.operationId !== operationId) continue;
      const place = ['paths', path, method, 'requestBody', 'content', 'application/json', 'schema'];
      const pointer = place.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/');
      return ajv.compile({ $ref: `openapi.json#/${pointer}` })(body);
    }
  }
  throw new Error(`There is no operation ${operationId}`);
};

const isTakenByService = (operationId: OperationId, body: unknown): boolean =>
  routes.find((route) => route.operationId === operationId)?.body?.safeParse(body).success ?? false;

const type = { name: 'radio', device_kind: 'scooter', channel: 'telematics', max_size_bytes: 1_000 };
const cabinetType = { ...type, device_kind: 'cabinet', channel: 'iot' };
const update = { firmware_id: 1, targets: { external_ids: ['S-1'] } };
const running = { hardware_type: 'radio', firmware_id: 1 };
const part = (install: object) => ({ hardware_type: 'cabinet', version: '1', parts: [{ firmware_id: 1, install }] });
const window = (days: string[]) => ({ from: '02:00', until: '05:00', days });
const feedback = (status: object) => ({ status });
const assembly = { ...part({}), hardware_compatibility: ['1.0'] };

const cases: [OperationId, string, object, boolean][] = [
  ['addHardwareType', 'a scooter’s that fits a generation', { ...type, scooter_versions: [1] }, true],
  ['addHardwareType', 'a scooter’s that fits scooters with their own IoT', { ...type, fits_own_iot: true }, true],
  ['addHardwareType', 'a scooter’s that fits both', { ...type, scooter_versions: [2, 1], fits_own_iot: true }, true],
  ['addHardwareType', 'a scooter’s that fits no scooter', type, false],
  ['addHardwareType', 'a scooter’s that says that it fits no scooter', { ...type, scooter_versions: [], fits_own_iot: false }, false],
  ['addHardwareType', 'a cabinet’s', cabinetType, true],
  ['addHardwareType', 'a cabinet’s that fits no scooter', { ...cabinetType, scooter_versions: [], fits_own_iot: false }, true],
  ['addHardwareType', 'a cabinet’s that fits a generation of scooters', { ...cabinetType, scooter_versions: [1] }, false],
  ['addHardwareType', 'a cabinet’s that fits scooters with their own IoT', { ...cabinetType, fits_own_iot: true }, false],
  ['addHardwareType', 'versions like 1.2', { ...cabinetType, version_pattern: String.raw`\d+\.\d+` }, true],
  ['addHardwareType', 'versions with a reference back', { ...cabinetType, version_pattern: String.raw`(a)\1` }, false],
  ['addHardwareType', 'versions with a character that is no ASCII', { ...cabinetType, version_pattern: 'é' }, false],
  ['changeHardwareType', 'one field', { max_size_bytes: 5 }, true],
  ['changeHardwareType', 'nothing', {}, false],

  ['requestUpdate', 'neither a downgrade nor a comment', update, true],
  ['requestUpdate', 'no downgrade, which is said', { ...update, allow_downgrade: false }, true],
  ['requestUpdate', 'a downgrade with a comment', { ...update, allow_downgrade: true, comment: 'back to 1.3' }, true],
  ['requestUpdate', 'a downgrade without a comment', { ...update, allow_downgrade: true }, false],
  ['requestUpdate', 'a downgrade with a comment of spaces', { ...update, allow_downgrade: true, comment: ' \t' }, false],
  ['requestUpdate', 'a dry run of a downgrade without a comment', { ...update, allow_downgrade: true, dry_run: true }, false],
  ['requestUpdate', 'a canary of a size', { ...update, canary: { size: 5 } }, true],
  ['requestUpdate', 'a canary of a share', { ...update, canary: { percentage: 5 } }, true],
  ['requestUpdate', 'a canary of both', { ...update, canary: { size: 5, percentage: 5 } }, false],
  ['requestUpdate', 'a canary of neither', { ...update, canary: {} }, false],
  ['requestUpdate', 'no canary', { ...update, canary: null }, true],
  ['requestUpdate', 'devices and a filter', { ...update, targets: { external_ids: ['S-1'], filter: {} } }, false],
  ['requestUpdate', 'who runs a version', { ...update, targets: { filter: { running: { hardware_type: 'a', version: '1' } } } }, true],
  [
    'requestUpdate',
    'who runs a version and a firmware',
    { ...update, targets: { filter: { running: { ...running, version: '1' } } } },
    false,
  ],

  ['requestObservation', 'who runs a firmware', { targets: { filter: { running } } }, true],
  ['requestObservation', 'who runs a firmware, and nobody unknown', { targets: { filter: { running } }, add_unknown: false }, true],
  ['requestObservation', 'who runs a firmware, and who is unknown', { targets: { filter: { running } }, add_unknown: true }, false],
  ['requestObservation', 'everybody, and who is unknown', { targets: { filter: {} }, add_unknown: true }, true],
  ['requestObservation', 'these, and who of them is unknown', { targets: { external_ids: ['S-1'] }, add_unknown: true }, true],

  ['editFirmware', 'a comment', { comment: '' }, true],
  ['editFirmware', 'nothing', {}, false],
  ['editFirmware', 'a withdrawal with its reason', { status: 'withdrawn', reason: 'bricks' }, true],
  ['editFirmware', 'a withdrawal without a reason', { status: 'withdrawn' }, false],
  ['editFirmware', 'a reason of no withdrawal', { reason: 'bricks' }, false],

  ['registerDevices', 'a scooter of a generation', { devices: [{ kind: 'scooter', external_id: 'S-1', version: 1 }] }, true],
  ['registerDevices', 'a cabinet', { devices: [{ kind: 'cabinet', external_id: 'C-1', version: null }] }, true],

  ['requestAssembly', 'a file at its usual place', assembly, true],
  ['requestAssembly', 'a file', part({ handler: 'rawfile', path: '/opt/a.bin' }), true],
  ['requestAssembly', 'a file on a device', part({ handler: 'rawfile', device: '/dev/sda1' }), false],
  ['requestAssembly', 'an archive', part({ handler: 'archive', path: '/opt' }), true],
  ['requestAssembly', 'an archive without a place', part({ handler: 'archive' }), false],
  ['requestAssembly', 'a raw image', part({ handler: 'raw', device: '/dev/sda1' }), true],
  ['requestAssembly', 'a raw image without a device', part({ handler: 'raw' }), false],
  ['requestAssembly', 'a raw image with a path', part({ handler: 'raw', device: '/dev/sda1', path: '/opt' }), false],
  ['requestAssembly', 'a raw image on what is no device', part({ handler: 'raw', device: '/opt/sda1' }), false],
  ['requestAssembly', 'a path that is not absolute', part({ path: 'opt/a.bin' }), false],
  ['requestAssembly', 'a path with ..', part({ path: '/opt/../a.bin' }), false],
  ['requestAssembly', 'a path that ends in ..', part({ path: '/opt/..' }), false],
  ['requestAssembly', 'a path with a name that begins with ..', part({ path: '/opt/..a/...' }), true],
  ['requestAssembly', 'a path with an empty part', part({ path: '/opt//a.bin' }), false],
  ['requestAssembly', 'a path with a line break', part({ path: '/opt/a\nb' }), false],
  ['tagDevices', 'a tag to add', { external_ids: ['S-1'], add: ['night'] }, true],
  ['tagDevices', 'a tag to remove', { external_ids: ['S-1'], add: [], remove: ['night'] }, true],
  ['tagDevices', 'no tag', { external_ids: ['S-1'] }, false],
  ['tagDevices', 'no tag, which is said', { external_ids: ['S-1'], add: [], remove: [] }, false],
  ['tagDevices', 'a tag twice', { external_ids: ['S-1'], add: ['night', 'night'] }, false],
  ['changeDevice', 'nothing', {}, false],
  ['changeDevice', 'a revision', { revision: 'B' }, true],
  ['addZone', 'a name', { name: 'north', time_zone: 'Europe/Berlin' }, true],
  ['addZone', 'the name that stands for no zone', { name: 'none', time_zone: 'Europe/Berlin' }, false],
  ['addZone', 'a window on Mondays', { name: 'north', time_zone: 'Europe/Berlin', maintenance_window: window(['monday']) }, true],
  ['addZone', 'a window on Mondays twice', { name: 'a', time_zone: 'UTC', maintenance_window: window(['monday', 'monday']) }, false],
  ['changeZone', 'nothing', {}, false],

  ['sendDeploymentFeedback', 'a success', feedback({ execution: 'closed', result: { finished: 'success' }, details: ['done'] }), true],
  ['sendDeploymentFeedback', 'no result', feedback({ execution: 'closed' }), true],
  ['sendDeploymentFeedback', 'an unknown result', feedback({ execution: 'closed', result: { finished: 'failed' } }), true],
  ['sendDeploymentFeedback', 'a result that is no object', feedback({ execution: 'closed', result: 'success' }), true],
  ['sendDeploymentFeedback', 'details that are no texts', feedback({ execution: 'proceeding', details: [{ step: 1 }, 2, null] }), true],
  ['sendDeploymentFeedback', 'details that are no list', feedback({ execution: 'proceeding', details: 'step 1' }), true],
  ['sendDeploymentFeedback', 'fields that nobody knows', { ...feedback({ execution: 'proceeding', cnt: 1 }), time: '2026' }, true],
  ['sendDeploymentFeedback', 'a time', { ...feedback({ execution: 'proceeding' }), timestamp: 1_764_144_000_000 }, true],
  ['sendDeploymentFeedback', 'a time that is none', { ...feedback({ execution: 'proceeding' }), timestamp: {} }, true],
  ['sendDeploymentFeedback', 'an unknown word', feedback({ execution: 'ready' }), false],
  ['sendDeploymentFeedback', 'no word', feedback({ result: { finished: 'success' } }), false],

  ['requestAssembly', 'a revision with a tabulator', { ...assembly, hardware_compatibility: ['1\t0'] }, false],
];

describe('what the document says of a body is what the service does', () => {
  it.each(cases)('%s: %s', (operationId, _, body, isTaken) => {
    expect({ service: isTakenByService(operationId, body), document: isTakenByDocument(operationId, body) }).toEqual({
      service: isTaken,
      document: isTaken,
    });
  });

  it('registerDevices: a cabinet with a generation is refused by itself, and the document does not offer it', () => {
    const body = { devices: [{ kind: 'cabinet', external_id: 'C-1', version: 1 }] };
    expect(isTakenByDocument('registerDevices', body)).toBe(false);
  });
});
