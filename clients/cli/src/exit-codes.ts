/** How a command ends; scripts branch on it. */
export const exitCodes = {
  done: 0,
  error: 1,
  /** The command line, or a value in it, is wrong. */
  usage: 2,
  /** No token, one that is not valid, or one without the scope. */
  loginNeeded: 4,
  /** The request contradicts what exists, or is impossible now. */
  refused: 5,
  /** The update has ended with failures, or was stopped. */
  unsuccessful: 6,
  /** What was waited for did not come within --timeout. */
  timeout: 7,
  /** Ctrl-C. */
  interrupted: 130,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** A command cannot do what it was asked for; the message is for the person at the keyboard. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode = exitCodes.error, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

export class UsageError extends CommandError {
  constructor(message: string) {
    super(message, exitCodes.usage);
  }
}
