import type { Backend, BackendCall, CommandOutcome, FirmwareCommand } from '../../lib/ports/backend.ts';

/** A backend that keeps the calls made and answers as it is told; without being told it accepts everything. */
export class InMemoryBackend implements Backend {
  readonly calls: { commands: readonly FirmwareCommand[]; call: BackendCall }[] = [];
  answer: (command: FirmwareCommand) => CommandOutcome = ({ execution_id }) => ({ execution_id, outcome: 'accepted' });
  /** Thrown by the calls while set. */
  failure: Error | undefined;
  /** Runs while a call is under way, before it is answered. */
  during: (commands: readonly FirmwareCommand[]) => Promise<void> = async () => {};

  async sendCommands(commands: readonly FirmwareCommand[], call: BackendCall): Promise<CommandOutcome[]> {
    this.calls.push({ commands, call });
    await this.during(commands);
    if (this.failure) throw this.failure;
    return commands.map(this.answer);
  }

  get commands(): FirmwareCommand[] {
    return this.calls.flatMap(({ commands }) => commands);
  }
}
