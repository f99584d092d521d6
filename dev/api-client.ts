// The service's HTTP API as the main job and the end-to-end test use it: the fields they read, no more.
export type Kind = 'scooter' | 'cabinet';
export type Counts = Record<'QUEUED' | 'IN_PROGRESS' | 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'REJECTED' | 'CANCELED' | 'REMOVED', number>;

export interface FleetDevice {
  kind: Kind;
  external_id: string;
  version: number | null;
  /** Default: through scooters-backend. */
  channel?: 'telematics' | 'iot';
}
export interface FirmwareAnswer {
  id: number;
  hardware_type: string;
  version: string;
  status: 'awaiting_upload' | 'available' | 'withdrawn' | 'rejected';
  reason: string | null;
  size_bytes: number;
  sha256: string;
  download_url?: string;
  upload?: { method: string; url: string; headers: Record<string, string> };
}
export interface UpdateAnswer {
  id: number;
  firmware_id: number;
  hardware_type: string;
  firmware_version: string;
  status: 'SCHEDULED' | 'IN_PROGRESS' | 'PAUSED' | 'COMPLETED' | 'CANCELED' | 'ABORTED';
  counts: Counts;
  not_eligible: Record<string, number>;
  late_successes: number;
  /** When the last execution had ended; also of an update that was canceled before. */
  finished_dt: string | null;
}
export interface ExecutionAnswer {
  external_id: string;
  status: keyof Counts;
  reason: string | null;
  detail: string | null;
}
export interface DeviceAnswer {
  external_id: string;
  firmwares: { hardware_type: string; version: string; firmware_id: number | null; firmware_update_time: number | null }[];
}
interface Page<Item> {
  items: Item[];
  next_cursor: string | null;
}

export class ApiError extends Error {
  override name = 'ApiError';
  readonly status: number;
  readonly code: string | undefined;
  constructor(request: string, status: number, body: string) {
    const problem = parseProblem(body);
    super(`${request} answered ${status}: ${problem?.detail ?? body}`);
    this.status = status;
    this.code = problem?.code;
  }
}

/** Undefined for what is no problem of ours: a gateway's page, or nothing. */
function parseProblem(body: string): { code?: string; detail?: string } | undefined {
  try {
    return JSON.parse(body) as { code?: string; detail?: string };
  } catch {
    return undefined;
  }
}

export type ApiClient = ReturnType<typeof createApiClient>;

export function createApiClient({ url, token, signal }: { url: string; token: string; signal?: AbortSignal | undefined }) {
  async function call<Answer>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.any([AbortSignal.timeout(30_000), ...(signal ? [signal] : [])]),
    });
    const text = await answer.text();
    if (!answer.ok) throw new ApiError(`${method} ${path}`, answer.status, text);
    return JSON.parse(text) as Answer;
  }

  async function* pages<Item>(path: string): AsyncGenerator<Item> {
    let cursor: string | null = null;
    do {
      const { items, next_cursor }: Page<Item> = await call(
        'GET',
        `${path}${cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`}`,
      );
      yield* items;
      cursor = next_cursor;
    } while (cursor !== null);
  }

  return {
    call,
    registerDevices: async (devices: FleetDevice[]) => {
      for (const chunk of chunksOf(devices, 10_000)) {
        await call('PUT', '/v1/devices', { devices: chunk.map((device) => ({ channel: 'telematics', ...device })) });
      }
    },
    issueDeviceToken: async (kind: Kind, external_id: string) =>
      (await call<{ token: string }>('POST', `/v1/devices/${kind}/${encodeURIComponent(external_id)}/token`)).token,
    lookUpDevices: async (kind: Kind, externalIds: string[]) => {
      const found: DeviceAnswer[] = [];
      for (const external_ids of chunksOf(externalIds, 1_000)) {
        found.push(...(await call<{ items: DeviceAnswer[] }>('POST', '/v1/devices/lookup', { kind, external_ids })).items);
      }
      return found;
    },
    firmwares: (hardwareType: string) => pages<FirmwareAnswer>(`/v1/firmwares?limit=500&hardware_type=${encodeURIComponent(hardwareType)}`),
    firmware: (id: number) => call<FirmwareAnswer>('GET', `/v1/firmwares/${id}`),
    updates: (status: UpdateAnswer['status']) => pages<UpdateAnswer>(`/v1/updates?limit=100&status=${status}`),
    update: (id: number) => call<UpdateAnswer>('GET', `/v1/updates/${id}`),
    executions: (id: number, status: keyof Counts) => pages<ExecutionAnswer>(`/v1/updates/${id}/executions?limit=500&status=${status}`),
    /** The file goes to S3 directly, by the link that the answer holds. */
    uploadFirmware: async (
      firmware: { hardware_type: string; version: string; filename?: string; comment: string; sha256: string },
      bytes: Uint8Array<ArrayBuffer>,
    ) => {
      const reserved = await call<FirmwareAnswer>('POST', '/v1/firmwares', { ...firmware, size_bytes: bytes.byteLength });
      if (!reserved.upload) throw new Error(`Firmware ${reserved.id} was answered without an upload link.`);
      const { method, url: link, headers } = reserved.upload;
      const stored = await fetch(link, { method, headers, body: bytes, ...(signal && { signal }) });
      if (!stored.ok) throw new Error(`S3 refused the file (${stored.status}): ${await stored.text()}`);
      return reserved;
    },
    requestUpdate: (
      request: { firmware_id: number; targets: unknown; canary?: null; timeouts?: { in_progress_minutes: number }; comment: string },
      idempotencyKey: string,
    ) => call<{ id: number }>('POST', '/v1/updates', request, { 'idempotency-key': idempotencyKey }),
  };
}

function* chunksOf<Item>(items: Item[], size: number): Generator<Item[]> {
  for (let start = 0; start < items.length; start += size) yield items.slice(start, start + size);
}
