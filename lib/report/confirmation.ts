import * as z from 'zod/mini';
import { HardwareTypeName, PositiveInteger, RequestedTimestamp } from '../firmware/firmware.ts';
import { FirmwareVersion } from '../firmware/version.ts';
import { DeviceKind, ExternalId, type ReportSource } from '../fleet/device.ts';
import { ItemError, judged } from '../http/judged.ts';
import { executionStatuses } from '../update/execution.ts';

/** What a device can say of an installation. */
export const confirmationStatuses = ['IN_PROGRESS', 'SUCCEEDED', 'FAILED', 'REJECTED'] as const;

export const Confirmation = z.strictObject({
  kind: z._default(DeviceKind, 'scooter'),
  external_id: ExternalId,
  hardware_type: HardwareTypeName,
  version: FirmwareVersion.check(
    z.meta({
      description:
        'The version that the device runs. A report other than SUCCEEDED says nothing about what the device runs if it names the version of its update, or if it is about no update',
    }),
  ),
  status: z.enum(confirmationStatuses),
  occurred_dt: RequestedTimestamp.check(
    z.meta({ description: 'When it was so, by the clock of the device', example: '2026-11-24T08:00:00.000Z' }),
  ),
  execution_id: z.optional(PositiveInteger).check(z.meta({ description: 'As in the command; without it the unfinished one is meant' })),
  attempt: z.optional(PositiveInteger).check(
    z.meta({
      description:
        'The `attempt` of the command, beside execution_id. With it, a failure counts for this command only. Without it, a failure counts for the last command if it happened after that command was sent',
    }),
  ),
  detail: z
    .optional(
      z.pipe(
        z.string().check(z.maxLength(10_000)),
        z.transform((text) => text.replaceAll('\u0000', '').toWellFormed()),
      ),
    )
    .check(
      z.meta({
        description:
          'In the words of the device. They begin with `not trusted: ` if it does not believe what it was told to install: this raises an alarm',
      }),
    ),
});
export type Confirmation = z.output<typeof Confirmation>;

/** One of many in a call, judged on its own. */
export const SentConfirmation = judged(Confirmation);
export type SentConfirmation = z.output<typeof SentConfirmation>;

/** The last three come only from devices that poll: INSTALLED without proof, and the two answers to a request to stop. */
export const reportStatuses = [...confirmationStatuses, 'INSTALLED', 'CANCELED', 'CANCEL_REFUSED'] as const;

/**
 * A confirmation, or an observation or the words of a polling device in the same form. An observation that says "it runs this version" becomes
 * SUCCEEDED.
 */
export interface Report extends Omit<Confirmation, 'status' | 'version'> {
  status: (typeof reportStatuses)[number];
  /** null: it does not say what the device runs. */
  version: string | null;
  source: ReportSource;
  /** Since when the device has run the version, where that is known. */
  since_dt?: Date | undefined;
}

export const ConfirmationOutcome = z
  .object({
    external_id: z.nullable(z.string()).check(z.meta({ description: 'As in the report; null: it names none' })),
    hardware_type: z.nullable(z.string()).check(z.meta({ description: 'As in the report; null: it names none' })),
    outcome: z.enum(['stored', 'unchanged', 'outdated', 'refused']).check(
      z.meta({
        description:
          'stored: something is known now that was not; unchanged: nothing new; outdated: something newer is known; refused: see code',
      }),
    ),
    code: z
      .optional(z.enum(['report.malformed', 'device.not_found', 'hardware_type.unknown', 'execution.not_found']))
      .check(z.meta({ description: 'Why it was refused' })),
    message: z.optional(z.string()),
    errors: z.optional(z.array(ItemError)).check(z.meta({ description: 'Of a malformed report: the first of its wrong fields' })),
    execution: z
      .optional(z.object({ id: z.int(), status: z.enum(executionStatuses) }))
      .check(z.meta({ description: 'The execution it was about' })),
  })
  .register(z.globalRegistry, { id: 'ConfirmationOutcome' });
export type ConfirmationOutcome = z.infer<typeof ConfirmationOutcome>;
