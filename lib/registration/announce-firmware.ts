import { checkSignatures } from '../authors/check-signatures.ts';
import type { AuthorSignature } from '../authors/signature.ts';
import { type UploadAnswer, type UploadFirmware, type UploadFirmwareDeps, uploadFirmware } from '../firmware/upload-firmware.ts';
import type { Log } from '../log.ts';
import { signFirmware } from './sign-firmware.ts';

export interface AnnounceFirmware extends UploadFirmware {
  /** What its authors have signed about it, each a JWS. */
  signatures: readonly string[];
}

/**
 * Reserves a version and stores what its authors have signed about it. The signatures are checked first: if one cannot be verified, nothing is
 * reserved. May be repeated, also with further signatures: whoever has signed this file before keeps that release and its number. Otherwise a
 * pipeline that uploads an old version once more would make it the newest of its author's.
 *
 * @throws what `uploadFirmware` and `signFirmware` throw.
 */
export async function announceFirmware(
  deps: UploadFirmwareDeps & { log: Log },
  { signatures, ...input }: AnnounceFirmware,
): Promise<{ isNew: boolean; answer: UploadAnswer }> {
  if (signatures.length === 0) return uploadFirmware(deps, input);
  const checked = await checkSignatures(deps.db, signatures, input, deps.now());
  const { isNew, answer } = await uploadFirmware(deps, input);
  const isHere = ({ kind, kid }: AuthorSignature) => answer.author_signatures.some((known) => known.kind === kind && known.kid === kid);
  const further = checked.filter((signature) => !(signature.kind === 'release' && isHere(signature))).map(({ jws }) => jws);
  const actor = { subject: input.created_by, request_id: input.request_id };
  return { isNew, answer: { ...answer, ...(await signFirmware(deps, answer.id, further, actor)) } };
}
