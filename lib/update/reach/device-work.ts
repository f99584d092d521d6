import type { AuthorSignature, SignedPart } from '../../authors/signature.ts';
import type { FirmwareRequirement, FirmwareStatus } from '../../firmware/firmware.ts';
import type { Proof } from '../../firmware/hardware-type.ts';
import type { Phase } from '../execution.ts';
import type { UpdateStatus } from '../update-status.ts';

/** An unfinished execution of a device that polls, with all that its poll needs to know. */
export interface DeviceWork {
  execution_id: number;
  hardware_type: string;
  proof: Proof;
  phase: Phase;
  update_status: UpdateStatus;
  /** Whether the device may be asked now, by the windows of its zone and of the update. */
  is_open: boolean;
  /** Whether the firmware fits the device's hardware, as far as both are known by now. */
  fits: boolean;
  /** Devices of its update. */
  devices: number;
  /** Of its update. */
  allow_downgrade: boolean;
  manifest_counter: number;
  firmware: OfferedFirmware;
}

/** What a device has to know about a file before it downloads it. */
export interface OfferedFirmware {
  id: number;
  status: FirmwareStatus;
  version: string;
  object_key: string;
  file_link: string;
  size_bytes: number;
  sha1: string;
  sha256: string;
  md5: string;
  /** null: it is not available yet. */
  version_num: number | null;
  requires: readonly FirmwareRequirement[];
  minimum_from_version_num: number | null;
  author_signatures: readonly AuthorSignature[];
  signed_parts: readonly SignedPart[];
}

/**
 * What a device that polls is shown of an execution:
 *
 * | state     | phase              | the device is shown                                       | left by                            |
 * | --------- | ------------------ | --------------------------------------------------------- | ---------------------------------- |
 * | held      | waiting or offered | nothing: paused, scheduled, stopped, firmware withdrawn, a closed window, hardware that it does not fit | resume, start_dt, its opening |
 * | waiting   | waiting            | nothing: the pace, or the number of places, does not allow it yet | `offered`                          |
 * | offered   | offered            | the deployment                                            | `taken`, `unclaimed` (it waits on) |
 * | working   | asked              | the deployment, until it says how it ended                | `installed`, `failed`, `declined`  |
 * | canceling | canceling          | that it should stop                                       | `canceled`, `cancel_refused`       |
 * | proving   | installed          | that its version is wanted                                | `proven`, `mismatched`, `overdue`  |
 */
export type WorkState = 'held' | 'waiting' | 'offered' | 'working' | 'canceling' | 'proving';

/** What a device is shown in each phase while the update goes on. The other phases do not occur on devices that poll, or mean no work. */
const shown = { waiting: 'waiting', offered: 'offered', asked: 'working', canceling: 'canceling', installed: 'proving' } as const;

export const workStateOf = ({
  phase,
  update_status,
  is_open,
  fits,
  firmware,
}: Pick<DeviceWork, 'phase' | 'update_status' | 'is_open' | 'fits'> & { firmware: Pick<OfferedFirmware, 'status'> }): WorkState => {
  const isOpen = is_open && fits && update_status === 'IN_PROGRESS' && firmware.status === 'available';
  if (phase === 'released' || phase === 'calling' || phase === 'ended') return 'held';
  return !isOpen && (phase === 'waiting' || phase === 'offered') ? 'held' : shown[phase];
};
