import type { SQSHandler } from 'aws-lambda';
import { type ConsumerDeps, eachRecord } from '../../lib/each-record.ts';
import { ObjectCreatedMessage } from '../../lib/firmware/object-created.ts';
import { type RegisterFirmwareDeps, registerFirmware } from '../../lib/registration/register-firmware.ts';

export const createHandler =
  (deps: RegisterFirmwareDeps & ConsumerDeps): SQSHandler =>
  (event, context) =>
    eachRecord(deps, event, context, ObjectCreatedMessage, async (objects) => {
      // An object that fails keeps none of the others in its message from being registered.
      const errors: unknown[] = [];
      for (const object of objects) await registerFirmware(deps, object).catch((error: unknown) => errors.push(error));
      if (errors.length > 0) throw errors.length === 1 ? errors[0] : new AggregateError(errors, 'Several objects failed');
    });
