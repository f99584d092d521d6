/**
 * Thrown when a manifest, a signature or a file is refused. Nothing may be installed then. The device tells the message to the service, which
 * knows by its first words that this is no ordinary failure (docs/devices.md).
 */
export class Refused extends Error {
  override readonly name = 'Refused';

  constructor(message: string, options?: ErrorOptions) {
    super(`not trusted: ${message}`, options);
  }
}
