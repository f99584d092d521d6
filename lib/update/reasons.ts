import type { reasons } from './execution.ts';
import type { Eligibility } from './update.ts';

/** What each reason of an execution says to users of the API. */
const ofExecutions: Record<(typeof reasons)[keyof typeof reasons], string> = {
  ALREADY_ON_TARGET: 'the device ran the version wanted before anybody asked it',
  DEFERRED: 'the backend has put the device off, or did not answer; the device is asked again',
  RETRY: 'the last try has ended without success, for the reason that follows, and the device gets another one',
  VERSION_MISMATCH: 'the device says that it is done, but runs another version; both versions follow',
  DEVICE_FAILED: 'the device could not install the firmware; `detail` has its words',
  DEVICE_REJECTED: 'the device will not install the firmware; `detail` has its words',
  BACKEND_REJECTED: 'the backend cannot give the command to the device; `detail` has its words',
  QUEUED_TOO_LONG: 'nobody could ask the device within `timeouts.queued_minutes`',
  NOT_CONFIRMED: 'the device was asked, and was not seen with the version wanted within `timeouts.in_progress_minutes`',
  UPDATE_CANCELED: 'somebody canceled the update before the device was done',
  UPDATE_ABORTED: 'a rule stopped the update before the device was asked',
  FIRMWARE_WITHDRAWN: 'the firmware was withdrawn before the device was asked',
  FIRMWARE_LOST: 'the file of the firmware is missing from the storage',
  SUPERSEDED: 'a newer update took the device before anybody asked it; the id of that update follows',
  RETIRED_DEVICE: 'the device was retired',
  HARDWARE_MISMATCH: 'the firmware does not fit the hardware of the device any more; its revision and those that it fits follow',
  DEVICE_CANCELED: 'the device has given the installation up by itself',
  AWAITING_PROOF: 'the device says that it is done, and has not told its version yet',
  CANCEL_REQUESTED: 'the device is asked to stop',
  CANCEL_REFUSED: 'the device was asked to stop, and goes on',
};

/** What each eligibility says to users of the API. */
const ofPlans: Record<Eligibility, string> = {
  ELIGIBLE: 'the device takes part',
  ELIGIBLE_UNKNOWN_VERSION: 'the device takes part, although it runs a version that is not in the catalogue',
  ALREADY_ON_TARGET: 'the device runs this version',
  UNKNOWN_DEVICE: 'there is no such device',
  RETIRED_DEVICE: 'the device is retired',
  HARDWARE_MISMATCH: 'the firmware does not fit devices of this kind, generation or revision; for a revision, `detail` names it',
  UPDATE_IN_FLIGHT: 'another update of the same hardware type has the device; `other_update_id` names it',
  DOWNGRADE: 'the device runs a newer version, and `allow_downgrade` is not set',
  REQUIRES_NEWER: 'the device, or another part of it, runs a version older than the firmware requires',
  BLOCKED: 'the device has failed this firmware too often, and `force` is not set',
  UNKNOWN_VERSION: 'the device runs a version that is not in the catalogue, and the request leaves such devices out',
  FIRMWARE_NOT_AVAILABLE: 'the firmware cannot be installed now',
};

const listOf = (texts: Readonly<Record<string, string>>): string =>
  Object.entries(texts)
    .map(([reason, text]) => `- \`${reason}\`: ${text}`)
    .join('\n');

/** A list in Markdown. A function, so that bundles which do not describe the API can leave it out. */
export const listExecutionReasons = (): string => listOf(ofExecutions);

/** A list in Markdown. */
export const listEligibilities = (): string => listOf(ofPlans);
