/** One device's part of an update, as scooters-backend carries it. The pair (execution_id, attempt) is never commanded twice. */
export interface FirmwareCommand {
  execution_id: number;
  attempt: number;
  kind: string;
  external_id: string;
  hardware_type: string;
  version: string;
  url: string;
  sha256: string;
  size_bytes: number;
  expires_dt: string;
  /** A JWS that proves to the device that the command comes from this service (lib/firmware/README.md). */
  manifest: string;
}

export type CommandOutcome =
  | { execution_id: number; outcome: 'accepted' }
  | { execution_id: number; outcome: 'deferred'; reason: string; retry_after_seconds: number }
  | { execution_id: number; outcome: 'rejected'; reason: string }
  /** The answer about this device cannot be understood: it is not known whether the command was taken. */
  | { execution_id: number; outcome: 'unclear'; reason: string };

/** A device as the backend knows it. `version` is a scooter's generation; null for all others. */
export interface KnownDevice {
  kind: string;
  external_id: string;
  version: number | null;
}

/** What a device runs for one hardware type, as the backend says it. Only checked to be texts. */
export interface KnownFirmware {
  hardware_type: string;
  version: string;
  /** When it began to run this version. */
  since_dt: string;
  /** When it last said so. */
  observed_dt: string;
}

export interface DeviceVersions extends Omit<KnownDevice, 'kind'> {
  firmwares: KnownFirmware[];
}

export interface DevicePage {
  items: KnownDevice[];
  next_cursor: string | null;
}

/** scooters-backend, as far as this service needs it (scooters-backend.openapi.yaml). */
export interface Backend {
  /**
   * Hands over up to 100 commands, and answers one outcome for each, in any order. A faulty backend may leave out commands, name unknown ones,
   * or name one twice.
   *
   * @throws {@link BackendUnavailable} when it is not known whether they were taken. Nothing is retried here; the update's walk does that.
   * @throws {@link BackendRefusal} when the request itself was refused: sending it again would not help.
   */
  sendCommands(commands: readonly FirmwareCommand[], call: BackendCall): Promise<CommandOutcome[]>;

  /**
   * What up to 1,000 devices of one kind run; devices that the backend does not know are missing. A faulty backend may name other devices, or
   * one twice: use {@link onlyAsked}.
   *
   * @throws {@link BackendUnavailable}, {@link BackendRefusal}
   */
  findVersions(kind: string, externalIds: readonly string[], call: BackendCall): Promise<DeviceVersions[]>;

  /**
   * A page of all devices the backend knows, up to 1,000; the first one without a cursor.
   *
   * @throws {@link BackendUnavailable}, {@link BackendRefusal}
   */
  listDevices(page: { cursor: string | null; limit: number }, call: Omit<BackendCall, 'idempotencyKey'>): Promise<DevicePage>;
}

export interface BackendCall {
  idempotencyKey: string;
  requestId: string;
  /** Has to be less than what is left of the function's own time. */
  timeoutMilliseconds: number;
}

/** Those of the answered devices that were asked for, each once. */
export const onlyAsked = (found: readonly DeviceVersions[], externalIds: readonly string[]): DeviceVersions[] => {
  const asked = new Set(externalIds);
  return found.filter(({ external_id }) => asked.delete(external_id));
};

/** A longer Retry-After is cut to this: once somebody has repaired the backend, nobody wants to wait for it. */
export const longestRetryAfterSeconds = 120;

/** It is not known whether the backend has done what it was asked for. The message says what happened, for people. */
export class BackendUnavailable extends Error {
  override readonly name = 'BackendUnavailable';
  /** The backend's Retry-After, at most {@link longestRetryAfterSeconds}. */
  readonly retryAfterSeconds: number | undefined;

  constructor(message: string, options: { retryAfterSeconds?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    const { retryAfterSeconds } = options;
    this.retryAfterSeconds = retryAfterSeconds === undefined ? undefined : Math.min(longestRetryAfterSeconds, retryAfterSeconds);
  }
}

export class BackendRefusal extends Error {
  override readonly name = 'BackendRefusal';
}
