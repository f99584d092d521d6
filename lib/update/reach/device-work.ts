import type { FirmwareRequirement, FirmwareStatus } from '../../firmware/firmware.ts';
import type { Proof } from '../../firmware/hardware-type.ts';
import type { UpdateStatus } from '../update-status.ts';

/** An unfinished execution of a device that polls, as its poll finds it. */
export interface DeviceWork {
  execution_id: number;
  hardware_type: string;
  proof: Proof;
  /** Whether the walk has made an offer of it (dispatch_id). */
  is_released: boolean;
  /** When the device took the offer. */
  sent_dt: Date | null;
  installed_dt: Date | null;
  cancellation: 'requested' | 'refused' | null;
  update_status: UpdateStatus;
  /** Devices of its update. */
  devices: number;
  /** Of its update. */
  allow_downgrade: boolean;
  manifest_counter: number;
  firmware: OfferedFirmware;
}

/** What a device has to know of a file before it downloads it. */
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
}

/**
 * Where the execution of a device that polls is, between its statuses (execution.ts):
 *
 * | state     | status                | the device is shown                                       | left by                             |
 * | --------- | --------------------- | --------------------------------------------------------- | ----------------------------------- |
 * | held      | QUEUED, or a retry    | nothing: paused, scheduled, stopped, firmware withdrawn   | resume, start_dt                    |
 * | waiting   | QUEUED, or a retry    | nothing: the pace and the slots leave no room yet         | `offered`                           |
 * | offered   | QUEUED, or a retry    | the deployment                                            | `taken`, `unclaimed` (it waits on)  |
 * | working   | IN_PROGRESS           | the deployment, until it says how it ended                | `installed`, `failed`, `declined`   |
 * | canceling | IN_PROGRESS           | that it should stop                                       | `canceled`, `cancel_refused`        |
 * | proving   | IN_PROGRESS           | that its version is wanted                                | `proven`, `mismatched`, `overdue`   |
 */
export type WorkState = 'held' | 'waiting' | 'offered' | 'working' | 'canceling' | 'proving';

export const workStateOf = ({
  is_released,
  sent_dt,
  installed_dt,
  cancellation,
  update_status,
  firmware,
}: Pick<DeviceWork, 'is_released' | 'sent_dt' | 'installed_dt' | 'cancellation' | 'update_status'> & {
  firmware: Pick<OfferedFirmware, 'status'>;
}): WorkState => {
  const isOpen = update_status === 'IN_PROGRESS' && firmware.status === 'available';
  if (!is_released) return isOpen ? 'waiting' : 'held';
  if (sent_dt === null) return isOpen ? 'offered' : 'held';
  if (installed_dt !== null) return 'proving';
  return cancellation === 'requested' ? 'canceling' : 'working';
};
