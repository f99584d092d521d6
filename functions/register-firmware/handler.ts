import type { SQSHandler } from 'aws-lambda';
import type { Trx } from '../../lib/db/database.ts';
import { type ConsumerDeps, eachRecord } from '../../lib/each-record.ts';
import { ObjectCreatedMessage } from '../../lib/firmware/object-created.ts';
import type { Queue } from '../../lib/ports/queue.ts';
import type { ObjectVersion } from '../../lib/ports/storage.ts';
import { type RegisterFirmwareDeps, registerFirmware } from '../../lib/registration/register-firmware.ts';
import type { AdvanceMessage } from '../../lib/update/messages.ts';
import { wakeForCandidates } from '../../lib/update/reach/wake-for-candidates.ts';

/** Reads the queue `registrations`, whose messages are written by S3 in its own form. */
export const createHandler = (
  deps: RegisterFirmwareDeps & ConsumerDeps & { registrations: Queue<object>; advances: Queue<AdvanceMessage> },
): SQSHandler => {
  const waking = { ...deps, wakeForCandidates: (trx: Trx) => wakeForCandidates(trx, deps.advances, deps.now()) };
  return (event, context) =>
    eachRecord(deps, event, context, {
      schema: ObjectCreatedMessage,
      queue: deps.registrations,
      work: (objects) => registerEach(waking, objects),
    });
};

/** Registers each object of a message; one that fails does not affect the others. */
const registerEach = async (deps: RegisterFirmwareDeps, objects: readonly ObjectVersion[]): Promise<void> => {
  const errors: unknown[] = [];
  for (const object of objects) await registerFirmware(deps, object).catch((error: unknown) => errors.push(error));
  if (errors.length > 0) throw errors.length === 1 ? errors[0] : new AggregateError(errors, 'Several objects failed');
};
