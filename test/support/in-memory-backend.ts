import type {
  Backend,
  BackendCall,
  CommandOutcome,
  DevicePage,
  DeviceVersions,
  FirmwareCommand,
  KnownDevice,
} from '../../lib/ports/backend.ts';

type FleetDevice = KnownDevice & DeviceVersions;

/**
 * A backend that keeps the calls made and answers as it is told; without being told it accepts everything and knows no device.
 * test/contract/ holds its answers about devices against the real one.
 */
export class InMemoryBackend implements Backend {
  readonly calls: { commands: readonly FirmwareCommand[]; call: BackendCall }[] = [];
  answer: (command: FirmwareCommand) => CommandOutcome = ({ execution_id }) => ({ execution_id, outcome: 'accepted' });
  /** Thrown by the calls while set. */
  failure: Error | undefined;
  /** Runs while a call is under way, before it is answered. */
  during: (commands: readonly FirmwareCommand[]) => Promise<void> = async () => {};
  /** The devices it knows, in the order of its list. */
  readonly fleet: FleetDevice[] = [];
  /** The calls that asked what devices run. */
  readonly questions: { kind: string; external_ids: readonly string[]; call: BackendCall }[] = [];
  /** Runs while a question is under way, before it is answered. */
  duringQuestion: (external_ids: readonly string[]) => Promise<void> = async () => {};

  async sendCommands(commands: readonly FirmwareCommand[], call: BackendCall): Promise<CommandOutcome[]> {
    this.calls.push({ commands, call });
    await this.during(commands);
    if (this.failure) throw this.failure;
    return commands.map(this.answer);
  }

  async findVersions(kind: string, external_ids: readonly string[], call: BackendCall): Promise<DeviceVersions[]> {
    this.questions.push({ kind, external_ids, call });
    await this.duringQuestion(external_ids);
    if (this.failure) throw this.failure;
    const asked = new Set(external_ids);
    const found = this.fleet.filter((device) => device.kind === kind && asked.has(device.external_id));
    return found.map(({ kind: _kind, ...device }) => device);
  }

  async listDevices({ cursor, limit }: { cursor: string | null; limit: number }): Promise<DevicePage> {
    if (this.failure) throw this.failure;
    const start = Number(cursor ?? 0);
    const items = this.fleet.slice(start, start + limit).map(({ firmwares: _firmwares, ...device }) => device);
    return { items, next_cursor: start + limit < this.fleet.length ? String(start + limit) : null };
  }

  get commands(): FirmwareCommand[] {
    return this.calls.flatMap(({ commands }) => commands);
  }
}
