import * as z from 'zod/mini';
import { IdInPath } from '../http/path-parameters.ts';
import { wordsOfOthers } from '../words-of-others.ts';

/**
 * The shapes of Eclipse hawkBit's Direct Device Integration API, version 1 (https://eclipse.dev/hawkbit/apis/ddi_api/), as far as its
 * clients use it: SWUpdate's suricatta and rauc-hawkbit-updater. Whatever else they send is ignored, not refused.
 */

export const ControllerPath = z.object({
  tenant: z.string().check(z.maxLength(128), z.meta({ example: 'default' })),
  controllerId: z.string().check(z.maxLength(256), z.meta({ description: '`{kind}.{external_id}`', example: 'cabinet.C-17' })),
});
export const ActionPath = z.extend(ControllerPath, { actionId: IdInPath.shape.id });
/** hawkBit puts the first into its own links and documents the second, so clients may send them. They have no effect here. */
export const DeploymentQuery = z.strictObject({
  c: z.optional(z.string()).check(z.meta({ description: "hawkBit's; ignored" })),
  actionHistory: z.optional(z.string()).check(z.meta({ description: "hawkBit's; ignored" })),
});
export const ArtifactPath = z.extend(ControllerPath, { softwareModuleId: IdInPath.shape.id, filename: z.string().check(z.maxLength(256)) });

const Link = z.object({ href: z.url() });

export const ControllerBase = z
  .object({
    config: z.object({ polling: z.object({ sleep: z.string().check(z.meta({ description: 'HH:MM:SS', example: '00:05:00' })) }) }),
    _links: z.object({
      deploymentBase: z.optional(Link).check(z.meta({ description: 'There is something to install' })),
      cancelAction: z
        .optional(Link)
        .check(z.meta({ description: 'What is being installed is not wanted any more; never beside deploymentBase' })),
      configData: z.optional(Link).check(z.meta({ description: 'The attributes of the device are wanted, above all its version' })),
    }),
  })
  .register(z.globalRegistry, { id: 'ControllerBase' });
export type ControllerBase = z.infer<typeof ControllerBase>;

const Artifact = z.object({
  filename: z.string(),
  hashes: z.object({ sha1: z.string(), md5: z.string(), sha256: z.string() }),
  size: z.int().check(z.meta({ description: 'Bytes' })),
  _links: z.object({ download: Link, 'download-http': Link }),
});

export const Deployment = z
  .object({
    id: z.string().check(z.meta({ description: 'The id of the execution', example: '4711' })),
    deployment: z.object({
      download: z.enum(['attempt', 'forced']),
      update: z.enum(['attempt', 'forced']),
      chunks: z.array(
        z.object({
          part: z.string(),
          version: z.string(),
          name: z.string(),
          artifacts: z.array(Artifact),
          metadata: z.optional(z.array(z.object({ key: z.string(), value: z.string() }))),
        }),
      ),
    }),
  })
  .register(z.globalRegistry, { id: 'Deployment' });
export type Deployment = z.infer<typeof Deployment>;

export const CancelAction = z
  .object({
    id: z.string(),
    cancelAction: z.object({ stopId: z.string().check(z.meta({ description: 'The action that is to be stopped' })) }),
  })
  .register(z.globalRegistry, { id: 'CancelAction' });
export type CancelAction = z.infer<typeof CancelAction>;

/** How many lines of a device's words are kept. More are cut off, not refused: the device would send them again and again. */
const maximumDetails = 50;
const maximumDetailLength = 512;

/** What was sent, in the form in which it is kept. */
export const keptText = (value: unknown, maximumLength: number): string =>
  wordsOfOthers(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''), maximumLength);

const toLine = (value: unknown): string => keptText(value, maximumDetailLength);

/** Lines of text, whatever the client made of them. */
const Details = z
  .pipe(
    z.optional(z.unknown()),
    z.transform((details) => {
      if (details === undefined || details === null) return [];
      return (Array.isArray(details) ? details : [details]).slice(0, maximumDetails).map(toLine);
    }),
  )
  .check(
    z.meta({
      description:
        'Lines of text; the first 50 are kept, with 512 characters each. Anything else is accepted too, and kept as JSON. They begin with ' +
        '`not trusted: ` if the device does not believe what it was told to install: this raises an alarm',
      example: ['Written to slot B'],
    }),
  );

const executionWords = ['closed', 'proceeding', 'canceled', 'scheduled', 'rejected', 'resumed', 'downloaded', 'download'] as const;
const results = ['success', 'failure', 'none'] as const;
export type Result = (typeof results)[number];

/** How something has ended: one of the protocol's words, or whatever was sent instead of one. */
const Finished = z.pipe(
  z.optional(z.unknown()),
  z.transform((result): { finished: Result } | { finished: null; sent: string } => {
    const finished = (result as { finished?: unknown } | null | undefined)?.finished;
    const known = results.find((word) => word === finished);
    return known ? { finished: known } : { finished: null, sent: finished === undefined ? 'nothing' : toLine(finished) };
  }),
);

/** The first millisecond of the year 10000. */
const firstTooLateMilliseconds = 253_402_300_800_000;

/** When the device said it, by its own clock; undefined: it sent none, like most clients, or something that is no time. */
const SaidAt = z.pipe(
  z.optional(z.unknown()),
  z.transform((milliseconds) =>
    typeof milliseconds === 'number' && milliseconds >= 0 && milliseconds < firstTooLateMilliseconds ? new Date(milliseconds) : undefined,
  ),
);

export const ActionFeedback = z
  .object({
    timestamp: SaidAt.check(
      z.meta({
        anyOf: [{ type: 'integer' }, { description: 'Anything else: as if it were not there' }],
        description: 'Milliseconds since 1970. It tells which try a failure is about: a failure from before the latest try changes nothing',
      }),
    ),
    status: z.object({
      execution: z.enum(executionWords),
      result: Finished.check(
        z.meta({
          anyOf: [{ type: 'object', properties: { finished: { type: 'string', enum: [...results] } } }, { description: 'Anything else' }],
          description: 'With `closed`: how it has ended. Every value except success and none counts as a failure; so does a missing result',
        }),
      ),
      details: Details,
    }),
  })
  .register(z.globalRegistry, { id: 'ActionFeedback' });
export type ActionFeedback = z.output<typeof ActionFeedback>;

export const ConfigData = z
  .object({
    mode: z._default(z.enum(['merge', 'replace', 'remove']), 'merge').check(
      z.meta({
        description:
          'merge: add to the attributes told before; replace: take their place; remove: take away those that are named. It does not apply to versions',
      }),
    ),
    data: z._default(z.record(z.string(), z.unknown()), {}).check(
      z.meta({
        description: 'A version has to be a text. 100 other attributes are kept: texts up to 256 characters, numbers and booleans',
      }),
    ),
  })
  .register(z.globalRegistry, { id: 'ConfigData' });
export type ConfigData = z.output<typeof ConfigData>;
