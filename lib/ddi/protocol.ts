import * as z from 'zod';
import { IdInPath } from '../http/path-parameters.ts';
import { storableText } from '../update/execution.ts';

/**
 * The shapes of Eclipse hawkBit's Direct Device Integration API, version 1 (https://eclipse.dev/hawkbit/apis/ddi_api/), as far as its
 * clients use it: SWUpdate's suricatta and rauc-hawkbit-updater. What they send beside that is ignored, not refused.
 */

export const ControllerPath = z.object({
  tenant: z.string().max(128).meta({ example: 'default' }),
  controllerId: z.string().max(256).meta({ description: '`{kind}.{external_id}`', example: 'cabinet.C-17' }),
});
export const ActionPath = ControllerPath.extend({ actionId: IdInPath.shape.id });
export const ArtifactPath = ControllerPath.extend({ softwareModuleId: IdInPath.shape.id, filename: z.string().max(256) });

const Link = z.object({ href: z.url() });

export const ControllerBase = z
  .object({
    config: z.object({ polling: z.object({ sleep: z.string().meta({ description: 'HH:MM:SS', example: '00:05:00' }) }) }),
    _links: z.object({
      deploymentBase: Link.optional().meta({ description: 'There is something to install' }),
      cancelAction: Link.optional().meta({ description: 'What is being installed is not wanted any more; never beside deploymentBase' }),
      configData: Link.optional().meta({ description: 'The attributes of the device are wanted, above all its version' }),
    }),
  })
  .meta({ id: 'ControllerBase' });
export type ControllerBase = z.infer<typeof ControllerBase>;

const Artifact = z.object({
  filename: z.string(),
  hashes: z.object({ sha1: z.string(), md5: z.string(), sha256: z.string() }),
  size: z.int().meta({ description: 'Bytes' }),
  _links: z.object({ download: Link, 'download-http': Link }),
});

export const Deployment = z
  .object({
    id: z.string().meta({ description: 'The id of the execution', example: '4711' }),
    deployment: z.object({
      download: z.enum(['attempt', 'forced']),
      update: z.enum(['attempt', 'forced']),
      chunks: z.array(
        z.object({
          part: z.string(),
          version: z.string(),
          name: z.string(),
          artifacts: z.array(Artifact),
          metadata: z.array(z.object({ key: z.string(), value: z.string() })).optional(),
        }),
      ),
    }),
  })
  .meta({ id: 'Deployment' });
export type Deployment = z.infer<typeof Deployment>;

export const CancelAction = z
  .object({ id: z.string(), cancelAction: z.object({ stopId: z.string().meta({ description: 'The action that is to be stopped' }) }) })
  .meta({ id: 'CancelAction' });
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
  .unknown()
  .optional()
  .transform((details) => {
    const lines = Array.isArray(details) ? details : details === undefined || details === null ? [] : [details];
    return lines
      .slice(0, maximumDetails)
      .map((line) => storableText(withoutSecrets(typeof line === 'string' ? line : JSON.stringify(line)), maximumDetailLength))
      .join('\n');
  })
  .meta({ type: 'array', items: { type: 'string' }, description: '50 lines of 512 characters are kept' });

const executionWords = ['closed', 'proceeding', 'canceled', 'scheduled', 'rejected', 'resumed', 'downloaded', 'download'] as const;

export const ActionFeedback = z
  .object({
    status: z.object({
      execution: z.enum(executionWords),
      result: z.object({ finished: z.enum(['success', 'failure', 'none']).catch('none') }).catch({ finished: 'none' }),
      details: Details,
    }),
  })
  .meta({ id: 'ActionFeedback' });
export type ActionFeedback = z.output<typeof ActionFeedback>;

export const ConfigData = z
  .object({
    mode: z.enum(['merge', 'replace', 'remove']).default('merge'),
    data: z.record(z.string(), z.unknown()).default({}),
  })
  .meta({ id: 'ConfigData' });
export type ConfigData = z.output<typeof ConfigData>;
