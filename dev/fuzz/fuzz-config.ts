// The configuration of schemathesis: which values exist, and what is not checked and why.
import type { Seed } from './fuzz-seed.ts';

type Value = string | number;
/** Values of parameters and fields, by their place. They are used three times out of four, or always. */
type Known = Record<string, readonly Value[] | { always: readonly Value[] }>;

const PROBABILITY = 0.75;

/** A file for `schemathesis --config-file`. TOML's strings and lists are written as JSON's are. */
export function fuzzConfig({ token, seed, examples }: { token: string; seed: Seed; examples: number }): string {
  const dictionaries: string[] = [];
  const operations = knownOf(seed).map(([pattern, known]) => {
    const lines = Object.entries(known).map(([place, values]) => {
      const name = `known_${dictionaries.length}`;
      const [list, probability] = 'always' in values ? [values.always, 1] : [values, PROBABILITY];
      dictionaries.push(`[dictionaries.${name}]\nvalues = ${JSON.stringify(list)}`);
      return `${JSON.stringify(place)} = { dictionary = "${name}", probability = ${probability} }`;
    });
    return `[[operations]]\ninclude-path-regex = ${JSON.stringify(pattern)}\n[operations.parameters]\n${lines.join('\n')}`;
  });
  return [
    `generation.max-examples = ${examples}`,
    'continue-on-failure = true',
    'request-timeout = 20.0',
    ...['[auth.openapi.token]', `bearer = ${JSON.stringify(token)}`],
    ...['[auth.openapi.deviceToken]', `api_key = ${JSON.stringify(`TargetToken ${seed.controller.token}`)}`],
    ...exclusions.flatMap(({ settings }) => settings),
    ...operations,
    ...dictionaries,
    '',
  ].join('\n');
}

/** The known values, each with a regular expression of the paths for which they are used. */
const knownOf = ({ controller, ...seed }: Seed): [string, Known][] => {
  const type = seed.hardware_types;
  const firmware = seed.firmware_ids;
  // Always this device, because a token belongs to one device. The check `ignored_auth` covers calls with a wrong token.
  const self: Known = { 'path.tenant': { always: ['default', 'DEFAULT'] }, 'path.controllerId': { always: [controller.id] } };
  const action = (ids: readonly number[]): Known => ({ ...self, 'path.actionId': ids });
  return [
    ['^/v1/firmwares$', { 'body.hardware_type': type, 'query.hardware_type': type }],
    ['^/v1/firmwares/', { 'path.id': firmware }],
    ['^/v1/assemblies$', { 'body.hardware_type': ['yandex_iot', 'cabinet'], 'body.parts[*].firmware_id': seed.part_ids }],
    ['^/v1/assemblies/', { 'path.id': seed.assembly_ids }],
    ['^/v1/devices$', { 'body.devices[*].external_id': seed.cabinets, 'query.runs_firmware_id': firmware }],
    ['^/v1/devices/(lookup|tags)$', { 'body.external_ids[*]': seed.scooters }],
    ['^/v1/zones/', { 'path.name': seed.zones }],
    [
      '^/v1/updates$',
      {
        'body.firmware_id': firmware,
        'body.targets.external_ids[*]': seed.scooters,
        'body.targets.filter.running.hardware_type': type,
      },
    ],
    [String.raw`^/v1/updates/\{id\}/(pause|resume)$`, { 'path.id': seed.running_update_ids }],
    [String.raw`^/v1/updates/\{id\}(?!/pause$|/resume$)`, { 'path.id': seed.update_ids }],
    ['^/v1/confirmations$', { 'body.confirmations[*].external_id': seed.scooters, 'body.confirmations[*].hardware_type': type }],
    ['^/v1/observations/', { 'path.id': seed.observation_ids }],
    ['^/v1/scooters/', { 'path.external_id': seed.scooters }],
    [String.raw`^/v1/(cabinets|devices/\{kind\})/`, { 'path.external_id': seed.cabinets }],
    [String.raw`^/\{tenant\}/controller/v1/\{controllerId\}(/configData)?$`, self],
    [String.raw`/deploymentBase/\{actionId\}$`, action(controller.to_install)],
    [String.raw`/deploymentBase/\{actionId\}/feedback$`, action(controller.to_report)],
    [String.raw`/cancelAction/\{actionId\}$`, action(controller.to_stop)],
    [String.raw`/cancelAction/\{actionId\}/feedback$`, action(controller.to_report_stopped)],
    ['/installedBase/', action(controller.installed)],
    ['/softwaremodules/', { ...self, 'path.softwareModuleId': controller.module_ids, 'path.filename': [controller.filename] }],
  ];
};

/** What is not checked, each with its reason. */
export const exclusions: { reason: string; settings: string[] }[] = [
  {
    reason:
      '422 means that a well-formed request is impossible now; in another state of the fleet it would succeed. A schema cannot say when.',
    settings: ['[checks.positive_data_acceptance]', 'expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 422, 429]'],
  },
  {
    reason: 'A cursor is valid only in the list that gave it, under the conditions under which it was given.',
    settings: [
      '[[operations]]',
      'include-operation-id-regex = "^list|^getObservation$|^getScooter$|^getCabinet$"',
      '[operations.checks.positive_data_acceptance]',
      'enabled = false',
    ],
  },
  {
    // How large a file may be and which texts are versions is told by the hardware type, which is data; a change has to make sense together
    // with what it leaves as it is; no device may come twice; a tag is not added and removed; a window and a span of time end after they
    // begin; a regular expression, a time zone, a key and a signature have to be one. Which attributes of a device have to be texts is told by
    // the hardware types: those that name a version.
    reason:
      'Rules that depend on stored data, on other items of a list or other parameters, and rules of texts beyond patterns, cannot be said in JSON Schema.',
    settings: [
      '[[operations]]',
      'include-operation-id-regex = "^uploadFirmware$|^requestAssembly$|^requestUpdate$|HardwareType$|^confirmVersions$|^registerDevices$|^changeDevice$|^tagDevices$|Zone$|Group$|^getUpdateTimeline$|^getVersionDays$|^addAuthorKey$|^publishAuthorRoot$|^signFirmware$|^requestObservation$|^putConfigData$"',
      '[operations.checks.positive_data_acceptance]',
      'enabled = false',
    ],
  },
  {
    reason: 'A field that is too long can make the whole body too large, and this error (413) is reported first.',
    settings: [
      '[checks.negative_data_rejection]',
      'expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429"]',
    ],
  },
  {
    reason:
      'Each report of a batch, and with `partial` each device, is judged on its own: the answer is 200 and says which ones were refused.',
    settings: [
      '[[operations]]',
      'include-operation-id-regex = "^confirmVersions$|^registerDevices$"',
      '[operations.checks.negative_data_rejection]',
      'enabled = false',
    ],
  },
  {
    reason: 'serverless-offline has no route for TRACE and answers 404 itself; API Gateway refuses it.',
    settings: ['[phases.coverage]', 'unexpected-methods = ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"]'],
  },
];
