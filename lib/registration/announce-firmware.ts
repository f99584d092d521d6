import { checkSignatures } from '../authors/check-signatures.ts';
import { type UploadAnswer, type UploadFirmware, type UploadFirmwareDeps, uploadFirmware } from '../firmware/upload-firmware.ts';
import type { Log } from '../log.ts';
import { signFirmware } from './sign-firmware.ts';

export interface AnnounceFirmware extends UploadFirmware {
  /** What its authors have signed about it, each a JWS. */
  signatures: readonly string[];
}

/**
 * Reserves a version and stores what its authors have signed about it. The signatures are checked first: if one cannot be verified, nothing is
 * reserved. May be repeated, also with further signatures.
 *
 * @throws what `uploadFirmware` and `signFirmware` throw.
 */
export async function announceFirmware(
  deps: UploadFirmwareDeps & { log: Log },
  { signatures, ...input }: AnnounceFirmware,
): Promise<{ isNew: boolean; answer: UploadAnswer }> {
  if (signatures.length === 0) return uploadFirmware(deps, input);
  await checkSignatures(deps.db, signatures, input, deps.now());
  const { isNew, answer } = await uploadFirmware(deps, input);
  const actor = { subject: input.created_by, request_id: input.request_id };
  return { isNew, answer: { ...answer, ...(await signFirmware(deps, answer.id, signatures, actor)) } };
}
