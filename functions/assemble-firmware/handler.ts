import type { SQSHandler } from 'aws-lambda';
import { type AssembleFirmwareDeps, assembleFirmware } from '../../lib/assembly/assemble-firmware.ts';
import { AssembleMessage } from '../../lib/assembly/messages.ts';
import { type ConsumerDeps, eachRecord } from '../../lib/each-record.ts';

export const createHandler =
  (deps: AssembleFirmwareDeps & ConsumerDeps): SQSHandler =>
  (event, context) =>
    eachRecord(deps, event, context, {
      schema: AssembleMessage,
      queue: deps.assemblies,
      work: (message) => assembleFirmware(deps, message, () => context.getRemainingTimeInMillis()),
    });
