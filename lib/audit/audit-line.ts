import * as z from 'zod/mini';
import { Timestamp } from '../firmware/firmware.ts';

/** What a caller can change. */
export const auditedResources = [
  'zone',
  'group',
  'device',
  'hardware_type',
  'firmware',
  'assembly',
  'author_key',
  'author_root',
  'observation',
  'update',
] as const;
export type AuditedResource = (typeof auditedResources)[number];

export const AuditLine = z
  .object({
    id: z.int(),
    occurred_dt: Timestamp,
    caller: z.string().check(z.meta({ description: 'The subject of the token with which it was asked for' })),
    request_id: z.string(),
    action: z.string().check(z.meta({ description: 'What was done', example: 'change' })),
    resource: z.enum(auditedResources),
    resource_id: z.nullable(z.string()).check(
      z.meta({
        description: 'Its id or its name; for a device, `kind/external_id`. null: the change is about many',
        example: 'scooter/S-00001',
      }),
    ),
    outcome: z
      .record(z.string(), z.unknown())
      .check(z.meta({ description: 'What became of it: the fields `before` and `after` of what was changed, or how many were changed' })),
  })
  .register(z.globalRegistry, { id: 'AuditLine' });
export type AuditLine = z.infer<typeof AuditLine>;
