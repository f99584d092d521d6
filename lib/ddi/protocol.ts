import * as z from 'zod/mini';
import { IdInPath } from '../http/path-parameters.ts';
import { storableText } from '../update/execution.ts';

/**
 * The shapes of Eclipse hawkBit's Direct Device Integration API, version 1 (https://eclipse.dev/hawkbit/apis/ddi_api/), as far as its
 * clients use it: SWUpdate's suricatta and rauc-hawkbit-updater. What they send beside that is ignored, not refused.
 */

export const ControllerPath = z.object({
  tenant: z.string().check(z.maxLength(128), z.meta({ example: 'default' })),
  controllerId: z.string().check(z.maxLength(256), z.meta({ description: '`{kind}.{external_id}`', example: 'cabinet.C-17' })),
});
export const ActionPath = z.extend(ControllerPath, { actionId: IdInPath.shape.id });
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

/** Of what a device tells so much is kept; the rest is cut off, never refused: it would send it again and again. */
const maximumDetails = 50;
const maximumDetailLength = 512;

/** SWUpdate tells its own log, in which is the link that it was led to, and some clients their token. */
const withoutSecrets = (line: string): string =>
  line
    .replaceAll(/(X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s"']+/gi, '$1…')
    .replaceAll(/((?:Target|Gateway)Token\s+)\S+/gi, '$1…');

/** Lines of text, whatever the client made of them. */
const Details = z
  .pipe(
    z.optional(z.unknown()),
    z.transform((details) => {
      const lines = Array.isArray(details) ? details : details === undefined || details === null ? [] : [details];
      return lines
        .slice(0, maximumDetails)
        .map((line) => storableText(withoutSecrets(typeof line === 'string' ? line : JSON.stringify(line)), maximumDetailLength))
        .join('\n');
    }),
  )
  .check(z.meta({ type: 'array', items: { type: 'string' }, description: '50 lines of 512 characters are kept' }));

const executionWords = ['closed', 'proceeding', 'canceled', 'scheduled', 'rejected', 'resumed', 'downloaded', 'download'] as const;

export const ActionFeedback = z
  .object({
    status: z.object({
      execution: z.enum(executionWords),
      result: z.catch(z.object({ finished: z.catch(z.enum(['success', 'failure', 'none']), 'none') }), { finished: 'none' }),
      details: Details,
    }),
  })
  .register(z.globalRegistry, { id: 'ActionFeedback' });
export type ActionFeedback = z.output<typeof ActionFeedback>;

export const ConfigData = z
  .object({
    mode: z._default(z.enum(['merge', 'replace', 'remove']), 'merge'),
    data: z._default(z.record(z.string(), z.unknown()), {}),
  })
  .register(z.globalRegistry, { id: 'ConfigData' });
export type ConfigData = z.output<typeof ConfigData>;
