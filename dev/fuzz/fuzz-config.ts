// How schemathesis is told what there is, and what is left out and why.
import type { Seed } from './fuzz-seed.ts';

type Parameter = [name: string, values: readonly (string | number)[], probability?: number];
interface Exclusion {
  comment: string;
  settings: string[];
}

/** Three of four requests ask for something that is there. */
const PROBABILITY = 0.75;

/** A file for `schemathesis --config-file`. TOML's strings and lists are written as JSON's are. */
export function fuzzConfig({ token, seed, examples }: { token: string; seed: Seed; examples: number }): string {
  const { controller } = seed;
  const parameters: [string, Parameter[]][] = [
    ['^/v1/(firmwares)', [['path.id', seed.firmware_ids]]],
    ['^/v1/(updates)', [['path.id', seed.update_ids]]],
    ['^/v1/(assemblies)', [['path.id', seed.assembly_ids]]],
    ['^/v1/(observations)', [['path.id', seed.observation_ids]]],
    ['^/v1/(scooters)', [['path.external_id', seed.scooters]]],
    ['^/v1/(cabinets|devices/)', [['path.external_id', seed.cabinets]]],
    [
      '^/\\{tenant\\}',
      [
        // Always this one: a token is of one device. What others get is seen by the check `ignored_auth`.
        ['path.tenant', ['default', 'DEFAULT'], 1],
        ['path.controllerId', [controller.id], 1],
        ['path.actionId', controller.action_ids],
        ['path.softwareModuleId', controller.module_ids],
        ['path.filename', [controller.filename]],
      ],
    ],
  ];
  const dictionaries = new Map<string, readonly (string | number)[]>();
  const operations = parameters.map(([pattern, bound], index) => {
    const lines = bound.map(([name, values, probability = PROBABILITY]) => {
      const dictionary = `${name.replaceAll('.', '_')}_${index}`;
      dictionaries.set(dictionary, values);
      return `${JSON.stringify(name)} = { dictionary = ${JSON.stringify(dictionary)}, probability = ${probability} }`;
    });
    return `[[operations]]\ninclude-path-regex = ${JSON.stringify(pattern)}\n[operations.parameters]\n${lines.join('\n')}`;
  });
  return [
    `generation.max-examples = ${examples}`,
    'continue-on-failure = true',
    'request-timeout = 20.0',
    ...['[auth.openapi.token]', `bearer = ${JSON.stringify(token)}`],
    ...['[auth.openapi.deviceToken]', `api_key = ${JSON.stringify(`TargetToken ${controller.token}`)}`],
    ...exclusions.flatMap(({ comment, settings }) => [`# ${comment}`, ...settings]),
    ...operations,
    ...[...dictionaries].map(([name, values]) => `[dictionaries.${name}]\nvalues = ${JSON.stringify(values)}`),
    '',
  ].join('\n');
}

/** Each with its reason. */
const exclusions: Exclusion[] = [
  {
    comment:
      '422 is said of what is well-formed and impossible now: another state of the fleet would take it. A document cannot say which.',
    settings: ['[checks.positive_data_acceptance]', 'expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 422, 429]'],
  },
  {
    comment: 'A cursor is valid only in the list that gave it, under the conditions under which it was given.',
    settings: [
      '[[operations]]',
      'include-operation-id-regex = "^list|^getObservation$|^getScooter$|^getCabinet$"',
      '[operations.checks.positive_data_acceptance]',
      'enabled = false',
    ],
  },
  {
    // How large a file may be and which texts are versions is told by the hardware type, which is data; a change has to make sense together
    // with what it leaves as it is; no device may come twice; a regular expression has to be one.
    comment:
      'Rules that depend on stored data or on other items of a list, and rules of texts beyond patterns, cannot be said in JSON Schema.',
    settings: [
      '[[operations]]',
      'include-operation-id-regex = "^uploadFirmware$|^requestAssembly$|^requestUpdate$|HardwareType$|^confirmVersions$|^registerDevices$|^requestObservation$"',
      '[operations.checks.positive_data_acceptance]',
      'enabled = false',
    ],
  },
  {
    comment: 'Each report of a batch is judged on its own: one that is not well-formed is answered 200, with the outcome refused.',
    settings: [
      '[[operations]]',
      'include-operation-id-regex = "^confirmVersions$"',
      '[operations.checks.negative_data_rejection]',
      'enabled = false',
    ],
  },
  {
    comment: 'serverless-offline has no route for TRACE and answers 404 itself; API Gateway refuses it.',
    settings: ['[phases.coverage]', 'unexpected-methods = ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"]'],
  },
];
