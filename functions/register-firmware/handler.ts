import type { SQSHandler } from 'aws-lambda';
import { eachRecord } from '../../lib/each-record.ts';
import { ObjectCreatedMessage } from '../../lib/firmware/object-created.ts';
import { type RegisterFirmwareDeps, registerFirmware } from '../../lib/firmware/register-firmware.ts';

export const createHandler =
  (deps: RegisterFirmwareDeps): SQSHandler =>
  (event, context) =>
    eachRecord(deps, event, context, ObjectCreatedMessage, async (objects) => {
      for (const object of objects) await registerFirmware(deps, object);
    });
